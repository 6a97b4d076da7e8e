"""Sliding windows over a whole scan: one encoder pass a window feeds every decoder, and axial slabs finish while windows pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from monai.data.utils import compute_importance_map
from torch import Tensor

from clnet.data.intensity import AIR_HU, Intensity

Encoded = TypeVar("Encoded")  # what the encoder makes of a batch of windows
Probabilities = Callable[[Encoded], Tensor]  # -> (batch, channel, z, y, x)

AIR_WINDOW_HU = -700  # a window with nothing denser holds no tissue; lung parenchyma lies at -900 to -500, its vessels above


@dataclass(frozen=True)
class Windows:
    """Window size in voxels of the prepared grid, the overlap of neighbours as a share of it, and windows per forward pass.

    Source: nnU-Net's overlap of 0.5 with Gaussian weights of sigma = size / 8 (paper's hyper-parameters leave it open).
    """

    patch_zyx: tuple[int, int, int]
    overlap: float = 0.5
    batch: int = 4

    def __post_init__(self):
        object.__setattr__(self, "patch_zyx", tuple(int(v) for v in self.patch_zyx))

    def starts(self, length: int, axis: int) -> list[int]:
        """Evenly spaced first voxels that cover `length` voxels with at least the wanted overlap."""
        size = self.patch_zyx[axis]
        if length <= size:
            return [0]
        count = int(np.ceil((length - size) / max(size * (1 - self.overlap), 1))) + 1
        return [round(i * (length - size) / (count - 1)) for i in range(count)]


@torch.inference_mode()
def finished_slabs(
    image_hu: np.ndarray, encoder: Callable[[Tensor], Encoded], decoders: Mapping[str, Probabilities], channels: Mapping[str, int],
    first_is_background: Mapping[str, bool], windows: Windows, intensity: Intensity, device: str | torch.device = "cpu",
    reach: Mapping[str, np.ndarray] | None = None,
) -> Iterator[tuple[int, dict[str, Tensor]]]:  # fmt: skip
    """Probabilities of every decoder, slab by slab from the first slice on.

    image_hu: (z, y, x) int16 on the prepared grid. channels: how many each decoder's probabilities have. reach: decoder -> (z,) bool,
    slices where it is wanted: windows without any of them are not shown to it, and its probabilities elsewhere mean nothing.
    Yields (first slice, decoder -> (channel, slices, y, x) float32); the slabs follow each other without gap.
    Memory grows with one window's height, not with the scan's.
    """
    shape = image_hu.shape
    padded, before = _padded(image_hu, windows.patch_zyx)
    height = windows.patch_zyx[0]
    importance = compute_importance_map(windows.patch_zyx, mode="gaussian", sigma_scale=0.125, device=device).float()
    starts = [windows.starts(length, axis) for axis, length in enumerate(padded.shape)]
    sums = {name: torch.zeros((channels[name], height, *padded.shape[1:]), device=device) for name in decoders}
    weight = torch.zeros((height, *padded.shape[1:]), device=device)
    for index, z in enumerate(starts[0]):
        places = [(y, x) for y in starts[1] for x in starts[2]]
        rows = slice(max(z - before[0], 0), z - before[0] + height)
        wanted = {name: run for name, run in decoders.items() if reach is None or name not in reach or reach[name][rows].any()}
        for chunk in _chunks([p for p in places if _holds_tissue(padded, (z, *p), windows.patch_zyx)], windows.batch):
            boxes = [tuple(slice(a, a + s) for a, s in zip(p, windows.patch_zyx[1:], strict=True)) for p in chunk]
            image = np.stack([intensity.normalise(padded[(slice(z, z + height), *box)]) for box in boxes])
            if len(image) == 1:  # torch's 3D convolution of a single sample takes longer on a CPU than that of two
                image = np.concatenate((image, image))
            encoded = encoder(torch.from_numpy(image).to(device))
            for name, probabilities in wanted.items():
                for box, probability in zip(boxes, probabilities(encoded).float(), strict=False):
                    sums[name][(slice(None), slice(None), *box)] += probability * importance
            for box in boxes:
                weight[(slice(None), *box)] += importance
        last = index == len(starts[0]) - 1
        ready = height if last else starts[0][index + 1] - z
        slab = {name: _average(total[:, :ready], weight[:ready], first_is_background[name]) for name, total in sums.items()}
        yield from _without_padding(z, slab, before, shape)
        if not last:
            weight = _shifted(weight, ready, 0)
            sums = {name: _shifted(total, ready, 1) for name, total in sums.items()}


def _padded(image_hu: np.ndarray, size_zyx: Sequence[int]) -> tuple[np.ndarray, list[int]]:
    missing = [max(size - length, 0) for size, length in zip(size_zyx, image_hu.shape, strict=True)]
    before = [m // 2 for m in missing]
    if any(missing):
        image_hu = np.pad(image_hu, [(b, m - b) for b, m in zip(before, missing, strict=True)], constant_values=AIR_HU)
    return image_hu, before


def _holds_tissue(image_hu: np.ndarray, start_zyx: Sequence[int], size_zyx: Sequence[int]) -> bool:
    box = tuple(slice(a, a + s) for a, s in zip(start_zyx, size_zyx, strict=True))
    return bool(image_hu[box].max() > AIR_WINDOW_HU)


def _chunks(items: list, size: int) -> Iterator[list]:
    for first in range(0, len(items), size):
        yield items[first : first + size]


def _average(total: Tensor, weight: Tensor, first_is_background: bool) -> Tensor:
    """Weighted mean; voxels that no window visited are background."""
    mean = total / weight.clamp_min(1e-12)
    if first_is_background:
        mean[0][weight == 0] = 1.0
    return mean


def _shifted(buffer: Tensor, rows: int, axis: int) -> Tensor:
    """Move the buffer up by `rows` slices and clear what becomes free."""
    moved = torch.zeros_like(buffer)
    keep = buffer.shape[axis] - rows
    moved.narrow(axis, 0, keep).copy_(buffer.narrow(axis, rows, keep))
    return moved


def _without_padding(
    z: int, slab: dict[str, Tensor], before: Sequence[int], shape: Sequence[int]
) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """Cut the padding off a slab whose first slice is `z` of the padded volume; yields nothing where the slab is all padding."""
    rows = next(iter(slab.values())).shape[1] if slab else 0
    low, high = max(z, before[0]), min(z + rows, before[0] + shape[0])
    if low >= high:
        return
    box = (slice(None), slice(low - z, high - z), *(slice(b, b + n) for b, n in zip(before[1:], shape[1:], strict=True)))
    yield low - before[0], {name: probability[box] for name, probability in slab.items()}
