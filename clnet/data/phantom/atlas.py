"""The whole body of one patient as one list of parts, in the order of painting: later parts win where shapes meet."""

from __future__ import annotations

from . import abdomen, head, lesion, pelvis, spine, trunk, vessels
from .part import Part
from .patient import Patient


def parts(patient: Patient, lesion_label: str | None = None, lesions: bool = False) -> list[Part]:
    """Outlines, then lungs, abdomen, pelvis, vessels, bones, and the head; kidney lesions on top of the kidneys."""
    rng = patient.random("contents")
    stomach, bladder, ventricle = rng.uniform(0.88, 1.1), rng.uniform(0.75, 1.15), rng.uniform(0.7, 1.5)
    gas, stool, lumen = rng.random() < 0.7, rng.random() < 0.5, rng.random() < 0.5
    return [
        trunk.skin_part(patient.fat_mm), *head.skin_parts(), *trunk.muscle_parts(), *head.soft_parts(), *trunk.back_parts(),
        *trunk.gluteal_parts(),
        *trunk.thorax_parts(),
        *abdomen.abdomen_parts(patient.random("bowel"), stomach, gas), *vessels.abdominal_vessel_parts(),
        *(lesion.kidney_lesions(patient, lesion_label) if lesions else []),
        *vessels.neck_parts(lumen), *vessels.airway_parts(), *vessels.chest_parts(),
        *pelvis.pelvis_parts(bladder, stool),
        *spine.spine_parts(),
        *head.skull_parts(), *head.face_parts(), *head.brain_parts(ventricle), *head.eye_parts(),
    ]
