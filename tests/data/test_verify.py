"""All problems of all files at once, and scans in two places."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from clnet.data import leak
from clnet.data.layout import HeldOut
from clnet.data.reader import read_image
from clnet.data.verify import Problem, format_problems, verify
from clnet.errors import UsageError


def test_sound_datasets_have_no_problems(make_dataset, tmp_path):
    specs = [make_dataset(tmp_path / "a", name="a"), make_dataset(tmp_path / "b", name="b", seed=50)]
    assert verify(specs) == [] and format_problems([]) == "no problems found"


def test_every_problem_of_every_file_is_told(make_dataset, scans, tmp_path):
    first, second = make_dataset(tmp_path / "a", train=4, name="a"), make_dataset(tmp_path / "b", name="b", seed=50)
    (tmp_path / "a/imagesTr/Tr0_0000.nii.gz").write_bytes(b"")
    labels = scans.patient()[1]
    labels[0, 0, 0], labels[0, 0, 1] = 99, 55
    scans.write(tmp_path / "a/labelsTr/Tr0.nii.gz", labels)
    scans.write(tmp_path / "a/labelsTr/Tr1.nii.gz", scans.patient(1)[1], origin=(0, 0, 0))
    (tmp_path / "a/labelsTr/Tr2.nii.gz").unlink()
    (tmp_path / "b/labelsTs/Ts0.nii.gz").write_bytes(b"<html>")
    problems = verify([first, second])
    told = {(p.dataset, p.case, p.what.split(":")[0]) for p in problems}
    assert told == {
        ("a", "Tr0", "the file is empty"), ("a", "Tr0", "unknown label value 99"), ("a", "Tr0", "unknown label value 55"),
        ("a", "Tr1", "label and image lie on different grids"), ("a", "", f"image without a label {tmp_path / 'a/labelsTr/Tr2.nii.gz'}"),
        ("b", "Ts0", "not a NIfTI file, but a text or web page"),
    }  # fmt: skip
    assert all(p.file and p.fix for p in problems)
    text = format_problems(problems)
    assert text.startswith("6 problem(s) in 5 file(s)") and all(p.file in text and p.what in text and p.fix in text for p in problems)
    assert verify([first, second], workers=2) == problems


def test_missing_dataset_is_a_usage_error(make_spec, tmp_path):
    with pytest.raises(UsageError, match="nowhere"):
        verify([make_spec(tmp_path / "nowhere")])


def test_label_in_no_training_case(make_dataset, scans, tmp_path):
    spec = make_dataset(tmp_path / "a", train=2)
    for index in range(2):
        labels = scans.patient(index)[1]
        scans.write(tmp_path / f"a/labelsTr/Tr{index}.nii.gz", np.where(labels == 2, 0, labels).astype(np.uint8))
    (problem,) = verify([spec])
    assert "Spleen" in problem.what and problem.found == "0 of 2 cases" and problem.dataset == "belly"


def test_test_scan_among_another_datasets_training_scans(make_dataset, tmp_path):
    specs = [make_dataset(tmp_path / "a", name="a"), make_dataset(tmp_path / "b", name="b", seed=50)]
    image = sitk.ReadImage(str(tmp_path / "a/imagesTr/Tr1_0000.nii.gz"))
    image.SetSpacing((1.0, 1.0, 1.0))
    image.SetOrigin((0.0, 0.0, 0.0))
    for name, other in (("images", image), ("labels", sitk.ReadImage(str(tmp_path / "a/labelsTr/Tr1.nii.gz")))):
        other.SetSpacing((1.0, 1.0, 1.0))
        other.SetOrigin((0.0, 0.0, 0.0))
        sitk.WriteImage(sitk.DICOMOrient(other, "RAS"), str(tmp_path / f"b/{name}Ts/Ts0{'_0000' if name == 'images' else ''}.nii.gz"))
    (problem,) = verify(specs)
    assert (problem.dataset, problem.case) == ("b", "Ts0") and "also a training scan" in problem.what
    assert str(tmp_path / "a/imagesTr/Tr1_0000.nii.gz") in problem.found


def test_the_same_scan_in_two_training_sets_is_no_leak(make_dataset, tmp_path):
    specs = [make_dataset(tmp_path / "a", name="a", test=1), make_dataset(tmp_path / "b", name="b", test=1)]
    assert {p.case for p in verify(specs)} == set()


def test_part_of_a_test_scan_among_training_scans(make_dataset, scans, tmp_path):
    spec = make_dataset(tmp_path / "a")
    rng = np.random.default_rng(3)
    big = rng.integers(-200, 200, (24, 32, 40)).astype(np.int16)
    big[:, :2] = -1000
    scans.write(tmp_path / "a/imagesTr/Tr0_0000.nii.gz", big[:, :, :28])
    scans.write(tmp_path / "a/imagesTs/Ts0_0000.nii.gz", big[5:20, :, 4:32])
    scans.write(tmp_path / "a/labelsTs/Ts0.nii.gz", np.ones((15, 32, 28), np.uint8))
    (problem,) = verify([spec])
    assert problem.case == "Ts0" and "voxels of this test scan are also in a training scan" in problem.what


def test_held_out_cases_are_told_once(make_dataset, tmp_path):
    spec = make_dataset(tmp_path / "a", train=5, test=1, split=HeldOut(0.4))
    (tmp_path / "a/labelsTr/Tr2.nii.gz").unlink()
    (problem,) = [p for p in verify([spec]) if "no voxel" not in p.what]
    assert problem.what.startswith("image without a label")


def test_voxel_hash_knows_content_and_shape_only():
    image = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    assert leak.voxel_hash(image) == leak.voxel_hash(image.astype(np.float32)) == leak.voxel_hash(np.asfortranarray(image))
    changed = image.copy()
    changed[0, 0, 0] += 1
    assert len({leak.voxel_hash(image), leak.voxel_hash(changed), leak.voxel_hash(image.reshape(4, 3, 5))}) == 3


def test_sketches_meet_in_crops_only():
    rng = np.random.default_rng(0)
    scan, other = (rng.normal(0, 20, (30, 64, 64)).round().astype(np.int16) for _ in range(2))
    sketches = {"scan": leak.sketch(scan), "crop": leak.sketch(scan[10:20, 7:60, 5:55]), "other": leak.sketch(other)}
    ((first, second, count),) = leak.overlapping(sketches)
    assert (first, second) == ("scan", "crop") and count >= 50
    assert leak.sketch(np.full((5, 30, 30), -1024, np.int16)) == leak.sketch(scan[:, :, :10]) == frozenset()


@pytest.mark.shared
def test_real_crops_of_one_scan_are_found(shared):
    names = ("abd_sm", "abdpel", "cta_aorta", "cta_heart")
    sketches = {name: leak.sketch(read_image(shared / f"real_ct/totalsegmentator/{name}_ct.nii.gz")[0]) for name in names}
    assert [pair[:2] for pair in leak.overlapping(sketches)] == [("abd_sm", "abdpel"), ("cta_aorta", "cta_heart")]


def test_listing_groups_by_file():
    problems = [Problem("d", "c", "f", "first", fix="do"), Problem("d", "", "g", "third"), Problem("d", "c", "f", "second", "1", "2")]
    assert format_problems(problems).splitlines() == [
        "3 problem(s) in 2 file(s)", "", "d/c: f", "  first", "    fix: do", "  second: found 1; expected 2", "", "d: g", "  third",
    ]  # fmt: skip
