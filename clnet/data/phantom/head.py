"""Skull, brain, eyes, mandible, parotids, airways of the head.

Sources: skull 18 cm long and 14-15 cm wide outside, wall 6-7 mm; eye 24 mm, lens 9-10 mm, intraorbital optic nerve 4-5 mm with its
sheath and 25-30 mm long; parotid 46 x 37 x 22 mm; brain stem 7-8 cm from midbrain to medulla (Gray's Anatomy; ICRP Publication 89).
"""

from __future__ import annotations

from .combine import Common, Grown, Union, Without
from .part import KEEP, Part, pair
from .shapes import Above, Box, Ellipsoid, Shape, Tube


def cranial_cavity() -> Shape:
    """Where the brain lies: an ellipsoid on a floor that falls from the orbits' roof to the foramen magnum."""
    return Common(Ellipsoid((0, 20, 855), (67, 83, 62)), Above((0, 0, 801), (0, 0.55, 1)))


def orbit() -> Shape:
    return Ellipsoid((32, -58, 813), (18, 30, 17), 2, (0, 0, 14))


FACE = Ellipsoid((0, -20, 782), (66, 72, 84), 3)


def skin_parts() -> list[Part]:
    """Scalp, face, nose."""
    return [Part(Ellipsoid((0, 20, 855), (79, 96, 75)), "skin"),
            Part(Union(FACE, Ellipsoid((0, -92, 778), (13, 14, 20)), blend_mm=8), "skin")]


def soft_parts() -> list[Part]:
    """What fills the face, with the fat of the cheeks."""
    return [Part(Grown(FACE, -6), "soft"), *pair(Ellipsoid((46, -50, 762), (9, 16, 18)), "fat")]


def skull_parts() -> list[Part]:
    """Vault and base, orbit walls, zygoma, maxilla, mastoid and petrous bone: one label; the mandible has its own pair."""
    cavity = cranial_cavity()
    vault = Without(Grown(cavity, 6.5), cavity, Tube([(0, 34, 770), (0, 30, 806)], 13))
    walls = Without(Common(Grown(orbit(), 4), Above((0, -74, 0), (0, 1, 0))), orbit())
    arch = Tube([(44, -70, 796), (60, -50, 792), (66, -18, 794), (60, 4, 798)], [6, 5, 3.5, 4], pieces=3)
    maxilla = Ellipsoid((0, -62, 768), (34, 25, 18), 3)
    return [
        Part(vault, "skull", "Bone_Skull"),
        *_labelled(pair(walls, "facial_bone")), *_labelled(pair(arch, "facial_bone")),
        *_labelled(pair(Ellipsoid((50, 34, 788), (13, 15, 18)), "facial_bone")),
        *_labelled(pair(Tube([(50, 28, 800), (20, 0, 806)], [9, 6]), "petrous")),
        Part(maxilla, "facial_bone", "Bone_Skull"),
        Part(Ellipsoid((0, -14, 800), (18, 14, 10)), "facial_bone", "Bone_Skull"),
        *pair(Ellipsoid((25, -58, 784), (12, 15, 13)), "gas"),
        Part(Box((0, -58, 788), (11, 21, 17), 5), "gas"), Part(Box((0, -58, 788), (1.5, 21, 17), 1), "soft"),
        Part(Box((0, -68, 750), (24, 20, 8), 4), "teeth", None),
        Part(Ellipsoid((0, -46, 742), (24, 34, 20)), "muscle"),
        Part(Tube([(0, -20, 790), (0, -12, 760), (0, -8, 735), (0, -6, 712), (0, -2, 698)], [8, 8, 9, 8, 8], (1.3, 0.8, 1), pieces=3),
             "gas"),
    ]


def _labelled(parts: list[Part]) -> list[Part]:
    return [Part(p.shape, p.tissue, "Bone_Skull") for p in parts]


def mandible() -> Shape:
    """Left half: body from the chin, angle, ramus, condyle."""
    body = Tube([(0, -72, 722), (22, -66, 722), (40, -40, 724), (49, -12, 730)], [8, 7.5, 7, 7], (0.85, 0.85, 1.5), pieces=3)
    ramus = Tube([(49, -10, 728), (51, -6, 756), (53, 2, 786)], [8, 7.5, 6], (0.8, 1.5, 1), pieces=3)
    return Common(Union(body, ramus, blend_mm=3), Above((0, 0, 0), (1, 0, 0)))


def face_parts() -> list[Part]:
    """Masseters, mandible, parotids in fat behind it, submandibular glands."""
    parotid = Union(Ellipsoid((54, 20, 760), (10, 17, 27), 2, (0, 0, 12)), Ellipsoid((62, 2, 764), (5, 14, 20)), blend_mm=6)
    return [*pair(Ellipsoid((56, -22, 752), (8, 18, 26)), "muscle"),
            *pair(mandible(), "mandible", "Bone_Mandible"),
            *pair(Grown(parotid, 3), "fat", None, "GlnD_Parotid", 0.6), *pair(parotid, "parotid", "GlnD_Parotid", loose=0.6),
            *pair(Ellipsoid((30, -22, 715), (9, 15, 12)), "soft")]


def brain_parts(ventricle_scale: float) -> list[Part]:
    """Fluid, then the brain's surface, its lobes and fluid spaces; brain stem and temporal lobes are structures within the brain."""
    cavity = cranial_cavity()
    temporal = Common(Ellipsoid((42, -2, 822), (19, 38, 19), 3, (0, 0, -6)), Grown(cavity, -3))
    stem = Tube([(0, 6, 842), (0, 5, 826), (0, 9, 810), (0, 20, 797), (0, 31, 788), (0, 35, 782)], [14, 14.5, 13.5, 10, 8, 7],
                (1.1, 0.95, 1), pieces=3)
    cerebellum = Common(Ellipsoid((0, 60, 815), (48, 33, 21)), Grown(cavity, -3))
    v = ventricle_scale
    return [
        Part(cavity, "csf", "Brain"), Part(Grown(cavity, -3), "brain", "Brain"),
        Part(Common(Box((0, 20, 880), (1.6, 90, 45), 1), cavity), "csf", KEEP),
        *pair(Ellipsoid((12 * v, 10, 868), (6 * v, 34, 9 * v), 2, (0, 0, 10)), "csf", KEEP),
        Part(Common(Grown(cerebellum, 3), cavity), "csf", KEEP), Part(cerebellum, "cerebellum", KEEP),
        *pair(Common(Grown(temporal, 3), cavity), "csf", KEEP, "TemporalLobe", 0.4),
        *pair(temporal, "brain", "TemporalLobe", loose=0.4),
        Part(Grown(stem, 3.5), "csf", KEEP, "BrainStem", 0.4), Part(stem, "brain_stem", "BrainStem", loose=0.4),
    ]


def eye_parts() -> list[Part]:
    """Orbital fat, eye muscles, optic nerve to the chiasm, eye, lens."""
    nerve = Tube([(31, -62, 815), (25, -45, 815), (17, -28, 816), (7, -16, 820)], [2.7, 2.7, 2.7, 2.7], pieces=3)
    return [*pair(orbit(), "fat"), *pair(Tube([(44, -62, 815), (38, -44, 815), (22, -32, 815)], 2), "muscle"),
            *pair(nerve, "nerve", "OpticNerve", "Eye", 0.3),
            *pair(Ellipsoid((32, -71, 815), (12.2, 12.2, 12.2)), "eye", "Eye", "Eye", 0.3),
            *pair(Ellipsoid((32, -78.5, 815), (4.9, 3.6, 4.9)), "lens", "Lens", "Eye", 0.3)]
