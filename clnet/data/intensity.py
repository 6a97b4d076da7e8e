"""From Hounsfield units to what the network reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

AIR_HU = -1024


@dataclass(frozen=True)
class Intensity:
    """One input channel per entry: (HU - center_hu) / scale_hu, through tanh where it saturates.

    windows: mappings with `center_hu`, `scale_hu` and, optionally, `saturating`. The scale is fixed rather than fitted to a
    dataset, since a frozen encoder must read later datasets as it read the first. A saturating channel is a display window:
    it spreads soft tissue, which air and bone would otherwise leave a small share of the normalised range.
    """

    windows: tuple[Mapping, ...]

    def __init__(self, windows: Sequence[Mapping]):
        object.__setattr__(self, "windows", tuple(dict(window) for window in windows))

    @property
    def channels(self) -> int:
        """Input channels of the encoder."""
        return len(self.windows)

    def normalise(self, image_hu: np.ndarray) -> np.ndarray:
        """(z, y, x) int16 HU to (channel, z, y, x) float32."""
        image = np.empty((self.channels, *image_hu.shape), np.float32)
        for channel, window in zip(image, self.windows, strict=True):  # in place: a temporary array costs as much as unpacking the patch
            np.subtract(image_hu, window["center_hu"], out=channel, dtype=np.float32)
            channel /= window["scale_hu"]
            if window.get("saturating"):
                np.tanh(channel, out=channel)
        return image
