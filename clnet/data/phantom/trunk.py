"""Outlines: skin, muscle, the cavities of abdomen and chest, gluteal and psoas muscles, shoulders without arms.

Sources: widths and depths follow the adult male of ICRP Publication 110 (trunk about 34 cm wide and 21-23 cm deep without arms,
neck 11-12 cm, sitting height 92 cm); the gluteus maximus is about 3 cm thick, a psoas 4-5 cm wide at L4.
"""

from __future__ import annotations

import numpy as np

from .combine import Common, Grown, Union, Without
from .part import KEEP, Part, pair
from .shapes import Above, Column, Ellipsoid, Shape, Tube

# z, half width, half depth, x, y of the muscle's outer surface (mm)
MUSCLE = np.array([
    (-60, 150, 84, 0, 2), (-10, 158, 92, 0, 4), (40, 163, 99, 0, 5), (90, 163, 103, 0, 6), (140, 158, 102, 0, 4), (190, 150, 98, 0, 3),
    (240, 140, 91, 0, 2), (290, 136, 90, 0, 3), (350, 142, 95, 0, 4), (420, 148, 100, 0, 5), (480, 150, 102, 0, 6), (540, 155, 100, 0, 8),
    (580, 166, 96, 0, 10), (605, 170, 90, 0, 12), (625, 158, 80, 0, 16), (645, 126, 70, 0, 20), (662, 88, 62, 0, 22), (680, 64, 56, 0, 22),
    (700, 56, 54, 0, 20), (730, 55, 57, 0, 22), (760, 57, 58, 0, 22), (784, 56, 54, 0, 22), (802, 54, 46, 0, 22)], float)
# inner surface of the rib cage: the pleural cavities lie within
CAGE = [(330, 122, 78, 0, 4), (400, 128, 83, 0, 5), (460, 130, 85, 0, 5), (520, 124, 83, 0, 6), (560, 113, 78, 0, 9), (590, 99, 70, 0, 13),
        (615, 82, 59, 0, 18), (640, 60, 44, 0, 24), (655, 42, 30, 0, 28), (664, 22, 16, 0, 30)]
ABDOMEN = [(48, 60, 52, 0, -5), (75, 84, 66, 0, -8), (110, 98, 72, 0, -10), (160, 114, 74, 0, -10), (210, 120, 73, 0, -11),
           (290, 119, 74, 0, -9), (350, 122, 80, 0, 2), (420, 124, 82, 0, 5), (470, 124, 82, 0, 5)]


def domes() -> Shape:
    """Under the diaphragm: a right dome under T8/T9, a lower left one."""
    right, left = Ellipsoid((-58, 3, 345), (74, 89, 132), 3), Ellipsoid((58, 3, 342), (74, 89, 126), 3)
    return Union(right, left, Ellipsoid((0, -6, 345), (70, 84, 114)), blend_mm=12)


def skin_part(fat_mm: float) -> Part:
    """The trunk's outer surface for so much subcutaneous fat at the belly; thinner at shoulders and neck."""
    table = MUSCLE.copy()
    fat = fat_mm * np.interp(table[:, 0], [100, 300, 560, 640, 690], [1.15, 1.0, 0.8, 0.6, 0.35])
    table[:, 1] += fat
    table[:, 2] += fat
    return Part(Column(table), "skin")


def muscle_parts() -> list[Part]:
    """Muscle of the trunk and neck, then the fat-filled abdomen and pelvis."""
    return [
        Part(Column(MUSCLE), "muscle"),
        Part(Column(ABDOMEN), "fat"),
        Part(Ellipsoid((0, -20, -25), (10, 110, 42)), "fat"),
        Part(Ellipsoid((0, 52, 62), (44, 34, 34)), "fat"),
    ]


