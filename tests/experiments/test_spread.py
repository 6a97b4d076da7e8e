"""How many processes predict, with how many threads, and which GPU each of them takes."""

from __future__ import annotations

import os

import pytest

from clnet.errors import UsageError
from experiments import spread


def test_a_cpu_has_as_many_processes_as_asked_for_and_they_share_the_cores(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 12)
    assert spread.workers_of({"accelerator": "cpu", "devices": 4}, 3) == 3 and spread.workers_of({}, 2) == 2
    assert spread.shared_out({"threads": None}, 3) == {"threads": 4} and spread.shared_out({"threads": 5}, 3) == {"threads": 5}
    assert spread.shared_out({"threads": None}, 1) == {"threads": None} and spread.shared_out({}, 100) == {"threads": 1}


def test_gpus_have_one_process_each(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    assert spread.workers_of({"accelerator": "gpu", "devices": 4}, 9) == 4 and spread.workers_of({"accelerator": "gpu"}, 9) == 1
    with pytest.raises(UsageError, match="fewer GPUs"):
        spread.workers_of({"accelerator": "gpu", "devices": 5}, 1)


def test_no_two_processes_take_the_same_gpu_and_a_dead_ones_is_free_again(tmp_path, monkeypatch):
    held = []
    monkeypatch.setattr(spread, "_HELD", held)
    assert [spread._own_place(2, tmp_path), spread._own_place(2, tmp_path)] == [0, 1]
    with pytest.raises(UsageError, match="more processes than GPUs"):
        spread._own_place(2, tmp_path)
    held[0].release()
    assert spread._own_place(2, tmp_path) == 0
    for lock in held:
        lock.release()
