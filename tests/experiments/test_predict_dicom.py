"""DICOM series through `task=predict`: the same label maps as of the same scan in NIfTI, named after folders, one bad series at a time."""

from __future__ import annotations

import csv
import json
import logging
from pathlib import Path

import highdicom
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from analysis.overlay import draw
from clnet.data.dicom.header import quiet
from clnet.errors import DataError, UsageError
from experiments.outputs import NOTE_KEY, note_in
from experiments.predict import predict_folder
from tests.dicom_phantom import PATIENT, PATIENT_ID, phantom_hu, write_series
from tests.experiments.test_predict import save_run

AXES = ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0))
EXTRAS = {"statistics": True, "pictures": True, "seg": True}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return save_run(tmp_path_factory.mktemp("runs") / "run", seed=3)


def predict(run: Path, source: Path, output: Path, masks: bool = False, **own) -> Path:
    places = {"paths": {"run": str(run)}, "input": str(source), "output": str(output)}
    return predict_folder(places | {"trainer": {"threads": 1}, "masks": masks, "predict": own}, sketch)


def sketch(image_hu, values, spacing_mm, names, path: Path, note: str) -> None:
    """A picture of one plane at once, where the real one takes a second."""
    assert image_hu.shape == values.shape and len(spacing_mm) == 3 and set(np.unique(values)) <= {0, *names}
    text = PngInfo()
    text.add_text(NOTE_KEY, note)
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(values[0].astype(np.uint8)).save(path, pnginfo=text)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def as_nifti(path: Path, hu: np.ndarray, axes) -> None:
    image = sitk.GetImageFromArray(hu)
    image.SetSpacing((1.5, 2.0, 4.0))
    image.SetOrigin((-21.5, 13.25, 107.0))
    image.SetDirection(np.transpose([*axes, np.cross(*axes)]).ravel().tolist())
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))


def test_a_series_is_predicted_as_the_nifti_file_of_it(run, tmp_path):
    write_series(tmp_path / "in/study", axes=AXES)
    as_nifti(tmp_path / "in/same.nii.gz", phantom_hu(), AXES)
    output = predict(run, tmp_path / "in", tmp_path / "out")
    ours, theirs = (sitk.ReadImage(str(output / f"{name}.nii.gz")) for name in ("study", "same"))
    assert np.array_equal(*(sitk.GetArrayFromImage(image) for image in (ours, theirs))) and len(np.unique(sitk.GetArrayFromImage(ours))) > 2
    for grid in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        assert np.allclose(getattr(ours, grid)(), getattr(theirs, grid)(), rtol=0, atol=1e-5)


def test_everything_of_a_series_and_nothing_of_its_patient(run, tmp_path, capsys):
    write_series(tmp_path / "in/study", SeriesDescription=PATIENT)
    write_series(tmp_path / "in/study", phantom_hu()[:2], number=1, stem="scout")
    output = predict(run, tmp_path / "in/study", tmp_path / "out", masks=True, **EXTRAS)
    said = capsys.readouterr()
    assert "skipped" in said.out and "series 1: localizer" in said.out
    made = files(output)
    assert {"labels.json", "study.nii.gz", "statistics.csv", "statistics/study.json", "pictures/study.png",
            "segmentations/study.dcm", "study_masks/sets.json"} <= made.keys()  # fmt: skip
    for name, data in made.items():
        assert name.endswith(".dcm") or not any(text.encode() in data for text in (PATIENT, PATIENT_ID)), name
    assert not any(text in said.out + said.err for text in (PATIENT, PATIENT_ID))
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(output / "study.nii.gz")))
    with quiet():
        seg = highdicom.seg.segread(output / "segmentations/study.dcm")
    names = json.loads((output / "labels.json").read_text())
    described = [seg.get_segment_description(number).segment_label for number in seg.segment_numbers]
    assert described == [names[str(value)] for value in np.unique(labels) if value]
    first = next(iter(np.unique(labels[labels > 0])))
    area = sum(int(frame.sum()) for frame, own in zip(seg.pixel_array, seg.PerFrameFunctionalGroupsSequence, strict=True)
               if own.SegmentIdentificationSequence[0].ReferencedSegmentNumber == 1)  # fmt: skip
    assert area == np.count_nonzero(labels == first)
    assert note_in(output / "pictures/study.png").startswith("clnet-bench labels ")


