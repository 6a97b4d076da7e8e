"""The exported folder stands on its own: the same predictions, without the run, its units or its data."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import yaml
from safetensors import safe_open

from experiments.export import _portable


@pytest.fixture(scope="module")
def exported(first_run, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exports") / "model"
    done = first_run.here("task=export", f"run={first_run.folder}", f"output={folder}", f"paths.outputs={first_run.outputs}")
    assert done.code == 0, done.err
    return folder


@pytest.fixture(scope="module")
def scan(first_run) -> Path:
    return next((first_run.outputs / "data/phantom/phantom_abdomen/imagesTs").glob("*.nii.gz"))


def predicted(first_run, run: Path, scan: Path, output: Path, *more: str) -> Path:
    done = first_run.here("task=predict", f"run={run}", f"input={scan}", f"output={output}", f"paths.outputs={output}/none", *more)
    assert done.code == 0, done.err
    return output


def test_it_predicts_as_the_run_does(first_run, exported, scan, tmp_path):
    alone = tmp_path / "elsewhere"
    shutil.copytree(exported, alone)
    ours, theirs = (predicted(first_run, run, scan, tmp_path / run.name) for run in (first_run.folder, alone))
    name = scan.name
    values = [sitk.GetArrayFromImage(sitk.ReadImage(str(folder / name))) for folder in (ours, theirs)]
    assert values[0].any() and np.array_equal(*values)
    assert (ours / "labels.json").read_text() == (theirs / "labels.json").read_text()


def test_it_holds_no_code_and_no_place_of_the_run(first_run, exported):
    kinds = {path.suffix for path in exported.rglob("*") if path.is_file()}
    assert kinds == {".safetensors", ".json", ".yaml", ".md"}
    for path in exported.rglob("*.*"):
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                assert list(file.keys())
        elif path.is_file():
            assert str(first_run.outputs) not in path.read_text(), path
    cfg = yaml.safe_load((exported / "config.yaml").read_text())
    original = yaml.safe_load((first_run.folder / "config.yaml").read_text())
    assert cfg["paths"]["units"] == "outputs/units" and cfg["scale"] == original["scale"]
    registry = json.loads((exported / "registry.json").read_text())
    assert len(registry) == 101 and registry["Kidney_Lesion"]["supporters"] == ["Kidney"]
    card = (exported / "README.md").read_text()
    assert "not a medical device" in card and "| Liver | Liver |" in card and "nan" not in card.lower().split()
    assert (exported / "model/ranges.json").exists() and (exported / "model/bodypart.safetensors").exists()


def test_masks_and_sets_beside_the_label_map(first_run, exported, scan, tmp_path):
    output = predicted(first_run, exported, scan, tmp_path / "out", "masks=true")
    name = scan.name.removesuffix(".nii.gz")
    values = sitk.GetArrayFromImage(sitk.ReadImage(str(output / f"{name}.nii.gz")))
    names = {structure: int(value) for value, structure in json.loads((output / "labels.json").read_text()).items()}
    folder = output / f"{name}_masks"
    sets = json.loads((folder / "sets.json").read_text())
    files = {path.name.removesuffix(".nii.gz") for path in folder.glob("*.nii.gz")}
    masks = {structure for structure in files if not structure.endswith(".set")}
    assert masks <= set(names) and {f"{key}.set" for key in sets} == files - masks
    for structure in masks:
        mask = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / f"{structure}.nii.gz"))).astype(bool)
        assert mask.any() and not (values == names[structure])[~mask].any(), "the label map only hides"
    for key, meaning in sets.items():
        of_set = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / f"{key}.set.nii.gz")))
        for value, structure in meaning.items():
            if structure in masks:
                mask = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / f"{structure}.nii.gz"))).astype(bool)
                assert np.array_equal(of_set == int(value), mask)


def test_refusals(first_run, exported, tmp_path):
    for overrides, words in (((f"output={exported}",), "exists already"), ((), "not set: output")):
        done = first_run.here("task=export", f"run={first_run.folder}", *overrides, f"paths.outputs={tmp_path}")
        assert done.code == 2 and words in done.err


def test_files_of_a_method_stay_behind():
    """Texts of the machine that trained: the networks carry them."""
    method = {"name": "csclip", "embedding_file": "/home/me/clip.safetensors"}
    cfg = {"data": {"datasets": {"body": {"root": "/home/me/body"}}}, "method": method}
    assert _portable(cfg)["method"] == {"name": "csclip", "embedding_file": None} and "/home/me" not in str(_portable(cfg))
