"""Memory that a training step frees serves the next one."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from clnet.learn.heap import _glibc, freed_memory_kept

pytestmark = pytest.mark.skipif(_glibc() is None, reason="the C library is not glibc")
PAGES = (48 << 20) // resource.getpagesize()
FAULTS = """
import resource
import torch
from clnet.learn.heap import freed_memory_kept

def faults():
    for _ in range(6):  # until the heap has grown to what it takes
        torch.zeros(12 << 20).add_(1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.zeros(12 << 20).add_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

outside = faults()
with freed_memory_kept():
    inside = faults()
print(outside, inside)
"""


def test_inside_blocks_are_used_again_and_before_it_they_are_not():
    """Pages that the kernel had to provide for four blocks of 48 MiB, each freed before the next; in a process with a heap of its own."""
    done = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    outside, inside = (int(value) for value in done.stdout.split())
    assert inside < PAGES // 8 < PAGES < outside


def test_the_heap_is_given_back_even_after_an_error():
    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1])

    before = resident()
    with pytest.raises(KeyError), freed_memory_kept():
        torch.zeros(64 << 20).add_(1)
        assert resident() > before + 3 * PAGES
        raise KeyError
    assert resident() < before + PAGES
