"""Memory that a training step frees serves the next one."""

from __future__ import annotations

import resource

import pytest
import torch

from clnet.learn.heap import _glibc, freed_memory_kept

pytestmark = pytest.mark.skipif(_glibc() is None, reason="the C library is not glibc")
PAGES = (48 << 20) // resource.getpagesize()


def faults_of_blocks(count: int = 4) -> int:
    """Pages that the kernel had to provide for that many blocks of 48 MiB, each freed before the next."""
    torch.zeros(12 << 20).add_(1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        torch.zeros(12 << 20).add_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_inside_blocks_are_used_again_and_outside_they_are_not():
    assert faults_of_blocks() > PAGES
    with freed_memory_kept():
        assert faults_of_blocks() < PAGES // 8
    assert faults_of_blocks() > PAGES


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
