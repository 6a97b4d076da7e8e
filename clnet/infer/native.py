"""Back to the scan's own grid: slabs of probabilities are interpolated and decided as they come."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from clnet.data.resample import axis_weights


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


class NativeLabelMap:
    """Collects one decoder's slabs and fills `labels` and `confidence` on the native grid, linearly interpolating probabilities.

    Both are (z, y, x) uint8: the label map as `Part` defines it, and 255 times the probability of the label (`decide`).
    prepared_zyx: shape of the prepared volume; native_zyx: shape of the same extent (the body crop) on the native grid.
    Deciding after the interpolation keeps borders smooth where the prepared grid is coarser, as nnU-Net does. At most one
    prepared slice is kept from slab to slab.
    """

    def __init__(self, prepared_zyx: Sequence[int], native_zyx: Sequence[int], nested: bool):
        self.nested = nested
        self.weights = [torch.tensor(axis_weights(a, b)) for a, b in zip(prepared_zyx, native_zyx, strict=True)]
        self.labels = np.zeros(tuple(native_zyx), np.uint8)
        self.confidence = np.zeros_like(self.labels)
        touched = self.weights[0] > 0
        self.first = touched.int().argmax(1).tolist()  # prepared slices that each native slice reads
        self.last = (touched.shape[1] - 1 - touched.flip(1).int().argmax(1)).tolist()
        self.next_slice = 0
        self.kept: Tensor | None = None
        self.kept_from = 0

    def add(self, first_slice: int, probability: Tensor) -> None:
        """probability: (channel, slices, y, x) of the prepared slices from `first_slice` on; slabs come in order."""
        if self.kept is not None:
            probability = torch.cat((self.kept, probability), dim=1)
            first_slice = self.kept_from
        stop = first_slice + probability.shape[1]
        end = self.next_slice
        while end < len(self.last) and self.last[end] < stop:
            end += 1
        if end > self.next_slice:
            along_z = self.weights[0][self.next_slice : end, first_slice:stop].to(probability)
            self._fill(slice(self.next_slice, end), torch.einsum("nz,czyx->cnyx", along_z, probability))
            self.next_slice = end
        keep_from = min(self.first[end], stop) if end < len(self.first) else stop
        self.kept, self.kept_from = probability[:, keep_from - first_slice :].clone(), keep_from

    def _fill(self, rows: slice, probability: Tensor) -> None:
        """Interpolate in the plane and decide, inside the box where anything but background can win."""
        possible = (probability >= 0.5).any(0) if self.nested else probability[0] < 0.5
        possible = possible.any(0)
        if not possible.any():
            return
        source, target = [], []
        for axis, weights in ((1, self.weights[1]), (0, self.weights[2])):
            hit = torch.nonzero(possible.any(axis))[:, 0]
            touched = torch.nonzero((weights[:, int(hit[0]) : int(hit[-1]) + 1] > 0).any(1))[:, 0]
            low, high = int(touched[0]), int(touched[-1]) + 1
            read = torch.nonzero((weights[low:high] > 0).any(0))[:, 0]
            target.append(slice(low, high))
            source.append(slice(int(read[0]), int(read[-1]) + 1))
        y, x = (w[t, s].to(probability) for w, t, s in zip(self.weights[1:], target, source, strict=True))
        box = probability[:, :, source[0], source[1]]
        box = torch.einsum("ny,czyx->cznx", y, box)
        box = torch.einsum("nx,czyx->czyn", x, box)
        labels, confidence = decide(box, self.nested)
        self.labels[(rows, *target)] = labels.cpu().numpy()
        self.confidence[(rows, *target)] = confidence.cpu().numpy()
