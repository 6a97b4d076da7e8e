"""Back to the scan's own grid: slabs of probabilities are interpolated and decided as they come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from clnet.infer.linearaxis import LinearAxis

_VALUES = {"cpu": 1 << 22, "cuda": 1 << 26}  # probabilities on the native grid at a time: few in caches, many where calls are what costs


def decide(probability: Tensor, nested: bool) -> tuple[Tensor, Tensor]:
    """Label map and confidence from averaged probabilities.

    probability: (channel, ...), background first unless nested. Both returned are (...) uint8. Label map: the likeliest channel's
    index, or one bit for each nested label of probability at least one half. Confidence: round(255 * probability of the predicted
    label), 0 on the background; nested labels have several probabilities a voxel and are not weighed: 255 wherever there is one.
    """
    if not nested:
        highest, labels = probability.max(0)  # at once; argmax alone takes several times as long on a CPU
        confidence = highest.mul_(255).round_().to(torch.uint8)
        return labels.to(torch.uint8), confidence.masked_fill_(labels == 0, 0)
    bits = torch.tensor([1 << i for i in range(len(probability))], device=probability.device)
    labels = ((probability >= 0.5) * bits.reshape(-1, *([1] * (probability.ndim - 1)))).sum(0).to(torch.uint8)
    return labels, (labels > 0).to(torch.uint8) * 255


@dataclass(frozen=True)
class Claim:
    """What a decoder predicts in some slices: box (z, y, x) on the scan's native grid, label map and confidence inside it, both uint8.

    Outside of the box it predicts nothing there. The label map's values are as `Part` defines them, the confidence is as in `decide`.
    """

    box: tuple[slice, slice, slice]
    labels: np.ndarray
    confidence: np.ndarray


class NativeGrid:
    """Where the native grid of a scan reads the prepared one; shared by all decoders.

    prepared_zyx: shape of the prepared volume; crop_zyx: (start, stop) of the same extent on the native grid of the scan.
    """

    def __init__(self, prepared_zyx: Sequence[int], crop_zyx: Sequence[tuple[int, int]]):
        self.start = [start for start, _ in crop_zyx]
        self.axes = [LinearAxis(n, stop - start) for n, (start, stop) in zip(prepared_zyx, crop_zyx, strict=True)]

    def ready(self, stop: int) -> int:
        """How many native slices of the crop read prepared slices before `stop` alone."""
        return self.axes[0].ready(stop)


class NativeClaims:
    """Interpolates one decoder's slabs linearly to the native grid and decides there; each slab gives what it finishes.

    Deciding after the interpolation keeps borders smooth where the prepared grid is coarser, as nnU-Net does. At most one
    prepared slice is kept from slab to slab.
    """

    def __init__(self, grid: NativeGrid, nested: bool):
        self.grid, self.nested = grid, nested
        self.kept: Tensor | None = None  # (channel, slices, y, x): the last slices before `stop` that native slices still read
        self.stop = 0

    def add(self, probability: Tensor | None, slices: int) -> list[Claim]:
        """The next `slices` prepared slices, (channel, slices, y, x); None where nothing but background is possible."""
        grid, first, done, certain = self.grid, self.stop, self.grid.ready(self.stop), probability is None
        axis, self.stop = grid.axes[0], first + slices
        end = grid.ready(self.stop)
        if certain and self.kept is None:
            return []
        if certain:
            probability = self._background(self.kept, slices)
        elif self.kept is None and done < axis.size_out and axis.first[done] < first:
            self.kept = self._background(probability, first - axis.first[done])
        if self.kept is not None:
            first -= self.kept.shape[1]
            probability = torch.cat((self.kept, probability), dim=1)
        keep_from = min(axis.first[end], self.stop) if end < axis.size_out else self.stop
        self.kept = None if certain or keep_from == self.stop else probability[:, keep_from - first :].clone()
        plane = grid.axes[1].size_out * grid.axes[2].size_out
        rows = max(_VALUES.get(probability.device.type, 1 << 22) // (len(probability) * plane), 1)
        pieces = (self._claim(slice(at, min(at + rows, end)), probability, first) for at in range(done, end, rows))
        return [claim for claim in pieces if claim is not None]

    def _background(self, like: Tensor, slices: int) -> Tensor:
        """Slices where no decoder's window was."""
        certain = like.new_zeros((len(like), slices, *like.shape[2:]))
        if not self.nested:
            certain[0] = 1.0
        return certain

    def _claim(self, rows: slice, probability: Tensor, first: int) -> Claim | None:
        """Interpolate native slices of the crop out of prepared slices from `first` on and decide, inside the box where anything but
        background can win."""
        probability = self.grid.axes[0].along(1, probability, rows, first)
        possible = (probability >= 0.5).any(0) if self.nested else probability[0] < 0.5
        possible = possible.any(0)
        if not possible.any():
            return None
        box, target = probability, [rows]
        for dimension, axis in ((3, self.grid.axes[2]), (2, self.grid.axes[1])):  # fewer rows while the first is interpolated
            hit = torch.nonzero(possible.any(3 - dimension))[:, 0]
            own = axis.readers(slice(int(hit[0]), int(hit[-1]) + 1))
            if own.start >= own.stop:  # a coarser grid steps over it
                return None
            read = axis.reads(own)
            box = axis.along(dimension, box.narrow(dimension, read.start, read.stop - read.start), own, read.start)
            target.insert(1, own)
        labels, confidence = decide(box, self.nested)
        place = tuple(slice(b.start + start, b.stop + start) for b, start in zip(target, self.grid.start, strict=True))
        return Claim(place, labels.cpu().numpy(), confidence.cpu().numpy())
