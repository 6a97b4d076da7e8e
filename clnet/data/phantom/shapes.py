"""Shapes as signed distances: negative inside, about mm near the surface.

Source: the distance of an ellipsoid to first order, f (f - 1) / |grad f| with f the scaled radius, and the rounded box and
capsule distances, are textbook implicit geometry (Hart 1996, Sphere tracing; Quilez, Distance functions).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from .points import Points

FAR_MM = np.float32(60.0)  # distance given to points that no member of a union comes near
NEAR_MM = 8.0  # beyond a shape's box by this much its distance no longer matters
Vector = tuple[float, float, float]


def _f32(values) -> np.ndarray:
    return np.asarray(values, np.float32)


def rotation(tilt_deg: Vector) -> np.ndarray:
    """Matrix (3, 3) of rotations about x, then y, then z, in degrees."""
    (sx, sy, sz), (cx, cy, cz) = np.sin(np.radians(tilt_deg)), np.cos(np.radians(tilt_deg))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def superellipse(local: list[np.ndarray], radii: list, power: int) -> np.ndarray:
    """Distance to sum |u / r| ** power = 1; `power` 2 (ellipse), 3 or 4 (towards a box)."""
    value, slope = 0.0, 0.0
    for u, radius in zip(local, radii):
        ratio = np.abs(u) / radius
        steep = ratio if power == 2 else ratio * ratio if power == 3 else ratio * ratio * ratio
        value = value + steep * ratio
        slope = slope + (steep / radius) ** 2
    value = np.sqrt(value) if power == 2 else np.cbrt(value) if power == 3 else np.sqrt(np.sqrt(value))
    return (value - 1) * value ** (power - 1) / np.sqrt(slope + np.float32(1e-12))


class Shape(ABC):
    """Anything with a box (`low`, `high`, xyz mm) and a signed distance at given points."""

    low: np.ndarray
    high: np.ndarray

    @abstractmethod
    def distance(self, points: Points) -> np.ndarray:
        """Signed distance (mm, negative inside) at every point."""

    @property
    def centre(self) -> np.ndarray:
        return (self.low + self.high) / 2


def spread(shape: Shape, points: Points, outside: np.float32 = FAR_MM) -> np.ndarray:
    """The distance computed in the shape's own window alone, `outside` elsewhere."""
    window = points.window(shape.low - NEAR_MM, shape.high + NEAR_MM)
    if window is not None and all(part.stop - part.start == n for part, n in zip(window, points.shape)):
        return shape.distance(points)
    result = np.full(points.shape, outside, np.float32)
    if window is not None:
        result[window] = shape.distance(points[window])
    return result


class _Placed(Shape):
    """A shape about a centre, turned by `tilt_deg`; the box is that of its turned half sizes."""

    def place(self, centre: Vector, half: Vector, tilt_deg: Vector) -> None:
        self.middle, self.half, self.turn = _f32(centre), _f32(half), _f32(rotation(tilt_deg))
        self.turned = any(tilt_deg)
        reach = np.abs(self.turn) @ self.half
        self.low, self.high = self.middle - reach, self.middle + reach

    def local(self, points: Points) -> list[np.ndarray]:
        x, y, z = points.x - self.middle[0], points.y - self.middle[1], points.z - self.middle[2]
        if not self.turned:
            return [x, y, z]
        return [x * self.turn[0, k] + y * self.turn[1, k] + z * self.turn[2, k] for k in range(3)]


class Ellipsoid(_Placed):
    def __init__(self, centre: Vector, radii: Vector, power: int = 2, tilt_deg: Vector = (0, 0, 0)):
        self.power = power
        self.place(centre, radii, tilt_deg)

    def distance(self, points: Points) -> np.ndarray:
        return superellipse(self.local(points), list(self.half), self.power)


class Box(_Placed):
    """A box with edges rounded by `edge_mm`."""

    def __init__(self, centre: Vector, half: Vector, edge_mm: float = 2.0, tilt_deg: Vector = (0, 0, 0)):
        self.edge = np.float32(edge_mm)
        self.place(centre, half, tilt_deg)

    def distance(self, points: Points) -> np.ndarray:
        q = [np.abs(u) - (h - self.edge) for u, h in zip(self.local(points), self.half)]
        outer = np.sqrt(sum(np.maximum(v, 0) ** 2 for v in q))
        return outer + np.minimum(np.maximum(np.maximum(q[0], q[1]), q[2]), 0) - self.edge


