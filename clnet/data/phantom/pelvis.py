"""Hip bones, femora, bladder, prostate, rectum.

Sources: the adult hip bone is about 22 cm high and 15 cm wide, the femoral head 48 mm, the symphysis 40 mm (Gray's Anatomy);
prostate 17 g and a bladder of 200 mL moderately filled (ICRP Publication 89).
"""

from __future__ import annotations

from .combine import Common, Union, Without
from .part import KEEP, Part, pair
from .shapes import Above, Ellipsoid, Shape, Tube


def hip() -> Shape:
    """Left hip bone: a wing cut from an ellipsoid's wall, the acetabulum, pubis and ischium."""
    outer, inner = Ellipsoid((0, 12, 185), (130, 96, 130)), Ellipsoid((0, 12, 188), (120, 86, 124))
    wing = Common(Without(outer, inner), Above((46, 0, 0), (1, 0, 0)), Above((0, -36, 160), (0, 1, 0.35)), Above((0, 0, 104), (0, 0, 1)),
                  Above((0, 10, 222), (0, -0.35, -1)), Above((0, 10, 222), (0, 0.9, -1)), Above((0, 76, 0), (0, -1, 0)))
    cup = Without(Ellipsoid((90, 2, 90), (35, 36, 36)), Ellipsoid((94, 0, 87), (29, 29, 29)), Tube([(90, 0, 88), (150, 0, 70)], 27))
    back = Tube([(52, 66, 168), (66, 62, 140), (84, 34, 112)], [11, 13, 15], pieces=3)
    pubis = Tube([(76, -16, 84), (44, -46, 80), (8, -58, 62)], [12, 9, 11], pieces=3)
    ramus = Tube([(9, -55, 46), (28, -30, 24), (50, 18, 12)], [8, 7, 11], pieces=3)
    ischium = Tube([(84, 26, 78), (74, 38, 48), (58, 32, 16)], [16, 15, 16], pieces=3)
    return Union(Union(wing, cup, back, blend_mm=8), Union(pubis, ramus, ischium, blend_mm=5), blend_mm=3)


def femur() -> Shape:
    """Left femur without its lower end: head, neck, trochanters, shaft."""
    head = Ellipsoid((93, 0, 88), (24, 24, 24))
    neck = Tube([(93, 0, 88), (116, 4, 74), (132, 8, 60)], [15, 14.5, 18], pieces=3)
    trochanter = Ellipsoid((143, 12, 66), (15, 20, 25))
    shaft = Tube([(132, 8, 58), (128, 6, 20), (120, 2, -70)], [21, 17, 15], pieces=3)
    return Union(head, neck, trochanter, shaft, blend_mm=5)


def pelvis_parts(bladder_scale: float, stool: bool) -> list[Part]:
    """Everything below the promontory that is not muscle; the bladder's size is the patient's."""
    b = bladder_scale
    rectum = Tube([(18, 28, 138), (8, 52, 122), (0, 62, 100), (0, 50, 70), (0, 42, 48), (0, 44, 24)], [14, 17, 20, 18, 14, 10], pieces=3)
    return [
        *pair(hip(), "bone", "Bone_Hip"), *pair(femur(), "bone", "Bone_Femur"),
        Part(Ellipsoid((0, -20, 40), (25, 22, 19)), "prostate", None, "Prostate", 0.6),
        Part(rectum, "stool" if stool else "gut", None, "Rectum", 0.6),
        Part(Tube([(0, 54, 105), (0, 50, 84)], [9, 7]), "gas", KEEP, "Rectum", 0.6),
        Part(Ellipsoid((0, -24, 60 + 32 * b), (44 * b ** 0.5, 36 * b ** 0.5, 33 * b)), "bladder", "UrinaryBladder", loose=1.0),
    ]
