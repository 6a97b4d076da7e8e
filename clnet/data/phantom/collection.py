"""The five data sets: which hospital, which part of the body, which structures are labelled and with what value."""

from __future__ import annotations

from dataclasses import dataclass

from .hospital import Hospital

PLAIN, ARTERIAL, PORTAL, MIXED = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.0, 0.4, 0.6)


@dataclass(frozen=True)
class Collection:
    """`labels` lists the painted structures in the order of their values 1, 2, ...; `within` adds structures that lie in another.

    `partial` gives body part scores to some training cases in turn: scans that end in the middle of an organ.
    """

    folder: str
    hospital: Hospital
    labels: tuple[str, ...]
    within: tuple[tuple[str, str], ...] = ()
    partial: tuple[tuple[float, float], ...] = ()
    lesions: float = 0.0  # share of patients with kidney lesions

    def values(self) -> dict[str, int]:
        """Label-map value of each painted structure."""
        table = {name: k + 1 for k, name in enumerate(self.labels)}
        return table | {inner: table[outer] for inner, outer in self.within}


def _sided(*stems: str) -> tuple[str, ...]:
    return tuple(f"{stem}_{side}" for stem in stems for side in "LR")


ABDOMEN = ("Liver", "Eso", "Stomach", "Duodenum", "Kidney_L", "Kidney_R", "Spleen", "Pancreas", "A_Aorta", "V_VenaCava_I", "GlnD_Adrenal_L",
           "GlnD_Adrenal_R", "GallBladder")

WHOLE_BODY = Collection(
    "phantom_whole_body",
    Hospital((3.0, 3.0, 3.0), (0.0, 1.0), 390, 270, (PORTAL, PORTAL, MIXED, PLAIN),
             noise_hu=12, grain_voxels=0.6, blur_mm=2.5, shading_hu=3, offset_hu=0),
    ("Brain", "Bone_Skull", "SpinalCord", "Trachea", "Lung_LUL", "Lung_LLL", "Lung_RUL", "Lung_RML", "Lung_RLL", "Heart", "LAA",
     "UrinaryBladder", *ABDOMEN, *(f"Bone_Vert_L{k}" for k in range(1, 6)), *_sided("Bone_Rib1", "Bone_Rib11", "Bone_Rib12"), "Bone_Sacrum",
     *_sided("Bone_Hip", "Bone_Femur", "Musc_GluteusMax")),
    within=(("BrainStem", "Brain"), ("TemporalLobe_L", "Brain"), ("TemporalLobe_R", "Brain")),
    partial=((0.0, 1.0), (0.0, 1.0), (0.02, 0.71), (0.0, 1.0), (0.27, 1.0), (0.0, 1.0)), lesions=0.15)

HEAD_NECK = Collection(
    "phantom_head_neck",
    Hospital((3.0, 2.0, 2.0), (0.62, 1.0), 300, 250, (MIXED, PORTAL, PLAIN),
             noise_hu=9, grain_voxels=0.5, blur_mm=1.8, shading_hu=4, offset_hu=3, orientation="RAS"),
    ("BrainStem", "SpinalCord", *_sided("Eye", "Lens", "OpticNerve", "GlnD_Parotid", "Bone_Mandible", "TemporalLobe")))

ABDOMINAL = Collection(
    "phantom_abdomen",
    Hospital((3.5, 2.5, 2.5), (0.06, 0.58), 380, 265, (PORTAL, MIXED, ARTERIAL),
             noise_hu=11, grain_voxels=0.7, blur_mm=2.4, shading_hu=4, offset_hu=-3),
    ABDOMEN)

CHEST = Collection(
    "phantom_chest",
    Hospital((3.5, 3.0, 3.0), (0.27, 0.94), 390, 270, (ARTERIAL, MIXED, PLAIN),
             noise_hu=16, grain_voxels=0.0, blur_mm=3.2, shading_hu=5, offset_hu=5, orientation="LAS"),
    ("Eso", "Trachea", "Heart", "A_Aorta"), within=(("LAA", "Heart"),))

LESION = Collection(
    "phantom_lesion",
    Hospital((4.0, 3.0, 3.0), (0.0, 0.75), 390, 270, (ARTERIAL, MIXED),
             noise_hu=13, grain_voxels=0.6, blur_mm=2.8, shading_hu=4, offset_hu=0),
    ("Kidney_Lesion",), lesions=1.0)

COLLECTIONS = {"whole_body": WHOLE_BODY, "head_neck": HEAD_NECK, "abdomen": ABDOMINAL, "chest": CHEST, "lesion": LESION}
