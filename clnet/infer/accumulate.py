"""Weighted sums of what windows put out, over the slices that windows can still reach; averages leave as axial slabs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from torch import Tensor

from clnet.infer.offheap import zeros

SLAB_VOXELS = 1 << 19  # of one channel, in a slab: what works on slabs needs little memory, however high the windows are
_BYTES = 4  # of a float32


def sums_bytes(channels: int, height: int, plane_yx: Sequence[int]) -> int:
    """What the sums of a decoder take while windows put anything into them."""
    return channels * height * plane_yx[0] * plane_yx[1] * _BYTES


class WindowSums:
    """Of one row of windows after the other, from the feet up. A decoder's sums exist only where windows have put something into them.

    height: of a window; plane_yx: size of the padded volume's slices; channels: of each decoder's probabilities; background: decoders
    whose first channel is the background; importance: (z, y, x) float32, a window's weights.
    """

    def __init__(
        self, height: int, plane_yx: Sequence[int], channels: Mapping[str, int], background: frozenset[str], importance: Tensor
    ):  # fmt: skip
        self.height, self.plane_yx, self.channels, self.background = height, tuple(plane_yx), channels, background
        self.importance = importance
        self.weight = zeros((height, *self.plane_yx), importance.device)
        self.sums: dict[str, Tensor] = {}
        self._filled: dict[str, int] = {}  # slices, from the first on, that may hold something

    def add(self, name: str, boxes_yx: Sequence[tuple[slice, slice]], probabilities: Tensor) -> None:
        """probabilities: (window, channel, z, y, x) float32 of the windows at `boxes_yx` in this row; windows beyond those do not count."""
        if name not in self.sums:
            self.sums[name] = zeros((self.channels[name], *self.weight.shape), self.weight.device)
        self._filled[name] = self.height
        for box, window in zip(boxes_yx, probabilities, strict=False):
            for sums, channel in zip(self.sums[name], window, strict=True):  # one product at a time, which stays in caches
                sums[(slice(None), *box)] += channel * self.importance

    def visit(self, box_yx: tuple[slice, slice]) -> None:
        """The window at `box_yx` was shown to all decoders that are wanted in this row."""
        self.weight[(slice(None), *box_yx)] += self.importance

    def advance(self, slices: int) -> None:
        """Go on to the row `slices` further up; sums that hold nothing there are let go."""
        _shifted(self.weight, slices, 0)
        for name in list(self.sums):
            self._filled[name] -= slices
            if self._filled[name] > 0:
                _shifted(self.sums[name], slices, 1)
            else:
                del self.sums[name], self._filled[name]


class Slab(Mapping[str, Tensor]):
    """Mean probabilities of some slices: decoder -> (channel, z, y, x) float32, each computed when it is asked for.

    A decoder that is missing was shown no window here: its background is certain. Read it before the next slab is asked for.
    """

    def __init__(self, sums: WindowSums, box: tuple[slice, slice, slice]):
        self._sums, self._box = sums, box

    def __getitem__(self, name: str) -> Tensor:
        mean = self._sums.sums[name][(slice(None), *self._box)] / self._divisor
        if name in self._sums.background:
            mean[0].masked_fill_(self._nowhere, 1.0)
        return mean

    @cached_property
    def _divisor(self) -> Tensor:
        return self._sums.weight[self._box].clamp_min(1e-12)

    @cached_property
    def _nowhere(self) -> Tensor:
        """(z, y, x) bool: no window was there."""
        return self._sums.weight[self._box] == 0

    def __iter__(self) -> Iterator[str]:
        return iter(self._sums.sums)

    def __len__(self) -> int:
        return len(self._sums.sums)

    @property
    def slices(self) -> int:
        """How many slices it has."""
        return self._box[0].stop - self._box[0].start


def _shifted(buffer: Tensor, slices: int, axis: int) -> None:
    """Move the buffer's content by `slices` towards its start, in place, and clear what becomes free."""
    keep = buffer.shape[axis] - slices
    for first in range(0, keep, slices):  # the source of each piece lies beyond its target
        size = min(slices, keep - first)
        buffer.narrow(axis, first, size).copy_(buffer.narrow(axis, first + slices, size))
    buffer.narrow(axis, keep, slices).zero_()
