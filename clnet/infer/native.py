"""Back to the scan's own grid: slabs of probabilities are interpolated and decided as they come."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from clnet.data.resample import axis_weights

_VALUES = 1 << 26  # probabilities on the native grid at a time


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
        self.weights = [torch.tensor(axis_weights(n, stop - start)) for n, (start, stop) in zip(prepared_zyx, crop_zyx, strict=True)]
        touched = self.weights[0] > 0
        self.first = touched.int().argmax(1).tolist()  # prepared slices that each native slice reads
        self.last = (touched.shape[1] - 1 - touched.flip(1).int().argmax(1)).tolist()

    def ready(self, stop: int) -> int:
        """How many native slices of the crop read prepared slices before `stop` alone."""
        return bisect_left(self.last, stop)


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
        self.stop = stop = first + slices
        end, claims = grid.ready(stop), []
        if certain and self.kept is None:
            return claims
        if certain:
            probability = self._background(self.kept, slices)
        elif self.kept is None and done < len(grid.first) and grid.first[done] < first:
            self.kept = self._background(probability, first - grid.first[done])
        if self.kept is not None:
            first -= self.kept.shape[1]
            probability = torch.cat((self.kept, probability), dim=1)
        if end > done:
            along_z = grid.weights[0][done:end, first:stop].to(probability)
            probability_z = probability if _same(along_z) else torch.einsum("nz,czyx->cnyx", along_z, probability)
            rows = max(_VALUES // (len(probability) * len(grid.weights[1]) * len(grid.weights[2])), 1)
            pieces = (self._claim(done + at, probability_z[:, at : at + rows]) for at in range(0, end - done, rows))
            claims = [claim for claim in pieces if claim is not None]
        keep_from = min(grid.first[end], stop) if end < len(grid.first) else stop
        self.kept = None if certain or keep_from == stop else probability[:, keep_from - first :].clone()
        return claims

    def _background(self, like: Tensor, slices: int) -> Tensor:
        """Slices where no decoder's window was."""
        certain = like.new_zeros((len(like), slices, *like.shape[2:]))
        if not self.nested:
            certain[0] = 1.0
        return certain

    def _claim(self, first: int, probability: Tensor) -> Claim | None:
        """Interpolate native slices from `first` of the crop on in the plane and decide, inside the box where anything but background
        can win."""
        possible = (probability >= 0.5).any(0) if self.nested else probability[0] < 0.5
        possible = possible.any(0)
        if not possible.any():
            return None
        grid, source, target = self.grid, [], []
        for axis, weights in ((1, grid.weights[1]), (0, grid.weights[2])):
            hit = torch.nonzero(possible.any(axis))[:, 0]
            touched = torch.nonzero((weights[:, int(hit[0]) : int(hit[-1]) + 1] > 0).any(1))[:, 0]
            low, high = int(touched[0]), int(touched[-1]) + 1
            read = torch.nonzero((weights[low:high] > 0).any(0))[:, 0]
            target.append(slice(low, high))
            source.append(slice(int(read[0]), int(read[-1]) + 1))
        y, x = (w[t, s].to(probability) for w, t, s in zip(grid.weights[1:], target, source, strict=True))
        box = probability[:, :, source[0], source[1]]
        box = box if _same(y) else torch.einsum("ny,czyx->cznx", y, box)
        box = box if _same(x) else torch.einsum("nx,czyx->czyn", x, box)
        labels, confidence = decide(box, self.nested)
        rows = slice(first, first + probability.shape[1])
        place = tuple(slice(b.start + start, b.stop + start) for b, start in zip((rows, *target), grid.start, strict=True))
        return Claim(place, labels.cpu().numpy(), confidence.cpu().numpy())


def _same(weights: Tensor) -> bool:
    """Whether an interpolation leaves everything as it is: the grids coincide on this axis."""
    return weights.shape[0] == weights.shape[1] and bool((weights.diagonal() == 1).all())
