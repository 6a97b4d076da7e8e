"""Writes that are either complete or absent: temporary file beside its place, fsync, verify, one rename.

A full disk, a quota or a missing permission becomes a HostError that names the path, what was needed and what there is; the file
that stood there before is untouched.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from clnet.errors import HostError

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_PERMISSION = {errno.EACCES, errno.EPERM, errno.EROFS}

os.umask(_UMASK := os.umask(0o022))  # POSIX lets a process read its umask only by setting it


def host_error(error: OSError, path: Path | str | None = None, needed_bytes: int | None = None) -> HostError | None:
    """The HostError that tells a user what `error` means, or None where the machine is not to blame."""
    place = Path(path or error.filename or ".")
    if error.filename and Path(error.filename).parent != place.parent:  # not the temporary file of `path`
        place = Path(error.filename)
    if error.errno in _NO_SPACE:
        return HostError(
            f"no space left to write ({error.strerror})",
            where=place,
            found=f"{_mib(_free_bytes(place))} free",
            expected=f"about {_mib(needed_bytes)}" if needed_bytes is not None else None,
            fix="free space or raise the quota or file size limit, or set paths.outputs to another disk; then run the same command again",
        )
    if error.errno in _NO_PERMISSION:
        there = _nearest_existing(place)
        status = there.stat()
        return HostError(
            f"no permission to write ({error.strerror})",
            where=place,
            found=f"{there} belongs to uid {status.st_uid} with mode {status.st_mode & 0o777:o}; this process is uid {os.geteuid()}",
            fix="make the folder writable, or set paths.outputs to a folder of yours; then run the same command again",
        )
    return None


@contextmanager
def explained(path: Path | str, needed_bytes: int | None = None) -> Iterator[None]:
    """Turn an OSError of the body into the HostError that explains it, where there is one."""
    try:
        yield
    except OSError as error:
        known = host_error(error, path, needed_bytes)
        if known is None:
            raise
        raise known from error


@contextmanager
def replace_atomically(path: Path | str, verify: Callable[[Path], None] | None = None, needed_bytes: int | None = None) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on a clean exit it becomes `path`, on any error it is removed.

    `verify(temporary)` may raise to refuse what was written. The temporary name ends in the suffixes of `path`, because many writers
    choose their format by it. Raises HostError for a full disk or a missing permission.
    """
    path = Path(path)
    with explained(path, needed_bytes):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem[:40]}.", suffix=".tmp" + "".join(path.suffixes[-2:]), dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            _sync(temporary)
            if verify is not None:
                verify(temporary)
            temporary.chmod(0o666 & ~_UMASK)
            os.replace(temporary, path)
            _sync(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def write_bytes(path: Path | str, data: bytes) -> None:
    """Put `data` at `path`; the size on disk is checked before it replaces what stood there."""

    def complete(temporary: Path) -> None:
        written = temporary.stat().st_size
        if written != len(data):
            raise HostError("file was written incompletely", where=path, found=f"{written} bytes", expected=f"{len(data)} bytes",
                            fix="check the disk, then run the same command again")

    with replace_atomically(path, complete, len(data)) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path | str, text: str) -> None:
    write_bytes(path, text.encode())


def write_json(path: Path | str, value: object) -> None:
    """Readable JSON without NaN or Infinity (ValueError), which other programs cannot parse."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def replace_folder(temporary: Path | str, final: Path | str) -> None:
    """Publish the folder `temporary` as `final` by renaming; both lie on one file system. An older `final` goes only afterwards.

    Files are synced first, so that a published folder is complete after a power cut too. Raises HostError.
    """
    temporary, final = Path(temporary), Path(final)
    with explained(final):
        for folder, _, names in os.walk(temporary):
            for name in names:
                _sync(Path(folder) / name)
            _sync(Path(folder))
        old = final.with_name(f".{final.name}.old")
        if final.exists():
            shutil.rmtree(old, ignore_errors=True)
            os.rename(final, old)
        os.rename(temporary, final)
        _sync(final.parent)
        shutil.rmtree(old, ignore_errors=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network and in-memory file systems cannot sync folders
            raise
    finally:
        os.close(handle)


def _nearest_existing(path: Path) -> Path:
    path = path.absolute()
    while not os.path.exists(path):
        path = path.parent
    return path


def _free_bytes(path: Path) -> int:
    return shutil.disk_usage(_nearest_existing(path)).free


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:.1f} MiB"
