"""New scans through a saved method: label maps on the scans' own grids, resumable, and no bad scan spoils the others."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
import yaml

from clnet.errors import DataError, UsageError
from clnet.infer.combine import CombinedLabelMap, numbered
from clnet.learn.archive import LearnedDecoder, LearnedEncoder
from clnet.learn.progress import RunProgress
from clnet.model.sparse import save_sparse
from clnet.model.support import Route
from clnet.model.weights import save_weights
from clnet.types import Geometry, Label, Part
from clnet.units import UnitStore
from experiments.maskfolder import MaskFolder
from experiments.pipeline import made, method_of
from experiments.predict import predict_folder
from experiments.scans import Scan

DECODERS = ("Liver", "Larynx", "Kidney_Lesion", "Extra")
SPACING_XYZ, ORIGIN = (1.7, 2.3, 4.1), (-21.5, 13.25, 107.0)


def configuration(run: Path, width: int = 4) -> dict:
    plan = {"_target_": "clnet.learn.plan.DecoderPlan",
            "width": {"_target_": "clnet.model.width.Same", "features": width}, "new": None, "update": None}
    spec = {"_target_": "clnet.data.dataset.dataset_spec", "name": "tiny", "root": "/nowhere", "body_group": "abdomen",
            "layout": {"_target_": "clnet.data.layout.NnunetRaw"}, "labels": {"Liver": 1, "Extra": 2},
            "decoders": [{"name": "Extra", "group": "Lesion", "structures": ["Extra"]}]}
    scale = {
        "network": {"_target_": "clnet.model.shape.NetworkShape", "features": [4, 8], "kernels": [[3, 3, 3]] * 2,
                    "strides": [[1, 1, 1], [2, 2, 2]]},
        "intensity": {"_target_": "clnet.data.intensity.Intensity", "windows": [{"center_hu": 0.0, "scale_hu": 250.0}]},
        "windows": {"_target_": "clnet.infer.window.Windows", "patch_zyx": [16, 16, 16], "overlap": 0.25},
        "recipe": {"_target_": "clnet.data.prepare.Recipe", "spacing_mm": [4.0, 3.0, 3.0]},
    }
    method = {"_target_": "clnet.learn.clnet.CLNet", "_partial_": True, "shape": scale["network"], "encoder": None, "decoder": plan,
              "augmentation": None, "intensity": scale["intensity"], "windows": scale["windows"]}
    absent = dict.fromkeys(("pruning", "supporting", "tuning", "bpr", "merging", "validation_share", "validation_overlap"))
    return {**absent, "launcher": {"_target_": "clnet.launch.LocalLauncher"}, "name": "tiny", "seed": 0, "method": method,
            "scale": scale, "augment": None, "encoder": None,
            "decoder": {**plan, "refine": None, "start": None}, "data": {"name": "tiny", "datasets": {"only": spec}},
            "order": {"steps": ["only"]},
            "trainer": {"accelerator": "cpu", "precision": "32-true", "threads": 1}, "paths": {"units": str(run / "units")}}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A run folder with a method of random weights."""
    return save_run(tmp_path_factory.mktemp("runs") / "run", seed=3)


def save_run(folder: Path, seed: int) -> Path:
    folder.mkdir()
    cfg = configuration(folder)
    (folder / "config.yaml").write_text(yaml.safe_dump(cfg))
    spec = made(cfg["data"]["datasets"]["only"])
    method = method_of(cfg, [spec], UnitStore(folder / "units"), RunProgress())
    torch.manual_seed(seed)
    method.encoder = LearnedEncoder(folder / "e.safetensors", f"encoder {seed}")
    method.archive.add(method.encoder)
    save_weights(method.archive.new_encoder(), method.encoder.file)
    route = Route(method.encoder.identity)
    for name in DECODERS:
        decoder = method.registry.decoders[name]
        network = method.archive.new_decoder(decoder, route)
        for head in network.heads:
            torch.nn.init.normal_(head.weight, std=1.0)
        save_sparse(network, {}, folder / f"{name}.safetensors")
        labels = tuple(Label(structure, (structure,)) for structure in decoder.structures)
        method.learned[name] = LearnedDecoder(decoder, folder / f"{name}.safetensors", f"{name} {seed}", labels, route)
        method.archive.add(method.learned[name])
    method.save(folder / "model")
    return folder


