"""From Hounsfield units to what the network reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

AIR_HU = -1024


@dataclass(frozen=True)
class Intensity:
    """A fixed linear scale: (HU - center_hu) / scale_hu.

    Fixed rather than fitted to a dataset, since a frozen encoder must read later datasets as it read the first.
    """

    center_hu: float
    scale_hu: float

    def normalise(self, image_hu: np.ndarray) -> np.ndarray:
        """(z, y, x) int16 HU to float32 network input."""
        return (image_hu.astype(np.float32) - self.center_hu) / self.scale_hu
