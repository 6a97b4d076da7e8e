"""A fault in the second dataset stops the run with its own exit code, names the file, and costs nothing of what was finished."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk

IMAGE, LABEL = "imagesTr/abdomen_train_000_0000.nii.gz", "labelsTr/abdomen_train_000.nii.gz"


def truncate(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def change_voxel(file: Path, value: float, kind: int) -> None:
    image = sitk.ReadImage(str(file))
    array = sitk.GetArrayFromImage(sitk.Cast(image, kind))
    array[tuple(np.array(array.shape) // 2)] = value
    changed = sitk.GetImageFromArray(array)
    changed.CopyInformation(image)
    sitk.WriteImage(changed, str(file))


def unknown_value(file: Path) -> None:
    change_voxel(file, 200, sitk.sitkUInt8)


def not_a_number(file: Path) -> None:
    change_voxel(file, float("nan"), sitk.sitkFloat32)


@pytest.fixture(scope="module")
def copy(first_run, tmp_path_factory) -> SimpleNamespace:
    """A copy of the phantom that may be spoilt, used with the units of the first run."""
    outputs = tmp_path_factory.mktemp("faulty")
    root = outputs / "phantom"
    shutil.copytree(first_run.outputs / "data/phantom", root)
    overrides = (*first_run.sharing(outputs), f"data.root={root}")
    return SimpleNamespace(abdomen=root / "phantom_abdomen", overrides=overrides, outputs=outputs)


@pytest.mark.parametrize("name,spoil", [(IMAGE, truncate), (LABEL, unknown_value), (IMAGE, not_a_number)])
def test_a_spoilt_file_is_named_and_costs_nothing_else(first_run, copy, name, spoil):
    file = copy.abdomen / name
    sound, before = file.read_bytes(), first_run.units(first_run.outputs / "units")
    try:
        spoil(file)
        refused = first_run.here(*copy.overrides)
    finally:
        file.write_bytes(sound)
    assert refused.code == 3
    assert file.name in refused.err and "fix:" in refused.err and "Traceback" not in refused.err
    assert first_run.units(first_run.outputs / "units") == before  # nothing published of the faulty data, nothing lost
    assert not list(copy.outputs.rglob("scores.csv"))


def test_all_spoilt_files_are_listed_at_once(first_run, copy):
    files = [copy.abdomen / name for name in (IMAGE, "labelsTr/abdomen_train_001.nii.gz")]
    sound = [file.read_bytes() for file in files]
    try:
        truncate(files[0])
        unknown_value(files[1])
        refused = first_run.here(*copy.overrides)
    finally:
        for file, content in zip(files, sound):
            file.write_bytes(content)
    assert refused.code == 3 and all(file.name in refused.err for file in files) and "200" in refused.err


def test_a_wrong_folder_is_a_wrong_command(first_run, copy):
    nowhere = copy.outputs / "nowhere"
    refused = first_run.here(*copy.overrides, f"data.datasets.abdomen.root={nowhere}")
    assert refused.code == 2
    assert str(nowhere) in refused.err and "root" in refused.err and "fix:" in refused.err
    assert not nowhere.exists()


def test_the_repaired_data_finishes_from_what_was_kept(first_run, copy):
    file = copy.abdomen / IMAGE
    sound, before = file.read_bytes(), first_run.units(first_run.outputs / "units")
    truncate(file)
    assert first_run.here(*copy.overrides).code == 3
    file.write_bytes(sound)
    repaired = first_run.here(*copy.overrides)
    assert repaired.code == 0, repaired.err
    assert first_run.units(first_run.outputs / "units") == before
    assert (repaired.folder / "scores.csv").read_bytes() == (first_run.folder / "scores.csv").read_bytes()
