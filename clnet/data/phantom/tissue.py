"""What a CT shows of each tissue, in HU, without contrast and in the arterial and the portal venous phase.

Sources: soft tissue and bone without contrast follow from the ICRU Report 46 compositions (Schneider, Pedroni, Lomax 1996, Phys Med
Biol 41:111); enhancement by phase follows Bae 2010, Radiology 256:32 (aorta 250-350 HU arterial, liver 100-120 HU portal venous).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tissue:
    """HU in three phases (plain, arterial, portal), and those of a wall of `rim_mm` under its surface."""

    hu: tuple[float, float, float]
    rim_hu: tuple[float, float, float] | None = None
    rim_mm: float = 0.0


def _same(hu: float) -> tuple[float, float, float]:
    return (hu, hu, hu)


WALL = (40.0, 75.0, 90.0)

TISSUES: dict[str, Tissue] = {
    "air": Tissue(_same(-1000)),
    "gas": Tissue(_same(-950)),
    "lung": Tissue(_same(-850)),
    "fissure": Tissue(_same(-650)),
    "lung_vessel": Tissue((-150, 60, 20)),
    "fat": Tissue(_same(-100)),
    "skin": Tissue(_same(-100), _same(30), 2.0),
    "muscle": Tissue((50, 58, 62)),
    "soft": Tissue((35, 45, 48)),
    "bone": Tissue(_same(200), _same(950), 2.5),
    "rib": Tissue(_same(250), _same(800), 2.0),
    "vertebra": Tissue(_same(190), _same(600), 2.2),
    "skull": Tissue(_same(950)),
    "facial_bone": Tissue(_same(350), _same(750), 2.5),
    "mandible": Tissue(_same(450), _same(1050), 2.5),
    "petrous": Tissue(_same(1000)),
    "teeth": Tissue(_same(1400)),
    "cartilage": Tissue(_same(110)),
    "disc": Tissue(_same(75)),
    "brain": Tissue((35, 38, 38)),
    "cerebellum": Tissue((38, 41, 41)),
    "brain_stem": Tissue((29, 31, 31)),
    "csf": Tissue(_same(7)),
    "cord": Tissue(_same(42)),
    "eye": Tissue(_same(12), _same(50), 1.5),
    "lens": Tissue(_same(95)),
    "nerve": Tissue(_same(42)),
    "parotid": Tissue((-5, 12, 15)),
    "artery": Tissue((42, 300, 165)),
    "vein": Tissue((42, 90, 160)),
    "vena_cava": Tissue((42, 75, 150)),
    "chamber": Tissue((42, 280, 160)),
    "myocardium": Tissue((45, 115, 110)),
    "liver": Tissue((58, 75, 112)),
    "spleen": Tissue((48, 135, 122)),
    "kidney": Tissue((32, 130, 170), (34, 190, 180), 6.0),
    "adrenal": Tissue((20, 70, 75)),
    "pancreas": Tissue((40, 100, 88)),
    "thyroid": Tissue((95, 170, 150)),
    "stomach": Tissue(_same(18), WALL, 3.5),
    "duodenum": Tissue((25, 35, 38), WALL, 3.0),
    "gut": Tissue((15, 20, 22), WALL, 2.5),
    "stool": Tissue(_same(-40), WALL, 2.5),
    "gallbladder": Tissue(_same(8), (30, 50, 60), 1.5),
    "bladder": Tissue(_same(4), (40, 55, 60), 3.0),
    "prostate": Tissue((38, 55, 62)),
    "oesophagus": Tissue((38, 55, 60)),
    "tumour": Tissue((32, 75, 60), (34, 105, 85), 5.0),
    "cyst": Tissue(_same(6)),
}


def value(hu: tuple[float, float, float], phase: tuple[float, float, float]) -> float:
    """HU of a mixture of the three phases; `phase` sums to 1."""
    return sum(h * share for h, share in zip(hu, phase))
