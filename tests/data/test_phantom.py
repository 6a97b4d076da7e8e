"""The phantom: same bytes for the same recipe, all labels there, plausible HU, the same after a kill."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import yaml

from clnet.data.phantom import PhantomRecipe, recipe, write
from clnet.data.phantom.collection import COLLECTIONS
from clnet.data.phantom.patient import Patient
from clnet.errors import HostError

CONF = Path(__file__).parents[2] / "conf" / "dataset"
ONE = {slot: (1, 1) for slot in COLLECTIONS}
TINY = PhantomRecipe(seed=7, cases={"head_neck": (1, 1), "chest": (1, 0)}, coarsen=3.0, workers=1)


@cache
def scan(slot: str, split: str, coarsen: float = 1.4):
    found = recipe.jobs(Path("unused"), PhantomRecipe(cases=ONE, coarsen=coarsen))
    return recipe.make(next(job for job in found if (job.slot, job.split) == (slot, split)))


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_same_recipe_same_bytes(tmp_path):
    write(tmp_path / "a", TINY)
    write(tmp_path / "b", TINY)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    write(tmp_path / "c", PhantomRecipe(seed=8, cases=TINY.cases, coarsen=3.0, workers=1))
    first, other = contents(tmp_path / "a"), contents(tmp_path / "c")
    assert first.keys() == other.keys() and all(first[name] != other[name] for name in first)


def test_several_workers_write_the_same_bytes(tmp_path):
    write(tmp_path / "one", TINY, workers=1)
    write(tmp_path / "two", TINY, workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_no_patient_occurs_twice():
    jobs = recipe.jobs(Path("unused"), PhantomRecipe())
    patients = [job.patient() for job in jobs]
    assert len({patient.key for patient in patients}) == len(jobs) == 66
    assert len({tuple(patient.scale_xyz) for patient in patients}) == len(jobs)
    assert len({(job.image, job.label) for job in jobs}) == len(jobs)


@pytest.mark.parametrize("slot", COLLECTIONS)
@pytest.mark.parametrize("split", ["train", "test"])
def test_every_label_is_there(slot, split):
    labels = scan(slot, split)[1]
    counts = np.bincount(labels.ravel(), minlength=256)
    missing = [name for name in COLLECTIONS[slot].labels if not counts[COLLECTIONS[slot].values()[name]]]
    assert not missing and labels.max() == len(COLLECTIONS[slot].labels)


@pytest.mark.parametrize("slot", COLLECTIONS)
def test_yaml_names_what_is_painted(slot):
    collection = COLLECTIONS[slot]
    spec = yaml.safe_load((CONF / f"{collection.folder}.yaml").read_text())
    listed = {name: value["values"] if isinstance(value, dict) else value for name, value in spec["labels"].items()}
    own = {name: collection.values()[name] for name in collection.labels}
    if slot == "whole_body":
        own["Heart"] = [own["Heart"], own["LAA"]]
    assert listed == own and spec["name"] == collection.folder


HU = {"Lung_RLL": (-900, -780), "Liver": (40, 140), "Brain": (20, 55), "Bone_Skull": (500, 1100), "UrinaryBladder": (-15, 45),
      "Musc_GluteusMax_L": (35, 80), "Kidney_L": (25, 220), "Spleen": (30, 160), "Trachea": (-1000, -800), "Bone_Vert_L3": (150, 600),
      "A_Aorta": (30, 320), "GallBladder": (-15, 45), "Heart": (35, 250), "Bone_Femur_R": (200, 900)}


@pytest.mark.parametrize("name", HU)
def test_tissues_look_like_ct(name):
    image, labels = scan("whole_body", "test")[:2]
    low, high = HU[name]
    assert low < np.median(image[labels == COLLECTIONS["whole_body"].values()[name]]) < high


def test_organs_lie_where_they_belong():
    labels, spacing = scan("whole_body", "test")[1:3]
    values = COLLECTIONS["whole_body"].values()
    middles = [np.argwhere(labels == value).mean(axis=0) * spacing for value in values.values()]
    z, y, x = (dict(zip(values, axis)) for axis in np.transpose(middles))
    order = ["UrinaryBladder", "Bone_Sacrum", *(f"Bone_Vert_L{k}" for k in range(5, 0, -1)), "Heart", "Bone_Rib1_L", "Brain"]
    assert [z[name] for name in order] == sorted(z[name] for name in order)
    assert x["Liver"] < x["Bone_Vert_L1"] < x["Spleen"]  # LPS: x grows to the patient's left
    assert x["Kidney_R"] < x["V_VenaCava_I"] < x["A_Aorta"] < x["Kidney_L"]
    assert y["UrinaryBladder"] < y["Bone_Sacrum"] and y["Trachea"] < y["Eso"]  # and y to the back


VOLUME_ML = {"Liver": (900, 2300), "Spleen": (90, 350), "Kidney_L": (90, 260), "Kidney_R": (90, 260), "Heart": (300, 750),
             "Brain": (1000, 1700), "GlnD_Adrenal_L": (3, 14), "Pancreas": (50, 170), "UrinaryBladder": (50, 400), "Lung_RML": (80, 450)}


@pytest.mark.parametrize("name", VOLUME_ML)
def test_organs_have_their_size(name):
    labels, spacing = scan("whole_body", "test")[1:3]
    low, high = VOLUME_ML[name]
    assert low < (labels == COLLECTIONS["whole_body"].values()[name]).sum() * np.prod(spacing) / 1000 < high


def test_lesions_grow_on_kidneys_and_are_darker():
    image, labels = scan("lesion", "train")[:2]
    lesion = labels == 1
    diameter_mm = 2 * (lesion.sum() * np.prod(scan("lesion", "train")[2]) * 3 / 4 / np.pi) ** (1 / 3)
    assert 12 < diameter_mm < 75
    assert np.median(image[lesion]) < 115


@pytest.mark.parametrize("slot", COLLECTIONS)
def test_coverage_follows_the_body_part_scores(slot):
    labels, spacing = scan(slot, "test")[1:3]
    low, high = COLLECTIONS[slot].hospital.scores
    assert labels.shape[0] * spacing[0] == pytest.approx((high - low) * 930, rel=0.12)


def test_some_training_scans_end_in_an_organ():
    partial = COLLECTIONS["whole_body"].partial
    assert (0.0, 1.0) in partial and sum(scores != (0.0, 1.0) for scores in partial) >= 2


def test_files_open_in_their_orientation(tmp_path):
    write(tmp_path, TINY)
    for slot, code in (("head_neck", "RAS"), ("chest", "LAS")):
        job = next(job for job in recipe.jobs(tmp_path, TINY) if job.slot == slot)
        image, labels = sitk.ReadImage(str(job.image)), sitk.ReadImage(str(job.label))
        assert sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(image.GetDirection()) == code
        assert image.GetPixelID() == sitk.sitkInt16 and labels.GetPixelID() == sitk.sitkUInt8
        made = recipe.make(job)
        upright = sitk.DICOMOrient(image, "LPS")
        assert np.array_equal(sitk.GetArrayFromImage(upright), made[0])
        assert np.array_equal(sitk.GetArrayFromImage(sitk.DICOMOrient(labels, "LPS")), made[1])
        assert upright.GetSpacing()[::-1] == pytest.approx(made[2]) and upright.GetOrigin() == pytest.approx(made[3], abs=1e-3)
        assert labels.GetOrigin() == image.GetOrigin()


def test_a_killed_run_goes_on(tmp_path, monkeypatch):
    write(tmp_path / "whole", TINY)
    original, left = recipe.nifti.write, [3]

    def killed(*arguments):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        original(*arguments)

    monkeypatch.setattr(recipe.nifti, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "killed", TINY)
    monkeypatch.undo()
    finished = next((tmp_path / "killed").rglob("labels*/*.nii.gz"))
    before = finished.stat().st_mtime_ns
    write(tmp_path / "killed", TINY)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert finished.stat().st_mtime_ns == before


def test_another_recipe_replaces_the_cases(tmp_path):
    write(tmp_path, TINY)
    write(tmp_path, PhantomRecipe(seed=9, cases={"head_neck": (1, 0)}, coarsen=3.0, workers=1))
    assert len(list(tmp_path.rglob("*.nii.gz"))) == 2


def test_a_full_disk_is_told_from_a_bug(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recipe.nifti, "write", full)
    with pytest.raises(HostError, match="No space left"):
        write(tmp_path, TINY)


def test_identity_says_what_the_bytes_depend_on():
    same = PhantomRecipe(workers=5, cases={slot: list(counts) for slot, counts in PhantomRecipe().cases.items()})
    assert PhantomRecipe().identity() == same.identity()
    assert len({PhantomRecipe().identity(), PhantomRecipe(seed=1).identity(), PhantomRecipe(coarsen=2).identity(), TINY.identity()}) == 4


def test_deformation_is_smooth_and_small():
    axis = np.arange(-100.0, 100.0, 4.0)
    points = Patient((1, 2, 3)).points(np.arange(300.0, 500.0, 4.0), axis, axis)
    for values, step in ((points.z, 0), (points.y, 1), (points.x, 2)):
        growth = np.diff(values, axis=step) / 4.0
        assert 0.7 < growth.min() and growth.max() < 1.3
