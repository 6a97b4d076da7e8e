"""Shapes made of shapes."""

from __future__ import annotations

import numpy as np

from .points import Points
from .shapes import FAR_MM, Shape, spread


class Union(Shape):
    """All members; with `blend_mm` their seams are filled smoothly (polynomial smooth minimum)."""

    def __init__(self, *members: Shape, blend_mm: float = 0.0):
        self.members, self.blend = members, np.float32(blend_mm)
        self.low = np.min([m.low for m in members], axis=0)
        self.high = np.max([m.high for m in members], axis=0)

    def distance(self, points: Points) -> np.ndarray:
        result = spread(self.members[0], points)
        for member in self.members[1:]:
            other = spread(member, points)
            if self.blend > 0:
                share = np.clip(0.5 + 0.5 * (other - result) / self.blend, 0, 1)
                result = other + share * (result - other) - self.blend * share * (1 - share)
            else:
                np.minimum(result, other, out=result)
        return result


class Common(Shape):
    """What all members share."""

    def __init__(self, *members: Shape):
        self.members = members
        self.low = np.max([m.low for m in members], axis=0)
        self.high = np.min([m.high for m in members], axis=0)

    def distance(self, points: Points) -> np.ndarray:
        result = self.members[0].distance(points)
        for member in self.members[1:]:
            result = np.maximum(result, member.distance(points))
        return result


class Without(Shape):
    """The first shape without the others."""

    def __init__(self, shape: Shape, *holes: Shape):
        self.shape, self.holes = shape, holes
        self.low, self.high = shape.low, shape.high

    def distance(self, points: Points) -> np.ndarray:
        result = self.shape.distance(points)
        for hole in self.holes:
            result = np.maximum(result, -spread(hole, points, FAR_MM))
        return result


class Grown(Shape):
    """A shape grown by `mm` on all sides (shrunk where negative)."""

    def __init__(self, shape: Shape, mm: float):
        self.shape, self.mm = shape, np.float32(mm)
        self.low, self.high = shape.low - mm, shape.high + mm

    def distance(self, points: Points) -> np.ndarray:
        return self.shape.distance(points) - self.mm


class Mirrored(Shape):
    """A shape of the left side as its partner on the right."""

    def __init__(self, shape: Shape):
        self.shape = shape
        flip = np.array([-1, 1, 1])
        self.low, self.high = np.minimum(shape.low * flip, shape.high * flip), np.maximum(shape.low * flip, shape.high * flip)

    def distance(self, points: Points) -> np.ndarray:
        return self.shape.distance(points.mirrored())


class Moved(Shape):
    """A shape scaled about `centre` and shifted by `offset` mm."""

    def __init__(self, shape: Shape, centre: np.ndarray, offset: np.ndarray, scale: float):
        self.shape, self.about, self.offset, self.scale = shape, np.asarray(centre), np.asarray(offset), float(scale)
        self.low = self.about + self.offset + (shape.low - self.about) * scale
        self.high = self.about + self.offset + (shape.high - self.about) * scale

    def distance(self, points: Points) -> np.ndarray:
        return self.shape.distance(points.moved(self.about, self.offset, self.scale)) * np.float32(self.scale)


def shell(shape: Shape, thickness_mm: float) -> Shape:
    """The wall of that thickness just outside a cavity."""
    return Without(Grown(shape, thickness_mm), shape)
