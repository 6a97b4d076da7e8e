"""Label maps in compressed pieces: what has left the network's reach waits here for the rest of its scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import blosc2
import numpy as np

from clnet.infer.offheap import Pieces

# bits of the same weight lie together, so that unused ones cost nothing: labels up to 3 take 2 bits a voxel even where they are noise
_COMPRESSION = {"codec": blosc2.Codec.LZ4, "clevel": 5, "nthreads": 1, "filters": [blosc2.Filter.BITSHUFFLE], "filters_meta": [0]}
Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Packed:
    """An array in memory, compressed."""

    data: memoryview
    shape: tuple[int, ...]
    dtype: np.dtype

    @classmethod
    def of(cls, array: np.ndarray, pieces: Pieces) -> Packed:
        """Without loss, kept among the pieces."""
        data = blosc2.compress2(np.ascontiguousarray(array), typesize=array.itemsize, **_COMPRESSION)
        return cls(pieces.keep(data), array.shape, array.dtype)

    def array(self) -> np.ndarray:
        """What was packed."""
        array = np.empty(self.shape, self.dtype)
        blosc2.decompress2(self.data, dst=array, nthreads=1)
        return array


class PackedLabelMap:
    """A (z, y, x) label map that is filled in boxes and read in slabs; where no box came it is 0."""

    def __init__(self, shape_zyx: Sequence[int], dtype: np.typing.DTypeLike = np.uint8):
        self.shape_zyx, self.dtype = tuple(shape_zyx), np.dtype(dtype)
        self.pieces: list[tuple[Box, Packed]] = []
        self._memory = Pieces()

    def add(self, box: Box, values: np.ndarray) -> None:
        """values: (z, y, x) of the box; boxes do not overlap."""
        if values.any():
            self.pieces.append((box, Packed.of(values, self._memory)))

    def read(self, rows: slice | None = None) -> np.ndarray:
        """(z, y, x) of the slices `rows`, or of all."""
        rows = rows or slice(0, self.shape_zyx[0])
        values = np.zeros((rows.stop - rows.start, *self.shape_zyx[1:]), self.dtype)
        for (z, *plane), packed in self.pieces:
            low, high = max(z.start, rows.start), min(z.stop, rows.stop)
            if low < high:
                values[(slice(low - rows.start, high - rows.start), *plane)] = packed.array()[low - z.start : high - z.start]
        return values

    @property
    def nbytes(self) -> int:
        """Of the packed pieces."""
        return sum(len(packed.data) for _, packed in self.pieces)
