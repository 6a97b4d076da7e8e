"""What body part regression reads of a scan, and the network that turns one axial slice into a score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from clnet.data.intensity import AIR_HU
from clnet.data.resample import LINEAR, axis_weights
from clnet.model.block import LEAKY_SLOPE

BODY_HU = -500  # between air and skin
BODY_MM2 = 1000.0  # with less tissue a slice shows no part of the body, but the air above the head


@dataclass(frozen=True)
class SliceView:
    """How an axial slice is shown to the network: a square of fixed size in millimetres about the middle of the prepared grid.

    shape_yx: its pixels; pixel_mm: their edge; window_hu: what becomes 0 and 255. Slices are not stretched to the square: a head has
    to look the same in a scan of the head and in one of the whole body. What lies beyond the scan is air.
    """

    shape_yx: tuple[int, int]
    pixel_mm: float
    window_hu: tuple[float, float]

    def __post_init__(self):
        object.__setattr__(self, "shape_yx", tuple(int(n) for n in self.shape_yx))
        object.__setattr__(self, "window_hu", tuple(float(hu) for hu in self.window_hu))

    def slices(self, image_hu: np.ndarray, spacing_mm: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
        """(z, y, x) int16 HU and its spacing (z, y, x) -> (z, *shape_yx) uint8, and (z,) bool: which slices show a part of the body."""
        along_y, along_x = (
            _centred(axis_weights(n, max(1, round(n * mm / self.pixel_mm)), LINEAR, smooth=True), pixels)
            for n, mm, pixels in zip(image_hu.shape[1:], spacing_mm[1:], self.shape_yx, strict=True)
        )
        beyond_hu = AIR_HU * (1 - np.outer(along_y.sum(axis=1), along_x.sum(axis=1)))
        low, high = self.window_hu
        shown = np.empty((len(image_hu), *self.shape_yx), np.uint8)
        body = np.empty(len(image_hu), bool)
        for z, plane_hu in enumerate(image_hu):
            square_hu = along_y @ (plane_hu.astype(np.float32) @ along_x.T) + beyond_hu
            body[z] = np.count_nonzero(square_hu > BODY_HU) * self.pixel_mm**2 >= BODY_MM2
            shown[z] = np.rint(np.clip((square_hu - low) * (255 / (high - low)), 0, 255))
        return shown, body


class SliceScorer(nn.Module):
    """A few strided convolutions and one number a slice, which sees nothing of its neighbours.

    Input (slice, 1, y, x) float32, a `SliceView`'s 0 to 255 as -1 to 1; output (slice,) raw score: it rises from foot to head, on a
    scale of its own. features: channels of the stages, each of which halves the slice.
    Source: Yan et al. 2018, "Unsupervised body part regression via spatially self-ordering convolutional neural networks" (a
    classification network cut down to one output). Theirs has no normalisation; with one over all channels ours learned faster.
    """

    def __init__(self, features: Sequence[int]):
        super().__init__()
        widths = (1, *features)
        self.stages = nn.Sequential(*(_stage(before, after) for before, after in zip(widths[:-1], features, strict=True)))
        self.head = nn.Linear(2 * widths[-1], 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=LEAKY_SLOPE)
                nn.init.zeros_(module.bias)

    def forward(self, slices: Tensor) -> Tensor:
        features = self.stages(slices).flatten(2)
        return self.head(torch.cat((features.mean(dim=2), features.amax(dim=2)), dim=1))[:, 0]


def network_input(shown: Tensor) -> Tensor:
    """(slice, y, x) of a `SliceView`, uint8 or float of 0 to 255 -> (slice, 1, y, x) float32 of -1 to 1."""
    return shown[:, None].float() / 127.5 - 1


def _stage(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1),
        nn.GroupNorm(1, channels_out),
        nn.LeakyReLU(LEAKY_SLOPE),
    )


def _centred(matrix: np.ndarray, rows: int) -> np.ndarray:
    """The middle `rows` rows of an interpolation matrix, between rows of zeros where it has fewer."""
    missing = max(rows - len(matrix), 0)
    padded = np.pad(matrix, ((missing // 2, missing - missing // 2), (0, 0)))
    first = (len(padded) - rows) // 2
    return np.ascontiguousarray(padded[first : first + rows])
