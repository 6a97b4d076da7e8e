"""What is done to every scan before training: the semantic part of a prepared dataset's identity."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from clnet.errors import UsageError

SCHEMA = 1  # of the case folder; raise it whenever the same raw case would be prepared differently


@dataclass(frozen=True)
class Recipe:
    """How a raw case becomes a prepared one.

    spacing_mm: of the prepared grid (z, y, x). clip_hu: lowest and highest HU kept. anisotropy_ratio: above it a scan's coarse axis is
    resampled on its own, by nearest neighbour. body_threshold_hu, body_margin_mm: the crop to the body. smooth: blur before going to a
    coarser grid. allow_label_loss: a label that vanishes at this spacing is listed instead of refused. locations_per_label: sampled
    voxels a label. Source: clipping CL-Net 4.1; anisotropy and 10000 locations nnU-Net.
    """

    spacing_mm: tuple[float, float, float]
    clip_hu: tuple[int, int] = (-1024, 1024)
    anisotropy_ratio: float = 3.0
    body_threshold_hu: float = -500.0
    body_margin_mm: float = 10.0
    smooth: bool = False
    allow_label_loss: bool = True
    locations_per_label: int = 10000

    def __post_init__(self):
        object.__setattr__(self, "spacing_mm", tuple(float(value) for value in self.spacing_mm))
        object.__setattr__(self, "clip_hu", tuple(int(value) for value in self.clip_hu))
        if len(self.spacing_mm) != 3 or not all(0.1 <= value <= 20 for value in self.spacing_mm):
            raise UsageError(
                "spacing of the prepared grid is not a plausible (z, y, x) in mm", found=self.spacing_mm, expected="three of 0.1-20"
            )
        if not -32768 <= self.clip_hu[0] < self.clip_hu[1] <= 32767:
            raise UsageError("clip_hu must be a rising pair of int16 values", found=self.clip_hu)

    def identity(self) -> str:
        """Hash of everything that changes a prepared case."""
        return hashlib.sha256(json.dumps([SCHEMA, asdict(self)], sort_keys=True).encode()).hexdigest()[:16]