def scan() -> sitk.Image:
    """An LPS scan, anisotropic and asymmetric: a body with two blobs off its centre, and air around it."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in (14, 30, 36)), indexing="ij")
    hu = np.where(x**2 + (y * 1.1) ** 2 < 0.6, 20.0, -1000.0)
    hu[(x - 0.3) ** 2 + (y - 0.2) ** 2 + z**2 < 0.08] = 180
    hu[(x + 0.35) ** 2 + (y + 0.1) ** 2 + (z - 0.4) ** 2 < 0.05] = -120
    image = sitk.GetImageFromArray((hu + np.random.default_rng(0).normal(0, 10, hu.shape)).astype(np.int16))
    image.SetSpacing(SPACING_XYZ)
    image.SetOrigin(ORIGIN)
    return image


def write(folder: Path, name: str, image: sitk.Image) -> Path:
    folder.mkdir(exist_ok=True)
    sitk.WriteImage(image, str(folder / name))
    return folder / name


def predict(run: Path, source: Path, output: Path) -> Path:
    return predict_folder({"paths": {"run": str(run)}, "input": str(source), "output": str(output), "trainer": {"threads": 1}})


def grid(path: Path) -> tuple:
    image = sitk.ReadImage(str(path))
    return image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection()


def test_label_maps_lie_on_the_grids_of_their_scans(run, tmp_path):
    oblique = scan()
    oblique.SetDirection((np.cos(0.2), -np.sin(0.2), 0, np.sin(0.2), np.cos(0.2), 0, 0, 0, 1))
    images = {"lps": scan(), "ras": sitk.DICOMOrient(scan(), "RAS"), "pir": sitk.DICOMOrient(scan(), "PIR"), "oblique": oblique}
    for name, image in images.items():
        write(tmp_path / "in", f"{name}.nii.gz", image)
    output = predict(run, tmp_path / "in", tmp_path / "out")
    assert sorted(path.name for path in output.iterdir()) == ["labels.json", "lps.nii.gz", "oblique.nii.gz", "pir.nii.gz", "ras.nii.gz"]
    maps = {}
    for name in images:
        for ours, theirs in zip(grid(output / f"{name}.nii.gz"), grid(tmp_path / "in" / f"{name}.nii.gz"), strict=True):
            assert np.allclose(ours, theirs, rtol=0, atol=1e-6)
        maps[name] = sitk.ReadImage(str(output / f"{name}.nii.gz"))
        assert maps[name].GetPixelID() == sitk.sitkUInt8
    reference = sitk.GetArrayFromImage(maps["lps"])
    assert len(np.unique(reference)) >= 4 and not np.array_equal(reference, reference[:, ::-1, ::-1])
    points = np.random.default_rng(1).integers(0, reference.shape[::-1], (300, 3)).tolist()
    for name in ("ras", "pir"):
        for point in points:
            world = maps["lps"].TransformIndexToPhysicalPoint(point)
            assert maps[name][maps[name].TransformPhysicalPointToIndex(world)] == maps["lps"][point]


def test_values_mean_what_labels_json_says(run, tmp_path):
    output = predict(run, write(tmp_path / "in", "a.nii", scan()), tmp_path / "out")
    names = json.loads((output / "labels.json").read_text())
    assert names == {"1": "Liver", "2": "Larynx", "3": "Larynx_Glottic", "4": "Larynx_Supraglot", "5": "Kidney_Lesion", "6": "Extra"}
    values = sitk.GetArrayFromImage(sitk.ReadImage(str(output / "a.nii.gz")))
    assert set(np.unique(values)) <= {0, *map(int, names)}


def test_done_scans_are_kept_and_stale_or_damaged_maps_made_anew(run, tmp_path, capsys):
    source, output = tmp_path / "in", tmp_path / "out"
    for name in ("a", "b", "c"):
        write(source, f"{name}.nii.gz", scan() + (name == "c"))
    predict(run, source, output)
    before = {name: (output / f"{name}.nii.gz").read_bytes() for name in "abc"}
    stamps = {name: (output / f"{name}.nii.gz").stat().st_mtime_ns for name in "abc"}
    (output / "b.nii.gz").write_bytes(before["b"][: len(before["b"]) // 2])
    write(source, "c.nii.gz", scan())
    capsys.readouterr()
    predict(run, source, output)
    assert "3 scan(s), 1 of them done" in capsys.readouterr().out
    assert (output / "a.nii.gz").stat().st_mtime_ns == stamps["a"]
    assert (output / "b.nii.gz").read_bytes() == before["b"]
    values = {name: sitk.GetArrayFromImage(sitk.ReadImage(str(output / f"{name}.nii.gz"))) for name in "ac"}
    assert np.array_equal(values["a"], values["c"]) and before["c"] != (output / "c.nii.gz").read_bytes()
    predict(save_run(tmp_path / "other", seed=4), source, output)  # other weights, same structures
    assert (output / "a.nii.gz").read_bytes() != before["a"]


def test_broken_scans_are_told_after_the_others_are_done(run, tmp_path):
    source = tmp_path / "in"
    good = write(source, "z.nii.gz", scan())
    (source / "a.nii.gz").write_bytes(good.read_bytes()[:-2000])
    (source / "b.nii.gz").write_bytes(gzip.compress(gzip.decompress(good.read_bytes())[:-500]))
    (source / "c.nii.gz").symlink_to(tmp_path / "gone")
    with pytest.raises(DataError, match="3 of 4") as caught:
        predict(run, source, tmp_path / "out")
    assert caught.value.exit_code == 3 and all(str(source / f"{name}.nii.gz") in str(caught.value) for name in "abc")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["labels.json", "z.nii.gz"]


def test_wrong_use_is_told_before_anything_is_written(run, tmp_path):
    source, output = tmp_path / "in", tmp_path / "out"
    image = write(source, "a.nii.gz", scan())
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("x")
    for given, place, message in (
        ("", output, "not set: input"), (source, "", "not set: output"), (tmp_path / "none", output, "does not exist"),
        (tmp_path / "empty", output, "no NIfTI"), (tmp_path / "text.txt", output, "no NIfTI"), (source, source, "scans themselves"),
        (source, tmp_path / "text.txt", "not a folder"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=message):
            predict_folder({"paths": {"run": str(run)}, "input": given, "output": place})
    with pytest.raises(UsageError, match="not a run folder"):
        predict(tmp_path, source, output)
    write(source, "a.nii", scan())
    with pytest.raises(UsageError, match="same name"):
        predict(run, source, output)
    assert not output.exists()
    other = write(output, "a.nii.gz", scan())
    before = other.read_bytes()
    with pytest.raises(UsageError, match="other files"):
        predict(run, image, output)
    other.unlink()
    (output / "labels.json").write_text('{"1": "Spleen"}')
    with pytest.raises(UsageError, match="something else"):
        predict(run, image, output)
    assert before and [path.name for path in output.iterdir()] == ["labels.json"]


def boxes(*stops: int) -> list[np.ndarray]:
    return [np.arange(10).reshape(1, 1, 10) < stop for stop in stops]


def test_smaller_structures_and_lesions_win_in_any_order():
    organ, lesion = Part("Organ", (Label("Left", ("Left",)), Label("Right", ("Right",))), "o"), Part("Big", (Label("Big", ("Big",)),), "l")
    nested = Part("Nested", tuple(Label(name, (name,)) for name in ("Outer", "Inner")), "n", nested=True)
    parts = [organ, lesion, nested]
    assert numbered(parts) == {1: "Left", 2: "Right", 3: "Big", 4: "Outer", 5: "Inner"}
    nine, six, four, two = boxes(9, 6, 4, 2)
    maps = {"Organ": nine.astype(np.uint8) + (nine & ~six), "Nested": four + 2 * two.astype(np.uint8)}
    maps["Big"] = (np.arange(10) >= 3).astype(np.uint8).reshape(1, 1, 10)
    for on_top, expected in ((set(), [5, 5, 4, 4, 1, 1, 2, 2, 2, 3]), ({"Big"}, [5, 5, 4, 3, 3, 3, 3, 3, 3, 3])):
        for order in (parts, parts[::-1]):
            combined = CombinedLabelMap(parts, (1, 1, 10), frozenset(on_top))
            for part in order:
                combined.add(part, maps[part.name])
            assert combined.values.ravel().tolist() == expected
    assert combined.found() == ["Big", "Outer", "Inner"]


SPECIALISTS = [Part(f"all@{dataset}", (Label("Liver", ("Liver",)),), dataset, datasets=frozenset([dataset])) for dataset in ("A", "B")]


def test_labels_of_specialists_have_their_dataset_in_their_name():
    assert numbered(SPECIALISTS) == {1: "Liver@A", 2: "Liver@B"}


def test_each_specialist_has_a_mask_of_its_own(tmp_path):
    image = write(tmp_path / "in", "a.nii.gz", sitk.GetImageFromArray(np.zeros((1, 1, 10), np.int16)))
    one = Scan("a", image, tmp_path / "a.nii.gz")
    masks = MaskFolder(one, Geometry((1, 1, 10), (1.0,) * 3, (0.0,) * 3, tuple(np.eye(3).ravel())))
    for part, mask in zip(SPECIALISTS, boxes(3, 6), strict=True):
        masks.add(part, mask.astype(np.uint8))
    found = {path.name: int(sitk.GetArrayFromImage(sitk.ReadImage(str(path))).sum()) for path in masks.building.iterdir()}
    assert found == {"Liver@A.nii.gz": 3, "Liver@B.nii.gz": 6}


def test_more_than_255_structures_take_16_bits():
    parts = [Part(str(n), tuple(Label(f"{n}-{i}", (f"{n}-{i}",)) for i in range(128)), "") for n in range(2)]
    combined = CombinedLabelMap(parts, (1, 1, 2))
    combined.add(parts[1], np.array([[[128, 0]]], np.uint8))
    assert combined.values.dtype == np.uint16 and combined.values.ravel().tolist() == [256, 0]
    assert CombinedLabelMap(parts[:1], (1, 1, 2)).values.dtype == np.uint8
