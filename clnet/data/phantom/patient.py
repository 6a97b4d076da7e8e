"""One patient: how this body differs from the atlas, and where each point of a scan lies in it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import numpy as np

from .points import Points

KNOT_MM = 85.0  # spacing of the deformation's control points: smooth over an organ's length


def _basis(at: np.ndarray) -> np.ndarray:
    """Cubic B-spline weights (points, knots) of positions in units of knots, knots at 0, 1, ..."""
    distance = np.abs(at[:, None] - np.arange(int(at.max()) + 3)[None, :])
    near = 2 / 3 - distance**2 + distance**3 / 2
    return np.where(distance < 1, near, np.where(distance < 2, (2 - distance) ** 3 / 6, 0)).astype(np.float32)


@dataclass(frozen=True)
class Patient:
    """A body of its own, fixed by `key`: size, turn, smooth deformation, each organ's place and size, what the bowel holds."""

    key: tuple[int, ...]
    scale_xyz: np.ndarray = field(init=False)
    tilt: np.ndarray = field(init=False)
    fat_mm: float = field(init=False)

    def __post_init__(self):
        rng = self.random("body")
        height, girth = rng.normal(0, 0.025), rng.normal(0, 0.03)
        scale = 1 + np.clip([girth + rng.normal(0, 0.012), girth + rng.normal(0, 0.012), height], -0.055, 0.055)
        object.__setattr__(self, "scale_xyz", scale)
        object.__setattr__(self, "tilt", np.clip(rng.normal(0, 0.008, 2), -0.018, 0.018))  # lean to the side and forwards, mm per mm
        object.__setattr__(self, "fat_mm", float(rng.uniform(7, 20)))

    def random(self, name: str) -> np.random.Generator:
        """A stream of its own for each thing that varies, so that one more of them changes no other."""
        return np.random.default_rng([*self.key, zlib.crc32(name.encode())])

    def place(self, group: str, loose: float) -> tuple[np.ndarray, float]:
        """Offset (mm, xyz) and scale of an organ group: about 2.5 mm and 4 % at `loose` 1, never beyond twice that."""
        rng = self.random(f"place/{group}")
        return np.clip(rng.normal(0, 2.5, 3), -5, 5) * loose, 1 + float(np.clip(rng.normal(0, 0.04), -0.08, 0.08)) * loose

    def points(self, z_mm: np.ndarray, y_mm: np.ndarray, x_mm: np.ndarray) -> Points:
        """Atlas coordinates of a scan's grid, given its axes in the room (mm): affine, then up to 8 mm of smooth deformation."""
        z, y, x = (np.asarray(axis, np.float64) for axis in (z_mm, y_mm, x_mm))
        knots = self.random("deform").normal(0, 1, (3, 18, 10, 10))
        knots = np.clip(knots, -2, 2) * np.array([7.0, 7.0, 6.0]).reshape(3, 1, 1, 1)
        bases = [_basis((axis + start) / KNOT_MM) for axis, start in ((z, 170.0), (y, 340.0), (x, 340.0))]
        moved = []
        for k in range(3):
            shift = knots[k].astype(np.float32)
            for axis in (2, 1, 0):  # contract the widest grid axis last
                basis = bases[axis][:, : shift.shape[axis]]
                shift = np.moveaxis(np.tensordot(basis, np.moveaxis(shift, axis, 0)[: basis.shape[1]], 1), 0, axis)
            moved.append(shift)
        zz, yy, xx = z[:, None, None] / self.scale_xyz[2], y[None, :, None] / self.scale_xyz[1], x[None, None, :] / self.scale_xyz[0]
        lean = zz - 465
        base = (xx + self.tilt[0] * lean, yy + self.tilt[1] * lean, zz - self.tilt[0] * xx - self.tilt[1] * yy)
        return Points(*((moved[k] + base[k].astype(np.float32)).astype(np.float32) for k in range(3)))
