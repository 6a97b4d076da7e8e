"""One folder a run, named by what was asked for, so that the same command finds it again; locked while a process works in it.

    config.yaml    the resolved configuration     status.json    running, finished, stopped or failed, and why; how far it is
    manifest.json, scores.csv, decoders.csv, footprint.csv, merging.csv, weights.csv, model/, cases/, report/
With scored_cases=validation: validation_scores.csv in place of scores.csv, no cases/ and no report/.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path

import yaml
from filelock import FileLock, Timeout

from clnet import stop
from clnet.atomic import explained, write_json, write_text
from clnet.errors import DataError, HostError, PreemptedError, UsageError
from clnet.learn.progress import Listener
from clnet.units import canonical, rank

# What may change between two calls without changing a number: where things lie, who computes, who watches.
NOT_SEMANTIC = ("task", "run", "runs", "input", "output", "masks", "predict*", "resume", "name", "paths*", "launcher*", "logger*",
                "experiment", "sweep*", "hydra*", "data.root", "data.datasets.*.root", "data.fetch*", "data.make.workers",
                "evaluate.workers", "trainer.workers", "trainer.prepare_workers", "trainer.threads", "trainer.decoder_threads",
                "trainer.accelerator", "trainer.strategy", "trainer.checkpoint_every_epochs", "trainer.prediction_gib", "gallery*")
# What runs were before there was such a key: their folders stay valid.
_IMPLIED = {"scored_cases": "test", "trainer.prediction_precision": "32-true"}
# What the code reads of `scale`. The rest is written out where another key refers to it, or no part of the run.
_READ_OF_SCALE = ("scale.recipe*", "scale.network*", "scale.intensity*", "scale.windows*")
_LONGEST_NAME = 100
_LOCK_S = 1.0  # to wait for a lock: who asks for a run's state holds it for a moment


def name_of(experiment: str, overrides: Sequence[str]) -> str:
    """Folder name: the experiment and what was changed against it, in alphabetical order; long or unprintable ones end in a hash."""
    changes = {}
    for override in overrides:
        key, _, value = override.partition("=")
        if not _matches(key.lstrip("+~")):
            changes[key] = value
    exact = "__".join([experiment, *(f"{key}-{changes[key]}" for key in sorted(changes))])
    name = re.sub(r"[^A-Za-z0-9._+~@-]", "-", exact)
    if name != exact or len(name) > _LONGEST_NAME:
        name = f"{name[:_LONGEST_NAME]}__{hashlib.sha256(exact.encode()).hexdigest()[:8]}"
    return name.lstrip(".")


def place_of(cfg: Mapping, overrides: Sequence[str]) -> Path:
    """The run folder that a command means: the one that it names, or the one that `name_of` names.

    A value counts as Hydra writes it: it does so to the values of sweeps, `1e-3` becomes `0.001` there.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    written = [each.input_line if each.is_delete() else f"{each.get_key_element()}={each.get_value_element_as_str()}"
               for each in OverridesParser.create().parse_overrides(list(overrides))]
    return Path(cfg["paths"]["run"] or cfg["run"] or Path(cfg["paths"]["runs"]) / name_of(cfg["name"], written))


def semantic(cfg: Mapping) -> dict[str, object]:
    """Flat `key.subkey` -> value of everything that numbers depend on."""
    return _IMPLIED | {key: value for key, value in _flat(cfg)
                       if not _matches(key) and (not key.startswith("scale.") or _matches(key, _READ_OF_SCALE))}  # fmt: skip


@contextmanager
def claim(folder: Path | str, cfg: Mapping) -> Iterator[Path]:
    """Hold the folder of a run: lock it, write its configuration, and note in status.json how the body ended.

    Raises UsageError when another process holds it, when it belongs to a different configuration (with the keys that differ), or when
    resume=must finds nothing. Under DDP only rank 0 does this.
    """
    folder = Path(folder)
    if rank() > 0:
        yield folder
        return
    if cfg.get("resume") == "must" and not (folder / "status.json").exists():
        raise UsageError("resume=must, but there is no run to resume", where=folder, fix="leave resume=must out to start one")
    lock = FileLock(folder / ".lock")
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=_LOCK_S)
        except Timeout:
            holder = _recorded(folder)
            raise UsageError("another process works in this run folder", where=folder,
                             found=f"pid {holder.get('pid')} on {holder.get('host')}, since {holder.get('started')}",
                             fix="wait for it or end it; name=OTHER gives this run a folder of its own") from None
    try:
        _check_same(folder, cfg)
        write_text(folder / "config.yaml", yaml.safe_dump(dict(cfg), sort_keys=False, allow_unicode=True))
        with _noted(folder):
            yield folder
    finally:
        lock.release()


