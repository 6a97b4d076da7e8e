"""What lies beside the heap takes memory when it is written to, and gives it back when it is let go."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import pytest
import torch

from clnet.infer.offheap import Pieces, zeros

MIB = 1 << 20
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def resident() -> int:
    """Bytes of this process in memory."""
    return 4096 * int(Path("/proc/self/statm").read_text().split()[1])


def test_zeros_are_an_ordinary_tensor():
    found = zeros((2, 3, 4))
    assert found.shape == (2, 3, 4) and found.dtype == torch.float32 and not found.any()
    found[1] += 2.5
    assert found.sum() == 30 and zeros((0, 3)).shape == (0, 3)


@linux
def test_zeros_take_memory_where_they_are_written_to_and_give_it_back():
    gc.collect()
    before = resident()
    found = zeros((64, MIB // 4))
    assert resident() - before < 8 * MIB
    found[:32] = 1
    assert 24 * MIB < resident() - before < 40 * MIB
    del found
    assert resident() - before < 8 * MIB


def test_pieces_keep_what_they_are_given():
    pieces = Pieces(block_bytes=10)
    given = [bytes([n]) * size for n, size in enumerate((4, 6, 0, 1, 25, 9, 10))]  # fits exactly, empty, larger than a block
    kept = [pieces.keep(data) for data in given]
    del pieces
    assert [bytes(piece) for piece in kept] == given


@linux
def test_blocks_go_back_when_their_last_piece_does():
    pieces, data = Pieces(block_bytes=8 * MIB), b"x" * MIB
    before = resident()
    kept = [pieces.keep(data) for _ in range(32)]
    assert resident() - before > 28 * MIB
    del kept[:24]
    assert resident() - before < 16 * MIB and bytes(kept[0]) == data