def test_numbers_are_those_of_the_masks(run, tmp_path):
    write_series(tmp_path / "in/study", axes=AXES)
    output = predict(run, tmp_path / "in", tmp_path / "out", masks=True, statistics=True)
    rows = list(csv.DictReader((output / "statistics.csv").read_text().splitlines()))
    masks = {path.name.removesuffix(".nii.gz"): path for path in (output / "study_masks").glob("*.nii.gz") if ".set." not in path.name}
    assert {row["structure"] for row in rows} == set(masks) and {row["scan"] for row in rows} == {"study"}
    for row in rows:
        mask = sitk.GetArrayFromImage(sitk.ReadImage(str(masks[row["structure"]]))) > 0
        assert int(row["voxels"]) == mask.sum() and float(row["volume_ml"]) == pytest.approx(mask.sum() * 0.012, abs=6e-4)
        assert float(row["mean_hu"]) == pytest.approx(phantom_hu()[mask].mean(), abs=0.051)
        confidence = row["mean_confidence"]
        assert confidence == "" if row["part"] in ("Larynx",) else 0 < float(confidence) <= 1


def test_several_series_of_a_folder_have_names_of_their_own_and_can_be_chosen(run, tmp_path):
    for number in (2, 4):
        write_series(tmp_path / "in/study", phantom_hu() + np.int16(number), number=number, stem=f"{number}-")
    output = predict(run, tmp_path / "in", tmp_path / "out")
    assert sorted(path.name for path in output.glob("*.nii.gz")) == ["study_s002.nii.gz", "study_s004.nii.gz"]
    chosen = predict(run, tmp_path / "in", tmp_path / "chosen", series=4)
    assert sorted(path.name for path in chosen.glob("*.nii.gz")) == ["study_s004.nii.gz"]
    assert (chosen / "study_s004.nii.gz").read_bytes() == (output / "study_s004.nii.gz").read_bytes()
    with pytest.raises(UsageError, match="no series of this number") as caught:
        predict(run, tmp_path / "in", tmp_path / "none", series=7)
    assert "series 2" in str(caught.value) and not (tmp_path / "none").exists()


def test_a_bad_series_does_not_stop_the_others(run, tmp_path, capsys):
    write_series(tmp_path / "in/a", change=lambda z, held: z not in (4, 5))
    write_series(tmp_path / "in/b")
    (tmp_path / "in/c").mkdir()
    (tmp_path / "in/c/broken.dcm").write_bytes(next((tmp_path / "in/b").iterdir()).read_bytes()[:250])
    write_series(tmp_path / "in/mr", Modality="MR")
    with pytest.raises(DataError, match="2 of 3") as caught:
        predict(run, tmp_path / "in", tmp_path / "out", statistics=True)
    assert caught.value.exit_code == 3 and len(caught.value.faults) == 2
    assert all(text in str(caught.value) for text in ("2 slice(s) are missing", str(tmp_path / "in/a"), "broken.dcm"))
    assert sorted(path.name for path in (tmp_path / "out").glob("*.nii.gz")) == ["b.nii.gz"]
    assert "series 2: MR, 10 file(s)" in capsys.readouterr().out


def test_another_modality_alone_is_refused(run, tmp_path):
    write_series(tmp_path / "in", Modality="MR")
    for own in ({}, {"series": 2}):
        with pytest.raises(DataError, match="not a CT") as caught:
            predict(run, tmp_path / "in", tmp_path / "out", **own)
        assert "modality MR" in str(caught.value) and not (tmp_path / "out").exists()


