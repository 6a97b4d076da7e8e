"""A unit is built once, whatever kills, races or reorders it."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np
import pytest

from clnet.errors import DataError
from clnet.units import UnitStore, canonical, key_of

IDENTITY = {"spacing_mm": (3.0, 1.0, 1.0), "data": "abc", "seed": 0}

BUILD = """
import sys, time
from pathlib import Path
from clnet.units import UnitStore

def builder(folder):
    with open(folder / "log", "a") as log:
        log.write("attempt ")
    if not (folder / "checkpoint").exists():
        (folder / "checkpoint").write_text("half")
        print("half", flush=True)
        time.sleep(float(sys.argv[2]))
    (folder / "weights").write_text("whole")

UnitStore(sys.argv[1]).build("decoder", {"seed": 1}, builder)
"""


def _start(root, pause_s):
    command = [sys.executable, "-c", BUILD, str(root), str(pause_s)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_key_knows_meaning_not_spelling():
    assert key_of({"a": 1, "b": {"c": (1, 2.0)}}) == key_of({"b": {"c": [1, 2]}, "a": 1.0})
    assert key_of({"a": np.float64(0.1), "b": frozenset("yx")}) == key_of({"b": {"x", "y"}, "a": 0.1})
    assert len({key_of({"a": value}) for value in (1, 2, True, None, "1", 1.5, [1], {"1": 1})}) == 8
    assert key_of(IDENTITY) == "b3db7f9dcfd93478"  # a key that changes orphans every unit that users have


def test_key_takes_dataclasses():
    @dataclass(frozen=True)
    class Recipe:
        spacing_mm: tuple[float, ...] = (1.0, 2.0)

    assert canonical(Recipe()) == '{"spacing_mm":[1,2]}'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), os.path, b"bytes"])
def test_unstable_identity_is_refused(value):
    with pytest.raises((TypeError, ValueError)):
        key_of({"a": value})


def test_unit_is_built_once(tmp_path):
    store, built = UnitStore(tmp_path), []

    def builder(folder):
        built.append(folder)
        (folder / "a").write_text("abc")

    assert not store.finished("data", IDENTITY)
    path = store.build("data", IDENTITY, builder)
    assert path == store.path("data", IDENTITY) == tmp_path / "data" / key_of(IDENTITY)
    assert UnitStore(tmp_path).build("data", dict(reversed(IDENTITY.items())), builder) == path
    assert len(built) == 1 and built[0] != path and not built[0].exists()
    record = json.loads((path / "unit.json").read_text())
    assert record["identity"] == json.loads(canonical(IDENTITY)) and record["files"] == {"a": 3} and "python" in record["versions"]
    assert sorted(os.listdir(path)) == ["a", "unit.json"]
    assert 0 <= UnitStore(tmp_path).seconds("data", IDENTITY) < 5


def test_failing_builder_publishes_nothing_and_can_resume(tmp_path):
    store = UnitStore(tmp_path)

    def fail(folder):
        (folder / "case_1").write_text("done")
        raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        store.build("data", IDENTITY, fail)
    assert not store.finished("data", IDENTITY) and not store.path("data", IDENTITY).exists()
    path = store.build("data", IDENTITY, lambda folder: (folder / "case_2").write_text((folder / "case_1").read_text()))
    assert (path / "case_2").read_text() == "done"


def test_kill_in_the_middle_then_resume(tmp_path):
    process = _start(tmp_path, 60)
    assert process.stdout.readline() == "half\n"
    time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    process.stdout.close()
    store = UnitStore(tmp_path)
    assert not store.finished("decoder", {"seed": 1})
    second = _start(tmp_path, 60)
    assert second.communicate(timeout=20)[0] == "" and second.returncode == 0
    path = store.path("decoder", {"seed": 1})
    assert store.finished("decoder", {"seed": 1}) and (path / "log").read_text() == "attempt attempt "
    assert not [name for name in os.listdir(tmp_path / "decoder") if name.startswith(".")]


def test_two_processes_build_one_unit(tmp_path):
    processes = [_start(tmp_path, 0.5) for _ in range(2)]
    outputs = [process.communicate(timeout=20)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0] and sorted(outputs) == ["", "half\n"]
    assert (UnitStore(tmp_path).path("decoder", {"seed": 1}) / "log").read_text() == "attempt "


@pytest.mark.parametrize("damage, message", [
    (lambda path: (path / "a").write_text("short"), "has been changed"),
    (lambda path: (path / "a").unlink(), "no such file"),
    (lambda path: (path / "unit.json").unlink(), "without its record"),
    (lambda path: (path / "unit.json").write_text("{"), "damaged"),
    (lambda path: (path / "unit.json").write_text('{"identity": {"seed": 7}, "files": {}}'), "not what its place says"),
])
def test_changed_unit_is_refused(tmp_path, damage, message):
    path = UnitStore(tmp_path).build("data", IDENTITY, lambda folder: (folder / "a").write_text("abc"))
    damage(path)
    with pytest.raises(DataError, match=message) as caught:
        UnitStore(tmp_path).build("data", IDENTITY, lambda folder: None)
    assert str(path) in str(caught.value)


def test_other_ranks_wait_for_the_first(tmp_path, monkeypatch):
    process = _start(tmp_path, 0.5)
    assert process.stdout.readline() == "half\n"
    monkeypatch.setenv("LOCAL_RANK", "1")
    path = UnitStore(tmp_path).build("decoder", {"seed": 1}, lambda folder: pytest.fail("only rank 0 builds"))
    assert (path / "weights").read_text() == "whole"
    process.communicate(timeout=20)


def test_seconds_add_up_over_attempts(tmp_path):
    store = UnitStore(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        store.build("data", IDENTITY, _slow_then_stopped)
    store.build("data", IDENTITY, lambda folder: None)
    assert store.seconds("data", IDENTITY) >= 0.25


def _slow_then_stopped(folder):
    time.sleep(0.3)
    (folder / "checkpoint").write_text("half")
    raise KeyboardInterrupt
