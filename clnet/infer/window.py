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
from clnet.infer.accumulate import SLAB_VOXELS, Slab, WindowSums

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

    def rows(self, length: int) -> list[slice]:
        """The slices of a scan of `length` slices that each row of windows shows, from the first row on."""
        before = max(self.patch_zyx[0] - length, 0) // 2  # of padding
        first = self.starts(max(length, self.patch_zyx[0]), 0)
        return [slice(max(z - before, 0), min(z - before + self.patch_zyx[0], length)) for z in first]


@torch.inference_mode()
def finished_slabs(
    image_hu: np.ndarray, encoder: Callable[[Tensor], Encoded], decoders: Mapping[str, Probabilities], channels: Mapping[str, int],
    first_is_background: Mapping[str, bool], windows: Windows, intensity: Intensity, device: str | torch.device = "cpu",
    reach: Mapping[str, np.ndarray] | None = None,
) -> Iterator[tuple[int, Slab]]:  # fmt: skip
    """Probabilities of every decoder, slab by slab from the first slice on.

    image_hu: (z, y, x) int16 on the prepared grid. channels: how many each decoder's probabilities have. reach: decoder -> (z,) bool,
    slices where it is wanted: windows without any of them are not shown to it, and its probabilities elsewhere mean nothing.
    Yields (first slice, slab); the slabs follow each other without gap. Windows that no decoder wants are not encoded.
    Memory grows with one window's height and the channels of the decoders that are wanted there, not with the scan's height.
    """
    shape = image_hu.shape
    padded, before = _padded(image_hu, windows.patch_zyx)
    height = windows.patch_zyx[0]
    importance = compute_importance_map(windows.patch_zyx, mode="gaussian", sigma_scale=0.125, device=device).float()
    starts = [windows.starts(length, axis) for axis, length in enumerate(padded.shape)]
    background = frozenset(name for name, first in first_is_background.items() if first)
    sums = WindowSums(height, padded.shape[1:], channels, background, importance)
    for index, (z, shown) in enumerate(zip(starts[0], windows.rows(shape[0]), strict=True)):
        wanted = {name: run for name, run in decoders.items() if reach is None or name not in reach or reach[name][shown].any()}
        places = [(y, x) for y in starts[1] for x in starts[2] if wanted and _holds_tissue(padded, (z, y, x), windows.patch_zyx)]
        for chunk in _chunks(places, windows.batch):
            boxes = [tuple(slice(a, a + s) for a, s in zip(p, windows.patch_zyx[1:], strict=True)) for p in chunk]
            images = np.stack([intensity.normalise(padded[(slice(z, z + height), *box)]) for box in boxes])
            _show(torch.from_numpy(images).to(device), boxes, encoder, wanted, sums)
        last = index == len(starts[0]) - 1
        ready = height if last else starts[0][index + 1] - z
        yield from _without_padding(z, ready, sums, before, shape)
        if not last:
            sums.advance(ready)


def _show(
    images: Tensor, boxes: Sequence[tuple[slice, slice]], encoder: Callable[[Tensor], Encoded], wanted: Mapping[str, Probabilities],
    sums: WindowSums,
) -> None:  # fmt: skip
    """Add what decoders make of the windows at `boxes` to their sums; no features and no probabilities outlast this, nor their decoder."""
    if len(images) == 1:  # torch's 3D convolution of a single sample takes longer on a CPU than that of two
        images = torch.cat((images, images))
    encoded = encoder(images)
    for name, probabilities in wanted.items():
        sums.add(name, boxes, probabilities(encoded).float())
    for box in boxes:
        sums.visit(box)


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


def _without_padding(z: int, ready: int, sums: WindowSums, before: Sequence[int], shape: Sequence[int]) -> Iterator[tuple[int, Slab]]:
    """The first `ready` slices of the sums, which begin at slice `z` of the padded volume, in slabs of limited size; none of padding."""
    low, high = max(z, before[0]), min(z + ready, before[0] + shape[0])
    plane = tuple(slice(b, b + n) for b, n in zip(before[1:], shape[1:], strict=True))
    thick = max(SLAB_VOXELS // (shape[1] * shape[2]), 1)
    for first in range(low, high, thick):
        yield first - before[0], Slab(sums, (slice(first - z, min(first + thick, high) - z), *plane))