def test_one_image_or_a_localizer_alone_is_no_scan(run, tmp_path):
    image = write_series(tmp_path / "in", phantom_hu()[:2])[0]
    for source, message in ((image, "one image of a DICOM series"), (tmp_path / "in", "no NIfTI file or CT series")):
        with pytest.raises(UsageError, match=message):
            predict(run, source, tmp_path / "out")


def test_what_is_there_is_kept_and_what_is_asked_for_later_is_made(run, tmp_path, capsys, caplog):
    paths = write_series(tmp_path / "in/study")
    output = predict(run, tmp_path / "in", tmp_path / "out", **EXTRAS)
    before = files(output)
    stamps = {path: path.stat().st_mtime_ns for path in output.rglob("*") if path.is_file() and path.name != "statistics.csv"}
    predict(run, tmp_path / "in", output, **EXTRAS)
    assert "1 scan(s), 1 of them done" in capsys.readouterr().out.splitlines()[-1]
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items()) and files(output) == before
    for gone in ("pictures/study.png", "statistics/study.json", "segmentations/study.dcm", "study.nii.gz"):
        (output / gone).unlink()
        predict(run, tmp_path / "in", output, **EXTRAS)
        assert files(output).keys() == before.keys()
    assert files(output)["study.nii.gz"] == before["study.nii.gz"] and files(output)["pictures/study.png"] == before["pictures/study.png"]
    predict(run, tmp_path / "in", output, masks=True, **EXTRAS)
    assert (output / "study_masks/sets.json").exists()
    (tmp_path / "in/study/again.dcm").write_bytes(paths[3].read_bytes())  # another content, the same scan
    with caplog.at_level(logging.WARNING):
        predict(run, tmp_path / "in", output, masks=True, **EXTRAS)
    assert "study: 1 copies of slices are left out" in caplog.text
    labels = [sitk.GetArrayFromImage(sitk.ReadImage(str(output / "study.nii.gz")))]
    (tmp_path / "old.nii.gz").write_bytes(before["study.nii.gz"])
    assert np.array_equal(labels[0], sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "old.nii.gz"))))


def test_two_processes_write_the_same_bytes_as_one(run, tmp_path):
    for number in range(2):
        write_series(tmp_path / f"in/s{number}", phantom_hu() + np.int16(5 * number))
    write_series(tmp_path / "in/bad", RescaleSlope=None)
    outputs = []
    for workers in (1, 2):
        with pytest.raises(DataError, match="1 of 3") as caught:
            predict(run, tmp_path / "in", tmp_path / f"out{workers}", masks=True, workers=workers, statistics=True, pictures=True)
        assert "no rescale slope" in str(caught.value) and caught.value.faults[0].what == "no rescale slope or intercept"
        outputs.append(files(tmp_path / f"out{workers}"))
    assert outputs[0].keys() == outputs[1].keys() and len(outputs[0]) > 10
    assert [name for name in outputs[0] if outputs[0][name] != outputs[1][name]] == []


def test_the_picture_keeps_its_note_and_a_damaged_one_has_none(tmp_path):
    labels = (phantom_hu() > 100).astype(np.uint8)
    draw(phantom_hu(), labels, (4.0, 2.0, 1.5), {1: "Liver"}, tmp_path / "a.png", "note 1")
    assert note_in(tmp_path / "a.png") == "note 1"
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[: len(data) // 2])
    assert note_in(tmp_path / "a.png") is None and note_in(tmp_path / "none.png") is None


def test_gpus_that_are_not_there_are_told(run, tmp_path):
    write_series(tmp_path / "in")
    cfg = {"paths": {"run": str(run)}, "input": str(tmp_path / "in"), "output": str(tmp_path / "out")}
    with pytest.raises(UsageError, match="fewer GPUs"):
        predict_folder(cfg | {"trainer": {"accelerator": "gpu", "devices": 99}})
