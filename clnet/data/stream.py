"""A file's bytes piece by piece, without keeping them."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from clnet.data.nifti import Header

_PIECE = 1 << 20


class Pieces:
    """The stream in pieces; ends early at damage, which `damage` then describes; `count` bytes came out."""

    def __init__(self, stream: BinaryIO):
        self._stream, self.count, self.damage = stream, 0, None

    def __iter__(self) -> Iterator[bytes]:
        while True:
            try:
                piece = self._stream.read1(_PIECE) if hasattr(self._stream, "read1") else self._stream.read(_PIECE)
            except EOFError:
                self.damage = "the compressed stream ends early"
                return
            except (gzip.BadGzipFile, zlib.error) as error:
                self.damage = str(error)
                return
            if not piece:
                return
            self.count += len(piece)
            yield piece


class FiniteScan:
    """Counts NaN and infinity in a stream of bytes whose first `offset` are header."""

    def __init__(self, header: Header):
        self._header, self._rest, self._skip, self._seen = header, b"", header.offset, 0
        self.count, self.first = 0, None

    def feed(self, piece: bytes) -> None:
        skipped = min(self._skip, len(piece))
        self._skip -= skipped
        data = self._rest + piece[skipped:]
        whole = len(data) - len(data) % self._header.dtype.itemsize
        values = np.frombuffer(data[:whole], self._header.dtype)[: max(0, self._header.voxels - self._seen)]
        bad = np.flatnonzero(~np.isfinite(values))
        if len(bad) and self.first is None:
            self.first = tuple(int(i) for i in np.unravel_index(self._seen + int(bad[0]), self._header.shape_xyz, order="F"))
        self.count += len(bad)
        self._seen += len(values)
        self._rest = data[whole:]