def gluteal_parts() -> list[Part]:
    """Gluteus medius, and gluteus maximus in its bed of fat between the skin and the hip."""
    maximus = Union(Ellipsoid((66, 72, 96), (60, 19, 62), 3, (-8, 0, 24)), Ellipsoid((96, 62, 62), (42, 17, 46), 2, (0, 0, 30)),
                    blend_mm=12)
    return [
        *pair(Ellipsoid((118, 18, 150), (18, 42, 52), 2, (0, -10, 16)), "fat"),
        *pair(Ellipsoid((118, 18, 150), (15, 38, 48), 2, (0, -10, 16)), "muscle"),
        *pair(Grown(maximus, 5), "fat", group="Musc_GluteusMax"),
        *pair(maximus, "muscle", "Musc_GluteusMax", loose=0.6),
    ]


def back_parts() -> list[Part]:
    """Fat planes round the erector muscles, the psoas and quadratus muscles in the retroperitoneal fat."""
    erector = Tube([(30, 92, 170), (38, 84, 240), (38, 82, 330), (34, 92, 430), (30, 94, 520), (26, 84, 610)],
                   [16, 23, 23, 17, 15, 14], (1.2, 0.8, 1))
    psoas = Tube([(26, 34, 335), (40, 38, 280), (50, 30, 225), (62, 5, 170), (78, -22, 110)], [10, 20, 24, 22, 15])
    quadratus = Tube([(66, 62, 340), (76, 62, 230)], [12, 16], (1, 0.7, 1))
    return [*pair(Grown(erector, 2.5), "fat"), *pair(erector, "muscle"), *pair(quadratus, "muscle"), *pair(Grown(psoas, 2), "fat"),
            *pair(psoas, "muscle")]


def thorax_parts() -> list[Part]:
    """Lungs by lobes with their fissures, the mediastinum between, the diaphragm under them.

    Source: the oblique fissures run from T3 behind to the sixth costal cartilage in front, the horizontal one at the fourth.
    """
    cage, dome = Column(CAGE), domes()
    middle = Column([(330, 26, 120, 0, -5), (470, 26, 120, 2, -5), (560, 30, 120, 2, 0), (620, 27, 120, 0, 0), (670, 20, 120, 0, 0)])
    spine_bed = Tube([(0, 52, 340), (0, 62, 420), (0, 68, 520), (0, 58, 610), (0, 46, 670)], 28)
    parts = [Part(Grown(cage, 1), "fat"), Part(Without(cage, dome, middle, spine_bed), "lung", "Lung_RLL"),
             Part(Above((0, 0, 0), (1, 0, 0), cage), None, "Lung_LLL", inside="Lung_RLL")]
    behind, flat = Above((0, 4, 520), (0, -1.0, 1.0), cage), Above((0, 0, 528), (0, 0, 1), cage)
    for old, new, plane in (("Lung_LLL", "Lung_LUL", behind), ("Lung_RLL", "Lung_RML", behind), ("Lung_RML", "Lung_RUL", flat)):
        parts.append(Part(plane, None, new, inside=old))
        parts.append(Part(Without(plane, Grown(plane, -2.2)), "fissure", KEEP, inside=new))
    parts += [part for path in LUNG_VESSELS for part in pair(Tube(path, np.linspace(4.5, 1.8, len(path))), "lung_vessel", KEEP)]
    diaphragm = Common(Without(Grown(dome, 1), Grown(dome, -3)), Grown(cage, 2), Above((0, 0, 345), (0, 0, 1)))
    return [*parts, Part(diaphragm, "muscle")]


LUNG_VESSELS = [
    [(38, 15, 552), (62, 30, 575), (78, 40, 602)], [(40, 0, 555), (58, -25, 580), (62, -40, 602)],
    [(42, 20, 540), (75, 30, 535), (105, 35, 530)], [(40, 5, 535), (70, -25, 525), (92, -45, 515)],
    [(42, 30, 525), (68, 55, 495), (84, 62, 455)], [(45, 25, 520), (85, 30, 490), (112, 20, 450)],
    [(44, 20, 545), (80, 10, 558), (100, 0, 565)], [(40, 38, 540), (55, 68, 550), (62, 78, 560)],
    [(60, 30, 575), (85, 20, 590), (92, 10, 600)],
    [(62, 45, 500), (95, 55, 490), (110, 50, 480)], [(60, -20, 528), (75, -50, 540), (80, -62, 550)]]