def load(folder: Path | str) -> dict:
    """The configuration of a run that exists. Raises UsageError for what is no run folder, naming those that are near it."""
    folder = Path(folder)
    if not (folder / "config.yaml").is_file():
        siblings = sorted(path.parent.name for path in folder.parent.glob("*/config.yaml"))
        raise UsageError("not a run folder", where=folder.absolute(), expected="a folder that `python run.py` wrote",
                         found=f"runs beside it: {', '.join(siblings)}" if siblings else None, fix="run=PATH names one")
    return yaml.safe_load((folder / "config.yaml").read_text())


def read_status(folder: Path) -> dict:
    """status.json, with `killed` as the state of a run whose process is gone; empty where there is none, or none that can be read."""
    status = _recorded(folder)
    return status | {"state": "killed"} if status.get("state") == "running" and not _is_held(folder) else status


def progress_note(folder: Path) -> Listener:
    """A listener of RunProgress that keeps `progress` in the status.json of a run that this process holds; its failure ends no run."""

    def note(share: float, seconds_left: float, work: str) -> None:
        status, known = _recorded(folder), round(seconds_left) if seconds_left == seconds_left else None
        if status.get("pid") == os.getpid():
            with suppress(OSError, HostError):
                write_json(folder / "status.json", status | {"progress": {"share": round(share, 4), "seconds_left": known, "work": work,
                                                                          "at": now()}})

    return note


@contextmanager
def _noted(folder: Path) -> Iterator[None]:
    status = {"state": "running", "pid": os.getpid(), "host": socket.gethostname(), "started": now()}
    write_json(folder / "status.json", status)
    try:
        yield
    except BaseException as error:
        stopped = isinstance(error, (KeyboardInterrupt, PreemptedError, stop.Stopped))
        message = str(error) if isinstance(error, PreemptedError) or not stopped else getattr(error, "cause", "interrupted")
        try:
            last = {key: value for key, value in _recorded(folder).items() if key == "progress"}
            write_json(folder / "status.json", status | last | {"state": "stopped" if stopped else "failed", "ended": now(),
                                                                "message": message or type(error).__name__})
        except Exception as second:  # a full disk must not hide why the run failed
            error.add_note(f"status.json could not be written: {second}")
        raise
    write_json(folder / "status.json", status | {"state": "finished", "ended": now()})


def _check_same(folder: Path, cfg: Mapping) -> None:
    if not (folder / "config.yaml").exists():
        return
    try:
        before, now = semantic(load(folder)), semantic(cfg)
    except (yaml.YAMLError, AttributeError) as error:
        raise DataError("the configuration of a run is damaged", where=folder / "config.yaml", found=error,
                        fix=f"remove {folder} and run again: finished units are kept elsewhere") from error
    absent = "(absent)"
    changed = [f"{key}: {before.get(key, absent)} -> {now.get(key, absent)}" for key in sorted(before.keys() | now.keys())
               if canonical(before.get(key, absent)) != canonical(now.get(key, absent))]
    if changed:
        more = [f"and {len(changed) - 12} more"] if len(changed) > 12 else []
        raise UsageError("this run folder holds a run of another configuration", where=folder,
                         found="\n    " + "\n    ".join(changed[:12] + more),
                         fix="undo the change, name this run otherwise (name=OTHER), or remove the folder: units are kept elsewhere")


def _flat(value: object, key: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from _flat(item, f"{key}.{name}" if key else str(name))
    else:
        yield key, value


def _matches(key: str, patterns: Sequence[str] = NOT_SEMANTIC) -> bool:
    return any(fnmatchcase(key, pattern) or (pattern.endswith("*") and key == pattern[:-1]) for pattern in patterns)


def _recorded(folder: Path) -> dict:
    try:
        status = json.loads((folder / "status.json").read_text())
    except (OSError, ValueError):
        return {}
    return status if isinstance(status, dict) else {}


def _is_held(folder: Path) -> bool:
    try:
        with FileLock(folder / ".lock", timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # a read-only archive of runs
        return False


def now() -> str:
    """The time, as a run folder writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
