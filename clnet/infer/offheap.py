"""Memory beside the heap, for what stays long: sums of windows, and compressed pieces that wait for the rest of their scan.

The C library's heap goes back to the system only from its end. What is put between the large arrays that come and go with every window and
slab, and stays when they go, leaves gaps that the next arrays do not fit into. Here each thing lies in anonymous memory of its own, which
takes nothing before it is written to and goes back as soon as it is let go.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

_PRIVATE = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}  # Windows knows no other


def zeros(shape: Sequence[int], device: torch.device | str = "cpu") -> Tensor:
    """float32 zeros; on a device with memory of its own, out of that."""
    count = prod(shape)
    if torch.device(device).type != "cpu" or not count:
        return torch.zeros(tuple(shape), device=device)
    return torch.frombuffer(mmap.mmap(-1, 4 * count, **_PRIVATE), dtype=torch.float32).view(tuple(shape))


class Pieces:
    """Keeps bytes one behind the other. A block of them goes back when neither this nor any piece in it is left."""

    def __init__(self, block_bytes: int = 1 << 22):
        self._block_bytes, self._block, self._used = block_bytes, memoryview(b""), 0

    def keep(self, data: bytes) -> memoryview:
        """A copy of the data."""
        if self._used + len(data) > len(self._block):
            self._block, self._used = memoryview(mmap.mmap(-1, max(self._block_bytes, len(data)), **_PRIVATE)), 0
        piece = self._block[self._used : self._used + len(data)]
        piece[:] = data
        self._used += len(data)
        return piece
