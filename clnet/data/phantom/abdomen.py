"""The abdominal organs.

Sources: organ masses of the adult male in ICRP Publication 89 (liver 1800 g, spleen 150 g, kidney 155 g, pancreas 140 g), kidney
length 11 cm, spleen 11-12 cm, gallbladder 7-10 cm by 3-4 cm, adrenal limbs 2.5-3.5 cm long, aorta 2 cm at L2 (Gray's Anatomy).
"""

from __future__ import annotations

import numpy as np

from .combine import Common, Grown, Union, Without
from .part import KEEP, Part
from .shapes import Above, Box, Column, Ellipsoid, Shape, Tube
from .trunk import CAGE, domes

KIDNEYS = {"L": ((62, 42, 352), (0, -8, 0)), "R": ((-62, 42, 336), (0, 8, 0))}
KIDNEY_RADII = (26, 25, 55)


def kidney(side: str) -> Shape:
    centre, tilt = KIDNEYS[side]
    inward = 1 if side == "R" else -1
    hilum = (centre[0] + inward * 24, centre[1] - 8, centre[2])
    return Without(Ellipsoid(centre, KIDNEY_RADII, 2, tilt), Ellipsoid(hilum, (15, 12, 19)))


def adrenal(side: str) -> Shape:
    """A ridge with two limbs, 30 mm high and 7 mm thick, open backwards."""
    x, y, z = (42, 26, 418) if side == "L" else (-40, 38, 408)
    return Union(Box((x - 6.5, y + 8, z), (3.6, 13, 15), 2.5, (0, 0, -24)), Box((x + 6.5, y + 8, z - 2), (3.6, 13, 14), 2.5, (0, 0, 24)))


def liver() -> Shape:
    """What fills the right dome above an oblique under-surface, and a left lobe that thins out before the stomach."""
    lobes = Union(Ellipsoid((-76, 10, 398), (66, 84, 88), 3), Ellipsoid((0, -38, 434), (82, 48, 36), 2, (0, -8, 0)), blend_mm=24)
    bed = Column([(row[0], row[1] - 4, row[2] - 4, 0, row[4]) for row in CAGE])
    return Common(lobes, Grown(domes(), -5), bed, Above((-118, 0, 318), (-0.52, 0.1, 1)))


def stomach(scale: float) -> Shape:
    path = [(62, 26, 440), (68, 8, 418), (66, -20, 392), (50, -44, 366), (20, -54, 352), (-6, -46, 352), (-20, -38, 356)]
    return Tube(path, np.array([26, 31, 30, 26, 20, 15, 10]) * scale, (1, 0.95, 1.05), pieces=3)


DUODENUM = [(-26, -34, 356), (-42, -20, 352), (-50, -8, 330), (-48, -4, 304), (-38, -6, 286), (-12, -14, 280), (16, -16, 284),
            (30, -18, 300), (34, -24, 316)]
PANCREAS = [(-24, -16, 308), (-24, -22, 334), (-8, -30, 346), (14, -26, 356), (36, -12, 368), (60, 6, 380), (82, 24, 392)]
COLON = [(-96, 0, 196), (-104, 2, 250), (-102, 2, 296), (-86, -36, 300), (-40, -64, 286), (10, -68, 276), (60, -60, 300),
         (94, -26, 350), (106, 6, 366), (108, 20, 310), (106, 14, 250), (96, 4, 200), (74, -6, 166), (40, 6, 148), (18, 28, 138)]


def bowel_parts(rng: np.random.Generator) -> list[Part]:
    """Colon along its frame with gas and stool, loops of small bowel between; none of it labelled."""
    colon = Tube(COLON, [24, 24, 22, 20, 18, 18, 18, 19, 20, 16, 16, 16, 15, 14, 14], pieces=2)
    parts = [Part(colon, "stool", None, "Colon", 0.6)]
    for x, y, z in ((-98, -14, 285), (30, -74, 284), (-20, -72, 280), (92, -36, 352), (106, 8, 270)):
        parts.append(Part(Ellipsoid((x, y, z), (9, 6, 12) if abs(x) > 80 else (16, 6, 8)), "gas", KEEP, "Colon", 0.6))
    for centre in ((-50, 150), (5, 140), (48, 160), (-45, 200), (8, 190), (52, 210), (-40, 244), (10, 240), (50, 256)):
        turns = np.linspace(rng.uniform(0, 3), rng.uniform(5, 7), 6)
        path = [(centre[0] + 26 * np.sin(t), rng.uniform(-54, -22), centre[1] + 18 * np.cos(1.3 * t)) for t in turns]
        parts.append(Part(Tube(path, rng.uniform(10, 13), pieces=2), "gut", None, "SmallBowel", 0.6))
    return parts


def kidney_parts() -> list[Part]:
    """Perirenal fat, kidney, fat of the sinus, a trace of calyx."""
    parts: list[Part] = []
    for side in "LR":
        (x, y, z), tilt = KIDNEYS[side]
        group = f"Kidney_{side}"
        parts += [Part(Ellipsoid((x, y, z + 8), (36, 32, 72), 2, tilt), "fat", None, group, 1.0),
                  Part(kidney(side), "kidney", group, group, 1.0)]
    return parts


def abdomen_parts(rng: np.random.Generator, stomach_scale: float, gas: bool) -> list[Part]:
    """In the order of painting: later parts win where shapes meet."""
    left, right = adrenal("L"), adrenal("R")
    gallbladder = Ellipsoid((-46, -42, 346), (16, 16, 33), 2, (22, 12, 0))
    duodenum = Tube(DUODENUM, [11, 12, 13, 13, 12.5, 12, 12, 11.5, 11], pieces=3)
    pancreas = Tube(PANCREAS, [13, 14, 12, 12, 12.5, 12, 9], (1, 1, 1.1), pieces=3)
    under_dome = Grown(domes(), -5)
    spleen = Common(Ellipsoid((96, 38, 410), (23, 40, 54), 2, (-14, 14, 18)), under_dome)
    sac = Common(stomach(stomach_scale), under_dome)
    bubble = Ellipsoid((60, -46, 378), (16, 9, 14)) if gas else Ellipsoid((66, -14, 418), (14, 7, 14))
    return [
        *bowel_parts(rng),
        Part(liver(), "liver", "Liver", loose=0.5),
        Part(Grown(gallbladder, 2.5), "fat", None, "GallBladder", 1.0), Part(gallbladder, "gallbladder", "GallBladder", loose=1.0),
        Part(Grown(spleen, 3), "fat", None, "Spleen", 1.0),
        *kidney_parts(),
        Part(spleen, "spleen", "Spleen", loose=1.0),
        Part(Tube([(-50, 36, 402), (-32, 44, 408)], 14), "fat"),
        Part(Grown(sac, 2.5), "fat", None, "Stomach", 1.0), Part(sac, "stomach", "Stomach", loose=1.0),
        Part(bubble, "gas", KEEP, "Stomach", 1.0),
        Part(Grown(pancreas, 3), "fat", None, "Pancreas", 0.8), Part(Grown(duodenum, 2), "fat", None, "Duodenum", 0.8),
        Part(pancreas, "pancreas", "Pancreas", loose=0.8), Part(duodenum, "duodenum", "Duodenum", loose=0.8),
        Part(Grown(left, 3.5), "fat", None, "GlnD_Adrenal_L", 0.7), Part(left, "adrenal", "GlnD_Adrenal_L", loose=0.7),
        Part(Grown(right, 3.5), "fat", None, "GlnD_Adrenal_R", 0.7), Part(right, "adrenal", "GlnD_Adrenal_R", loose=0.7),
    ]
