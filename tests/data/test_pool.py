"""Work in several processes, some of which are killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from clnet.data.pool import each
from clnet.errors import DataError, HostError


def square(item):
    return item * item


def killed_on_three(item):
    if item == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return item * item


def killed_once(path: Path):
    if path.name == "victim" and not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return path.name


def refuse(item):
    raise DataError("not sound", where=item, fix="none")


def threads(_):
    return os.environ["OMP_NUM_THREADS"]


@pytest.mark.parametrize("workers", [0, 2])
def test_every_item_once(workers):
    assert dict(each(square, [1, 2, 3], workers, str)) == {1: 1, 2: 4, 3: 9}
    assert list(each(square, [], workers, str)) == []


def test_item_that_kills_its_process_is_named_and_the_others_are_done():
    done = {}
    with pytest.raises(HostError, match="out of memory") as caught:
        for item, result in each(killed_on_three, [1, 2, 3, 4, 5], 2, "case {}".format):
            done[item] = result
    assert done == {1: 1, 2: 4, 4: 16, 5: 25} and caught.value.where == "case 3" and caught.value.exit_code == 4


def test_item_that_is_killed_once_is_done_in_the_end(tmp_path):
    items = [tmp_path / name for name in ("a", "victim", "b")]
    assert {result for _, result in each(killed_once, items, 2, str)} == {"a", "victim", "b"}


def test_errors_pass_through_with_what_they_say():
    with pytest.raises(DataError) as caught:
        list(each(refuse, ["x"], 1, str))
    assert caught.value.where == "x" and caught.value.what == "not sound"


def test_workers_have_one_thread_and_leave_the_environment_alone(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert dict(each(threads, [0], 1, str)) == {0: "1"}
    assert os.environ["OMP_NUM_THREADS"] == "7"
