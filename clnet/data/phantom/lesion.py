"""Kidney tumours and cysts.

Source: KiTS21 (Heller et al., arXiv:2307.01984): one or several tumours a patient, mostly clear cell carcinoma, from about 1 cm to over
10 cm, many of them growing out of the kidney's surface; cysts beside them, here in the image but not labelled.
"""

from __future__ import annotations

import numpy as np

from .abdomen import KIDNEY_RADII, KIDNEYS
from .part import Part
from .patient import Patient
from .shapes import Ellipsoid


def _on_kidney(rng: np.random.Generator, side: str, depth: float) -> np.ndarray:
    """A point at `depth` (1 = surface) of the kidney, away from its hilum."""
    (x, y, z), _ = KIDNEYS[side]
    outward = 1 if side == "L" else -1
    angle, height = rng.uniform(-0.9, 0.9), rng.uniform(-0.75, 0.75)
    ring = np.sqrt(1 - height**2)
    return np.array([x + outward * depth * KIDNEY_RADII[0] * ring * np.cos(angle), y + depth * KIDNEY_RADII[1] * ring * np.sin(angle),
                     z + depth * KIDNEY_RADII[2] * height])


def kidney_lesions(patient: Patient, label: str | None) -> list[Part]:
    """One tumour of 18-60 mm, sometimes a second on the other side, sometimes a cyst; `label` names the tumours' structure."""
    rng = patient.random("lesion")
    first = "LR"[rng.integers(2)]
    sides = [first] + (["R" if first == "L" else "L"] if rng.random() < 0.25 else [])
    parts = []
    for k, side in enumerate(sides):
        radius = float(np.exp(rng.uniform(np.log(11 if k else 12), np.log(16 if k else 30))))
        stretch = rng.uniform(0.88, 1.12, 3)
        centre = _on_kidney(rng, side, 0.85 + radius / 120)
        parts.append(Part(Ellipsoid(tuple(centre), tuple(radius * stretch)), "tumour", label, f"Kidney_{side}", 1.0))
    if rng.random() < 0.4:
        side = "LR"[rng.integers(2)]
        radius = rng.uniform(6, 14)
        cyst = Part(Ellipsoid(tuple(_on_kidney(rng, side, 0.95)), (radius,) * 3), "cyst", None, f"Kidney_{side}", 1.0)
        parts.insert(0, cyst)
    return parts