class Tube(Shape):
    """A tube of changing radius along a smooth curve through `path` (n, 3); `squash` < 1 makes it thinner along an axis."""

    def __init__(self, path, radii, squash: Vector = (1, 1, 1), pieces: int = 4):
        path, radii = np.asarray(path, float), np.broadcast_to(np.asarray(radii, float), len(path))
        self.squash = _f32(squash)
        if len(path) > 2:
            along = np.r_[0, np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))]
            dense = np.interp(np.arange((len(path) - 1) * pieces + 1) / pieces, np.arange(len(path)), along)
            path, radii = CubicSpline(along, path)(dense), np.interp(dense, along, radii)
        reach = radii[:, None] * np.asarray(squash, float)
        self.path, self.radii = _f32(path), _f32(radii)
        self.lows, self.highs = path - reach, path + reach
        self.low, self.high = self.lows.min(axis=0), self.highs.max(axis=0)

    def distance(self, points: Points) -> np.ndarray:
        result = np.full(points.shape, FAR_MM, np.float32)
        for k in range(len(self.path) - 1):
            window = points.window(np.minimum(self.lows[k], self.lows[k + 1]) - NEAR_MM,
                                   np.maximum(self.highs[k], self.highs[k + 1]) + NEAR_MM)
            if window is not None:
                np.minimum(result[window], self._segment(points[window], k), out=result[window])
        return result

    def _segment(self, points: Points, k: int) -> np.ndarray:
        start, step = self.path[k] / self.squash, (self.path[k + 1] - self.path[k]) / self.squash
        x, y, z = points.x / self.squash[0] - start[0], points.y / self.squash[1] - start[1], points.z / self.squash[2] - start[2]
        h = np.clip((x * step[0] + y * step[1] + z * step[2]) / (step @ step + np.float32(1e-9)), 0, 1)
        x, y, z = x - h * step[0], y - h * step[1], z - h * step[2]
        return np.sqrt(x * x + y * y + z * z) - (self.radii[k] + h * (self.radii[k + 1] - self.radii[k]))


class Column(Shape):
    """A stack of superelliptic cross-sections: half width, half depth and centre as tables over z (trunk, cavities, sacrum)."""

    def __init__(self, table, power: int = 3):
        z, width, depth, x, y = np.asarray(table, float).T
        self.start, self.power = z[0], power
        fine = np.arange(z[0], z[-1] + 1)
        self.tables = [_f32(np.interp(fine, z, column)) for column in (width, depth, x, y)]
        self.low = np.array([(x - width).min(), (y - depth).min(), z[0]])
        self.high = np.array([(x + width).max(), (y + depth).max(), z[-1]])

    def distance(self, points: Points) -> np.ndarray:
        row = np.clip(points.z - np.float32(self.start), 0, len(self.tables[0]) - 1).astype(np.int16)
        width, depth, x, y = (table[row] for table in self.tables)
        sides = superellipse([points.x - x, points.y - y], [width, depth], self.power)
        return np.maximum(sides, np.maximum(np.float32(self.low[2]) - points.z, points.z - np.float32(self.high[2])))


@dataclass(frozen=True)
class Above(Shape):
    """Everything on the side of a plane that `normal` points to; its box is endless, or that of `within`."""

    point: Vector
    normal: Vector
    within: Shape | None = None

    @property
    def low(self) -> np.ndarray:
        return self.within.low if self.within else np.full(3, -1e4)

    @property
    def high(self) -> np.ndarray:
        return self.within.high if self.within else np.full(3, 1e4)

    def distance(self, points: Points) -> np.ndarray:
        normal = _f32(self.normal) / np.float32(np.linalg.norm(self.normal))
        level = normal @ _f32(self.point)
        return level - (points.x * normal[0] + points.y * normal[1] + points.z * normal[2])
