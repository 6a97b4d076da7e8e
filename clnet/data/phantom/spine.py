"""Vertebrae, discs, canal, cord, ribs, sternum, clavicles, scapulae.

Sources: vertebral pitches, body widths and depths rise from about 17, 16 and 15 mm (C3) over 20-30, 28-45 and 18-32 mm in the
chest to 37, 50 and 34 mm (L4) (Panjabi et al., Spine 1991 and 1992; Gray's Anatomy); canal 18-25 mm wide, cord 10-14 mm.
"""

from __future__ import annotations

import numpy as np

from .combine import Union, Without
from .part import Part, pair
from .shapes import Box, Column, Ellipsoid, Shape, Tube
from .trunk import CAGE

LEVELS = ([f"L{k}" for k in range(5, 0, -1)] + [f"T{k}" for k in range(12, 0, -1)] + [f"C{k}" for k in range(7, 0, -1)])
_T_Z = 343 + 18.5 + np.cumsum(np.linspace(30, 20.4, 12)) - 15
HEIGHTS = np.r_[195 + 37 * np.arange(5), _T_Z, 675 + 17 * np.arange(7.0)]
# y of the middle of the vertebral bodies (lordosis, kyphosis, lordosis), mm
_CURVE = np.array([(175, 34), (195, 31), (260, 27), (330, 34), (400, 44), (480, 53), (540, 54), (600, 46), (650, 33), (690, 21),
                   (730, 16), (780, 22)], float)


def body_y(z: float) -> float:
    return float(np.interp(z, _CURVE[:, 0], _CURVE[:, 1]))


def level_z(name: str) -> float:
    return float(HEIGHTS[LEVELS.index(name)])


def _size(z: float) -> tuple[float, float]:
    """Half width and half depth of a vertebral body."""
    width = np.interp(z, [195, 345, 450, 600, 660, 780], [25, 22, 16.5, 14, 12, 10])
    return float(width), float(np.interp(z, [195, 345, 480, 660, 780], [17, 16, 14.5, 9.5, 8]))


def canal_path() -> np.ndarray:
    """Middle of the vertebral canal from S2 to the foramen magnum."""
    z = np.r_[130, 165, HEIGHTS, 788]
    return np.array([(0, 74 if v < 150 else body_y(v) + _size(v)[1] + 9.5, v) for v in z])


def vertebra(k: int) -> Shape:
    """Body, pedicles and laminae round the canal, transverse and spinous processes."""
    z, name = HEIGHTS[k], LEVELS[k]
    y, (width, depth) = body_y(z), _size(z)
    pitch = np.interp(z, HEIGHTS, np.gradient(HEIGHTS))
    half = pitch / 2 - (4.5 if name[0] == "L" else 3 if name[0] == "T" else 2.2)
    back = y + depth + 9.5
    chest, neck = name[0] == "T", name[0] == "C"
    sweep, drop = (14, 0) if chest else (4, 0)
    across = 34 if name[0] == "L" else 26 if chest else 24
    spine = 22 if name[0] == "L" else 24 if chest else 14
    ring = Without(Ellipsoid((0, back, z - 1), (16.5, 15.5, half * 0.95)), Tube([(0, back, z - 40), (0, back, z + 40)], 10.5))
    parts = [Ellipsoid((0, y, z), (width, depth, half), 4), ring,
             Tube([(14, back - 2, z), (across, back + sweep, z + drop)], [4.5, 3.8], (1, 1, 1.2)),
             Tube([(-14, back - 2, z), (-across, back + sweep, z + drop)], [4.5, 3.8], (1, 1, 1.2)),
             Tube([(0, back + 13, z - 2), (0, back + 13 + spine * 0.8, z - (16 if chest else 7))], 4.2, (1, 1, 1.0 if neck else 1.6))]
    return Union(*(parts if name != "C1" else [ring, *parts[2:4], Ellipsoid((0, y - 2, z), (14, 5, 5))]))


