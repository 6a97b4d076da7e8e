"""What differs between the five hospitals: grid, contrast phase, blur, noise, shading, calibration, file orientation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from .patient import Patient

VERTEX_MM = 930.0  # body part score 1; score 0 is z = 0


@dataclass(frozen=True)
class Hospital:
    """One scanner and protocol. `scores` are the body part scores of a scan's lower and upper end, (low, high)."""

    spacing_mm: tuple[float, float, float]  # z, y, x
    scores: tuple[float, float]
    width_mm: float
    depth_mm: float
    phases: tuple[tuple[float, float, float], ...]  # shares of plain, arterial, portal; one is drawn and mixed a little
    noise_hu: float
    grain_voxels: float  # correlation of the noise
    blur_mm: float
    shading_hu: float
    offset_hu: float
    orientation: str = "LPS"  # order in which the file stores the axes x, y, z

    def phase(self, patient: Patient) -> tuple[float, float, float]:
        rng = patient.random("phase")
        share = np.asarray(self.phases[rng.integers(len(self.phases))], float) + rng.uniform(0, 0.15, 3) * np.array([0.3, 1, 1])
        return tuple(float(s) for s in share / share.sum())

    def axes(self, patient: Patient, scores: tuple[float, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Positions (mm) of the grid's planes along z, y, x; the ends vary by about 1.5 % of the body from scan to scan."""
        rng = patient.random("coverage")
        low, high = (end + float(np.clip(rng.normal(0, 0.01), -0.02, 0.02)) * (0.02 < end < 0.98) for end in scores)
        low_mm, high_mm = (low * VERTEX_MM - 8) * patient.scale_xyz[2], (high * VERTEX_MM + 10) * patient.scale_xyz[2]
        middle = rng.normal(0, 3, 2)
        z = np.arange(low_mm, high_mm, self.spacing_mm[0])
        sizes = ((self.depth_mm, self.spacing_mm[1]), (self.width_mm, self.spacing_mm[2]))
        across = [np.arange(round(size / step)) * step for size, step in sizes]
        return (z, *(axis - axis.mean() + shift + drop for axis, shift, drop in zip(across, middle, (6, 0))))

    def scan(self, image_hu: np.ndarray, patient: Patient) -> np.ndarray:
        """The ideal image as this scanner shows it: int16 HU in [-1024, 3071]."""
        rng = patient.random("scanner")
        image = gaussian_filter(image_hu, [self.blur_mm / 2.355 / s for s in self.spacing_mm], truncate=2.5)
        noise = rng.standard_normal(image.shape, dtype=np.float32)
        if self.grain_voxels:
            noise = gaussian_filter(noise, (0, self.grain_voxels, self.grain_voxels), truncate=2.0)
            noise /= noise[: 8].std()
        ramps = [np.linspace(-1, 1, n, dtype=np.float32) for n in image.shape]
        a, b, c, d = rng.normal(0, self.shading_hu, 4).astype(np.float32)
        shade = (a * ramps[0][:, None, None] + b * ramps[1][None, :, None] + c * ramps[2][None, None, :]
                 + d * (ramps[1][None, :, None] ** 2 + ramps[2][None, None, :] ** 2 - 0.5))
        level = np.float32(self.noise_hu * rng.uniform(0.8, 1.25))
        image += noise * level + np.where(image > -500, shade + np.float32(self.offset_hu), 0)
        return np.clip(np.rint(image), -1024, 3071).astype(np.int16)
