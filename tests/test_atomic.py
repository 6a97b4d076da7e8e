"""Nothing half-written ever stands in a place that is read, and the machine's refusals are explained."""

import errno
import multiprocessing
import os
import resource
import signal
from pathlib import Path

import pytest

from clnet import atomic
from clnet.errors import ClnetError, HostError


def _in_child(work, *arguments):
    """Run `work` in a forked child and return what it sends back."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=lambda: sender.send(work(*arguments)))
    process.start()
    process.join(20)
    assert process.exitcode == 0
    return receiver.recv()


def test_bytes_and_json_arrive(tmp_path):
    atomic.write_bytes(tmp_path / "new" / "a.bin", b"abc")
    assert (tmp_path / "new" / "a.bin").read_bytes() == b"abc"
    with pytest.raises(ValueError):
        atomic.write_json(tmp_path / "a.json", {"dsc": float("nan")})
    assert [file.name for file in tmp_path.rglob("*") if file.is_file()] == ["a.bin"]


def test_failure_keeps_the_old_file_and_no_temporary(tmp_path):
    path = tmp_path / "a.nii.gz"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic.replace_atomically(path) as temporary:
        assert temporary.parent == tmp_path and temporary.name.endswith(".nii.gz")
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.nii.gz"]


def test_verification_refuses(tmp_path):
    def refuse(temporary):
        assert temporary.read_text() == "bad"
        raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"), atomic.replace_atomically(tmp_path / "a", refuse) as temporary:
        temporary.write_text("bad")
    assert os.listdir(tmp_path) == []


def _write_above_the_limit(path: Path) -> str:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        atomic.write_bytes(path, b"x" * 3_000_000)
    except HostError as error:
        return str(error)
    return "written"


def test_full_disk_is_explained(tmp_path):
    path = tmp_path / "a.bin"
    path.write_text("old")
    message = _in_child(_write_above_the_limit, path)
    assert "no space" in message and str(path) in message and "2.9 MiB" in message and "free" in message
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.bin"]


def _write_as_nobody(folder: Path) -> str:
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    try:
        atomic.write_bytes(folder / "a.bin", b"x")
    except HostError as error:
        return str(error)
    except ClnetError as error:
        return f"other: {error}"
    return "written"


def test_missing_permission_names_owner_and_user(tmp_path_factory):
    folder = tmp_path_factory.mktemp("closed")
    owner = folder.stat().st_uid
    for parent in list(folder.parents)[:3]:  # pytest's own folders are closed to others
        if parent.stat().st_uid == os.geteuid() and parent != Path(parent.anchor):
            parent.chmod(parent.stat().st_mode | 0o011)
    folder.chmod(0o555)
    message = _in_child(_write_as_nobody, folder)
    folder.chmod(0o755)
    assert "no permission" in message and f"uid {owner}" in message and "process is uid" in message and str(folder) in message


def test_other_os_errors_stay_what_they_are():
    assert atomic.host_error(OSError(errno.EIO, "i/o error"), "a") is None
    assert "no space" in str(atomic.host_error(OSError(errno.ENOSPC, "No space left on device"), "a", 5))
    assert atomic.host_error(OSError(errno.EROFS, "Read-only file system"), "a").exit_code == 4


def test_folder_is_published_and_replaced(tmp_path):
    for content in ("one", "two"):
        temporary = tmp_path / ".new"
        temporary.mkdir()
        (temporary / "a").write_text(content)
        atomic.replace_folder(temporary, tmp_path / "final")
        assert (tmp_path / "final" / "a").read_text() == content
    assert os.listdir(tmp_path) == ["final"]
