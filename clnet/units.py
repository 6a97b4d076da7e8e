"""Units of work: every expensive artefact is built once, under the hash of what it was made from.

    root/<kind>/<key>/            finished: published by one rename, never built again; unit.json says what it is
    root/<kind>/.<key>.partial/   being built; stays after a kill, so that a builder can continue from its own checkpoint there
    root/.locks/<kind>-<key>.lock held while building; a second process waits and then reuses the result
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import math
import os
import platform
import time
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from importlib import metadata
from pathlib import Path

from filelock import FileLock, Timeout

from clnet.atomic import explained, replace_folder, write_json
from clnet.errors import DataError, PreemptedError

log = logging.getLogger(__name__)

_RECORD = "unit.json"
_CLOCK = ".clock.json"
_VERSIONS = ("torch", "lightning", "monai", "numpy", "SimpleITK", "batchgeneratorsv2", "blosc2")


def canonical(identity: object) -> str:
    """One spelling for equal configurations: sorted keys, lists for sequences, 1 for 1.0; no NaN and no objects.

    Raises TypeError or ValueError for what has no stable spelling (a path, NaN, an arbitrary object).
    """
    return json.dumps(_plain(identity), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def key_of(identity: object) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of the canonical identity."""
    return hashlib.sha256(canonical(identity).encode()).hexdigest()[:16]


class UnitStore:
    """The units below one folder."""

    def __init__(self, root: Path | str):
        self.root = Path(root)
        self._checked: set[Path] = set()

    def path(self, kind: str, identity: Mapping) -> Path:
        return self.root / kind / key_of(identity)

    def finished(self, kind: str, identity: Mapping) -> bool:
        """Whether the unit is published. Raises DataError if what lies in its place is not that unit, or is no longer complete."""
        path = self.path(kind, identity)
        if path not in self._checked:
            if not path.exists():
                return False
            _check(path, identity)
            self._checked.add(path)
        return True

    def seconds(self, kind: str, identity: Mapping) -> float:
        """Time spent on building, over all attempts."""
        return float(json.loads((self.path(kind, identity) / _RECORD).read_text())["seconds"])

    def finished_at(self, kind: str, identity: Mapping) -> float:
        """When it was finished, in seconds since 1970."""
        return (self.path(kind, identity) / _RECORD).stat().st_mtime

    def build(self, kind: str, identity: Mapping, builder: Callable[[Path], None], *, collective: bool = False) -> Path:
        """Folder of the finished unit; `builder(folder)` fills it unless it is there already.

        The folder that the builder gets may hold what an earlier, killed attempt left. When it raises, nothing is published.
        Under DDP only rank 0 builds and publishes, the others wait for it; with `collective` every rank runs the builder.
        """
        final = self.path(kind, identity)
        if self.finished(kind, identity):
            return final
        partial = final.with_name(f".{final.name}.partial")
        if rank() > 0:
            if collective:
                partial.mkdir(parents=True, exist_ok=True)
                builder(partial)
            self._wait(kind, identity)
            return final
        lock = self._acquire(kind, final.name)
        try:
            if not self.finished(kind, identity):
                self._build(final, partial, identity, builder)
        finally:
            lock.release()
        return final

    def _wait(self, kind: str, identity: Mapping) -> None:
        parent = os.getppid()
        while not self.finished(kind, identity):
            if os.getppid() != parent:
                raise PreemptedError("the process that leads this job has ended", fix="run the same command again")
            time.sleep(0.2)

    def _acquire(self, kind: str, key: str) -> FileLock:
        place = self.root / ".locks" / f"{kind.replace('/', '-')}-{key}.lock"
        lock = FileLock(place)
        with explained(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                log.info("another process builds %s %s: waiting for it", kind, key)
                lock.acquire()
        return lock

    def _build(self, final: Path, partial: Path, identity: Mapping, builder: Callable[[Path], None]) -> None:
        with explained(partial):
            partial.mkdir(parents=True, exist_ok=True)
        spent = _seconds_of_earlier_attempts(partial)
        started = time.time()
        write_json(partial / _CLOCK, {"spent": spent, "started": started})
        builder(partial)
        (partial / _CLOCK).unlink()
        record = {
            "identity": _plain(identity),
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "seconds": round(spent + time.time() - started, 3),
            "versions": versions(),
            "files": _sizes(partial),
        }
        write_json(partial / _RECORD, record)
        replace_folder(partial, final)


def rank() -> int:
    """0 for the process that leads a job, the only one outside of DDP; more than 0 for the others."""
    return max(int(os.environ.get(name) or 0) for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"))


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that numbers depend on, without importing them."""
    found = {"python": platform.python_version()}
    for name in _VERSIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _check(path: Path, identity: Mapping) -> None:
    """Raise DataError unless `path` holds this identity with all of its files."""
    fix = f"remove {path} and run the same command again: the unit is then rebuilt"
    try:
        record = json.loads((path / _RECORD).read_text())
        stored, files = canonical(record["identity"]), record["files"]
    except FileNotFoundError:
        raise DataError("a unit without its record", where=path, expected=_RECORD, fix=fix) from None
    except (ValueError, KeyError, TypeError) as error:
        raise DataError("the record of a unit is damaged", where=path / _RECORD, found=repr(error), fix=fix) from error
    if stored != canonical(identity):
        raise DataError("a unit is not what its place says", where=path, found=stored, expected=canonical(identity), fix=fix)
    for name, size in files.items():
        file = path / name
        there = file.stat().st_size if file.exists() else None
        if there != size:
            found = "no such file" if there is None else f"{there} bytes"
            raise DataError("a finished unit has been changed", where=file, found=found, expected=f"{size} bytes", fix=fix)


def _sizes(folder: Path) -> dict[str, int]:
    return {str(file.relative_to(folder)): file.stat().st_size for file in sorted(folder.rglob("*")) if file.is_file()}


def _seconds_of_earlier_attempts(partial: Path) -> float:
    """A killed attempt lasted at least until the last file that it wrote."""
    try:
        clock = json.loads((partial / _CLOCK).read_text())
    except (OSError, ValueError):
        return 0.0
    last = max((file.stat().st_mtime for file in partial.rglob("*") if file.is_file()), default=0.0)
    return clock["spent"] + max(last - clock["started"], 0.0)


def _plain(value: object) -> object:
    """`value` in JSON's own types."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, AbstractSet):
        return sorted((_plain(item) for item in value), key=canonical)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "item") and getattr(value, "shape", None) == ():  # a NumPy scalar
        value = value.item()
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"an identity cannot hold {value}")
        return int(value) if value.is_integer() else value
    if value is None or isinstance(value, (bool, int, str)):
        return value
    raise TypeError(f"an identity cannot hold {value!r} ({type(value).__name__})")