def rib(k: int) -> Shape:
    """Left rib k (1-12): from its vertebra round the cage, falling towards its end; ribs 11 and 12 end free.

    Source: ribs 11 and 12 are about 20 and 10-14 cm long and float; ribs 1-7 reach the sternum by their cartilages (Gray's Anatomy).
    """
    z0 = level_z(f"T{k}") + 4
    end_deg = {1: 128, 11: 98, 12: 66}.get(k, 140 if k < 8 else 140 - 6 * (k - 7))
    drop = {1: 34, 11: 55, 12: 42}.get(k, 62 + 4.5 * min(k, 8))
    turn = np.radians(np.linspace(18, end_deg, 9 if k < 11 else 6))
    z = z0 - drop * ((turn - turn[0]) / np.radians(130)) ** 1.1 if k < 11 else z0 - drop * (turn - turn[0]) / (turn[-1] - turn[0])
    table = np.array(CAGE, float)
    width, depth, y = (np.interp(z, table[:, 0], table[:, c]) for c in (1, 2, 4))
    if k == 1:
        width, depth, y = np.full_like(z, 58), np.full_like(z, 42), np.full_like(z, 15)
    # the cage's cross-section is |x/a|^3 + |y/b|^3 = 1
    reach = (np.abs(np.sin(turn)) ** 3 + np.abs(np.cos(turn)) ** 3) ** (-1 / 3)
    path = np.stack([(width + 6) * reach * np.sin(turn), y + (depth + 6) * reach * np.cos(turn), z], axis=1)
    path[0, :2] = (24, min(path[0, 1], body_y(z0) + _size(z0)[1] + 10))
    return Tube(path, 5.5, (0.8, 0.8, 1.3), pieces=2)


def cartilage(k: int) -> Shape:
    """Costal cartilage from the end of rib k to the sternum or to the costal arch."""
    end = rib(k).path[-1]
    z = 600 - 17 * (k - 1) if k < 8 else 482
    goal = (14 if k < 8 else 28, float(np.interp(z, [480, 530, 575, 605], [-86, -84, -71, -60])), z)
    middle = (np.array(end) + np.array(goal)) / 2 + np.array((0, -4, -4))
    return Tube([end, middle, goal], 5, (1, 0.9, 1.1), pieces=2)


def sacrum() -> Shape:
    return Column([(62, 8, 6, 0, 74), (85, 16, 9, 0, 84), (105, 26, 14, 0, 85), (130, 38, 19, 0, 75), (155, 48, 23, 0, 62),
                   (168, 50, 24, 0, 54), (176, 42, 20, 0, 48)])


def spine_parts() -> list[Part]:
    """Discs, vertebrae, ribs, breastbone, shoulder girdle, then canal and cord."""
    parts: list[Part] = []
    middles = np.r_[179, (HEIGHTS[1:] + HEIGHTS[:-1]) / 2]
    parts += [Part(Ellipsoid((0, body_y(z), z), (_size(z)[0] - 1, _size(z)[1] - 1, 8), 4), "disc") for z in middles[:-1]]
    for k in range(1, 13):
        parts += pair(rib(k), "rib", f"Bone_Rib{k}")
        if k < 11:
            parts += pair(cartilage(k), "cartilage")
    parts.append(Part(sacrum(), "vertebra", "Bone_Sacrum"))
    parts += [Part(vertebra(k), "vertebra", f"Bone_Vert_{name}") for k, name in enumerate(LEVELS)]
    parts.append(Part(Union(Box((0, -62, 600), (25, 7, 23), 5, (-24, 0, 0)), Box((0, -81, 532), (16, 6, 50), 5, (-13, 0, 0))), "rib"))
    parts += pair(Tube([(18, -56, 616), (60, -42, 629), (105, -6, 633), (136, 14, 627)], [9, 6.5, 6, 7], pieces=3), "rib")
    blade = Box((104, 76, 565), (3.5, 36, 58), 3, (4, 4, 48))
    parts += pair(Union(blade, Tube([(88, 84, 600), (120, 62, 618), (138, 30, 626)], [6, 6, 7], pieces=3)), "rib")
    parts += pair(Ellipsoid((148, 22, 603), (20, 22, 22)), "bone")
    path = canal_path()
    parts.append(Part(Tube(path, np.interp(path[:, 2], [130, 200, 780], [6, 10, 10]), (1.1, 0.95, 1), pieces=2), "csf"))
    cord = path[path[:, 2] > level_z("L1") - 14]
    radii = np.interp(cord[:, 2], [330, 350, 400, 650, 720], [4, 6, 6.2, 6.4, 6.8])
    return [*parts, Part(Tube(cord, radii, (1.1, 0.95, 1), pieces=2), "cord", "SpinalCord")]


