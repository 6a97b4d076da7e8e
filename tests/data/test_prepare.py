"""Preparing: what a case becomes, and that a dataset is prepared whatever interrupts it."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from clnet.data import prepare
from clnet.data.body import body_box
from clnet.data.casework import remove_abandoned
from clnet.data.layout import CaseTable
from clnet.data.prepare import Recipe, prepare_case, prepare_dataset
from clnet.data.reader import read_image, read_labels
from clnet.data.resample import resample_image, resample_labels
from clnet.data.store import PreparedCase
from clnet.errors import DataError, HostError, UsageError

RECIPE = Recipe((3.0, 3.0, 3.0))


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and path.name[0] != "."
    }


def temporaries(folder: Path) -> list[Path]:
    return list(folder.glob(".*.tmp-*")) + list(folder.glob("*/.*tmp*"))


def test_stored_equals_computed(raw_case, tmp_path):
    raw, spec = raw_case
    prepare_case(raw, spec, RECIPE, tmp_path / "one")
    case = PreparedCase.open(tmp_path / "one")
    image, geometry = read_image(raw.image)
    box = tuple(slice(*span) for span in case.crop_zyx)
    expected = np.rint(resample_image(np.clip(image[box], -1024, 1024), case.shape_zyx)).astype(np.int16)
    assert np.array_equal(case.image_hu(), expected)
    layers, table = read_labels(raw, spec, geometry)
    labels = resample_labels(layers[0][box], case.shape_zyx)
    assert np.array_equal(case.layers()[0], labels) and case.label_table == table
    assert case.geometry == geometry and case.annotated == raw.annotated and (case.dataset, case.case) == ("belly", "one")
    low, histogram = case.histogram()
    hu, counts = np.unique(expected[labels > 0], return_counts=True)
    assert np.array_equal(np.flatnonzero(histogram) + low, hu) and np.array_equal(histogram[histogram > 0], counts)


def test_crop_keeps_the_body_and_leaves_air_and_table(scans):
    body = scans.ellipsoid((20, 60, 60), (3, 2, 2), (0.5, 0.45, 0.5), (200, 35, 40))
    image = np.where(body, 20, -1000).astype(np.int16)
    image[:, 56, 5:55] = 100  # a thin table
    z, y, x = body_box(image, (3.0, 2.0, 2.0), -500, 6.0)
    where = np.argwhere(body)
    assert (z.start, z.stop) == (0, 20)
    for part, low, high in ((y, *where[:, 1][[where[:, 1].argmin(), where[:, 1].argmax()]]), (x, where[:, 2].min(), where[:, 2].max())):
        assert low - 6 <= part.start <= low and high < part.stop <= high + 7


def test_crop_keeps_both_legs_and_whole_volumes_without_a_body(scans):
    legs = scans.ellipsoid((10, 40, 80), (3, 3, 3), (0.5, 0.5, 0.2), (90, 24, 24)) | scans.ellipsoid(
        (10, 40, 80), (3, 3, 3), (0.5, 0.5, 0.8), (90, 27, 27)
    )
    _, _, x = body_box(np.where(legs, 20, -1000), (3.0, 3.0, 3.0), -500, 5.0)
    where = np.argwhere(legs)[:, 2]
    assert x.start <= where.min() and x.stop > where.max()
    assert body_box(np.full((3, 4, 5), -1000), (3.0, 3.0, 3.0), -500, 5.0) == (slice(0, 3), slice(0, 4), slice(0, 5))


def test_all_orientations_are_prepared_alike(raw_case, tmp_path):
    raw, spec = raw_case
    prepare_case(raw, spec, RECIPE, tmp_path / "LPS")
    expected = PreparedCase.open(tmp_path / "LPS")
    for code in ("RAS", "SAL", "PIR"):
        for path in (raw.image, raw.label):
            sitk.WriteImage(sitk.DICOMOrient(sitk.ReadImage(str(path)), code), str(path))
        prepare_case(raw, spec, RECIPE, tmp_path / code)
        case = PreparedCase.open(tmp_path / code)
        assert np.array_equal(case.image_hu(), expected.image_hu()) and np.array_equal(case.layers(), expected.layers())
        assert np.array_equal(case.reference_layers(), expected.reference_layers()) and case.geometry.file_orientation == code


@pytest.mark.parametrize("shape", [(1, 8, 8), (7, 7, 7), (2, 1, 3)])
def test_tiny_volumes(raw_case, scans, tmp_path, shape):
    raw, spec = raw_case
    scans.write(raw.image, np.random.default_rng(0).integers(-1000, 500, shape).astype(np.int16), (5.0, 1.0, 1.0))
    scans.write(raw.label, np.ones(shape, np.uint8), (5.0, 1.0, 1.0))
    prepare_case(raw, spec, RECIPE, tmp_path / "tiny")
    case = PreparedCase.open(tmp_path / "tiny")
    assert min(case.shape_zyx) >= 1 and case.image_hu().shape == case.shape_zyx and case.reference_layers().shape[1:] == shape


def test_unannotated_label_keeps_its_voxels(raw_case, tmp_path):
    raw, spec = raw_case
    prepare_case(replace(raw, annotated=frozenset({"Liver"})), spec, RECIPE, tmp_path / "partly")
    case = PreparedCase.open(tmp_path / "partly")
    assert case.annotated == {"Liver"} and case.mask("Spleen").any()


def test_overlapping_masks_stay_apart(mask_case, tmp_path):
    raw, spec, masks = mask_case
    prepare_case(raw, spec, Recipe((3.0, 2.0, 2.0)), tmp_path / "one")
    case = PreparedCase.open(tmp_path / "one")
    assert (case.mask("Stomach") & case.mask("Liver")).any()
    for label in spec.labels:
        assert np.array_equal(case.reference_mask(label.name), masks[label.files[0]])


def test_lost_label_is_listed_or_refused(raw_case, scans, tmp_path, caplog):
    raw, spec = raw_case
    labels = scans.patient()[1]
    labels[labels == 3] = 0
    labels[12, 16, 14:16] = 3
    scans.write(raw.label, labels)
    coarse = Recipe((9.0, 9.0, 9.0))
    prepare_case(raw, spec, coarse, tmp_path / "kept")
    case = PreparedCase.open(tmp_path / "kept")
    assert case.record["lost_labels"] == ["Stomach"] and "Stomach (2 voxels) is lost" in caplog.text
    with pytest.raises(DataError, match="Stomach: no voxel is left") as caught:
        prepare_case(raw, spec, replace(coarse, allow_label_loss=False), tmp_path / "refused")
    assert "one" in caught.value.where and not (tmp_path / "refused").exists() and not temporaries(tmp_path)


def test_locations_are_limited_and_reproducible(raw_case, tmp_path):
    raw, spec = raw_case
    few = replace(RECIPE, locations_per_label=20)
    for name in ("first", "second"):
        prepare_case(raw, spec, few, tmp_path / name)
    first, second = (PreparedCase.open(tmp_path / name) for name in ("first", "second"))
    assert len(first.locations("Liver")) == 20 < first.voxels["Liver"]
    assert (
        np.array_equal(first.locations("Liver"), second.locations("Liver")) and first.mask("Liver")[tuple(first.locations("Liver").T)].all()
    )


@pytest.mark.parametrize("spacing", [(0.0, 3.0, 3.0), (3.0, 3.0), (3.0, 3.0, 30.0)])
def test_implausible_recipe(spacing):
    with pytest.raises(UsageError):
        Recipe(spacing)


def test_dataset_is_prepared_once(make_dataset, tmp_path):
    spec = make_dataset(tmp_path / "raw", train=3)
    cases = prepare_dataset(spec, "train", RECIPE, tmp_path / "out", 0)
    assert [case.case for case in cases] == ["Tr0", "Tr1", "Tr2"]
    assert all("reference.b2nd" in case.record["files"] for case in cases), "validation needs it"
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*/*")}
    prepare_dataset(spec, "train", RECIPE, tmp_path / "out", 0)
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*/*")}


def test_workers_give_the_same_bytes(make_dataset, tmp_path):
    spec = make_dataset(tmp_path / "raw", train=3)
    for workers in (0, 2):
        prepare_dataset(spec, "train", RECIPE, tmp_path / str(workers), workers)
    assert snapshot(tmp_path / "0") == snapshot(tmp_path / "2")


def test_only_a_changed_raw_file_is_prepared_anew(make_dataset, scans, tmp_path):
    spec = make_dataset(tmp_path / "raw", train=2)
    prepare_dataset(spec, "train", RECIPE, tmp_path / "out", 0)
    before = snapshot(tmp_path / "out")
    kept = (tmp_path / "out/Tr0/case.json").stat().st_mtime_ns
    scans.write(tmp_path / "raw/imagesTr/Tr1_0000.nii.gz", scans.patient(7)[0])
    prepare_dataset(spec, "train", RECIPE, tmp_path / "out", 0)
    changed = {name for name, data in snapshot(tmp_path / "out").items() if data != before[name]}
    assert "Tr1/image.b2nd" in changed and not any(name.startswith("Tr0") for name in changed)
    assert kept == (tmp_path / "out/Tr0/case.json").stat().st_mtime_ns


def test_another_recipe_replaces_the_cases(make_dataset, tmp_path):
    spec = make_dataset(tmp_path / "raw", train=1)
    prepare_dataset(spec, "train", RECIPE, tmp_path / "out", 0)
    assert prepare_dataset(spec, "train", Recipe((4.0, 4.0, 4.0)), tmp_path / "out", 0)[0].spacing_mm == (4.0, 4.0, 4.0)


def test_all_refused_cases_are_told_and_good_ones_kept(make_dataset, tmp_path):
    spec = make_dataset(tmp_path / "raw", train=4)
    broken = [tmp_path / "raw/imagesTr/Tr1_0000.nii.gz", tmp_path / "raw/labelsTr/Tr3.nii.gz"]
    for path in broken:
        path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError) as caught:
        prepare_dataset(spec, "train", RECIPE, tmp_path / "out", 0)
    assert all(str(path) in str(caught.value) for path in broken) and "2 of 4" in caught.value.what and len(caught.value.faults) == 2
    assert sorted(path.parent.name for path in (tmp_path / "out").glob("*/case.json")) == ["Tr0", "Tr2"]
    assert not (tmp_path / "out/fingerprint.json").exists() and not temporaries(tmp_path / "out")


def test_damaged_case_is_prepared_anew(make_dataset, tmp_path):
    spec = make_dataset(tmp_path / "raw", train=2)
    prepare_dataset(spec, "train", RECIPE, tmp_path / "out", 0)
    good = snapshot(tmp_path / "out")
    (tmp_path / "out/Tr0/image.b2nd").write_bytes(b"half")
    (tmp_path / "out/Tr1/case.json").unlink()
    prepare_dataset(spec, "train", RECIPE, tmp_path / "out", 0)
    assert snapshot(tmp_path / "out") == good


def test_progress_counts_every_case(make_dataset, tmp_path):
    seen = []
    prepare_dataset(make_dataset(tmp_path / "raw", train=3), "train", RECIPE, tmp_path / "out", 0, progress=lambda *now: seen.append(now))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_only_dead_processes_lose_their_temporary_folders(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    host = socket.gethostname()
    names = {
        f".a.tmp-{host}-{ended.pid}-00ff": False,
        f".a.tmp-{host}-{os.getpid()}-00ff": True,
        f".a.tmp-{host}x-{ended.pid}-00ff": True,
        "a": True,
    }
    for name in names:
        (tmp_path / name).mkdir()
    remove_abandoned(tmp_path)
    assert {name: (tmp_path / name).exists() for name in names} == names


def test_killed_preparation_is_completed_by_the_next(make_dataset, tmp_path):
    spec = make_dataset(tmp_path / "raw", train=8)
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=prepare_dataset, args=(spec, "train", RECIPE, tmp_path / "out", 1))
    process.start()
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline, workers = time.monotonic() + 60, set()
    while not list((tmp_path / "out").glob("[!.]*/case.json")) and time.monotonic() < deadline:
        workers |= set(children.read_text().split()) if children.exists() else set()
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    done = {path.parent.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("[!.]*/case.json")}
    assert 1 <= len(done) < 8
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)  # nobody goes on working for a dead parent
    cases = prepare_dataset(spec, "train", RECIPE, tmp_path / "out", 0)
    assert len(cases) == 8 and not temporaries(tmp_path / "out")
    assert all((tmp_path / f"out/{name}/case.json").stat().st_mtime_ns == then for name, then in done.items())
    prepare_dataset(spec, "train", RECIPE, tmp_path / "whole", 0)
    assert snapshot(tmp_path / "out") == snapshot(tmp_path / "whole")


def test_two_preparations_at_once(make_dataset, tmp_path):
    spec = make_dataset(tmp_path / "raw", train=3)
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=prepare_dataset, args=(spec, "train", RECIPE, tmp_path / "out", 0)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0] and not temporaries(tmp_path / "out")
    prepare_dataset(spec, "train", RECIPE, tmp_path / "alone", 0)
    assert snapshot(tmp_path / "out") == snapshot(tmp_path / "alone")


def limited(spec, folder):
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
    try:
        prepare_dataset(spec, "train", RECIPE, folder, 0)
    except HostError as error:
        text = str(error)
        os._exit(4 if str(folder) in text and "MiB free" in text else 1)


def test_full_disk_is_a_host_error_and_leaves_nothing_half(make_dataset, tmp_path):
    spec = make_dataset(tmp_path / "raw", train=1)
    process = multiprocessing.get_context("fork").Process(target=limited, args=(spec, tmp_path / "out"))
    process.start()
    process.join(60)
    assert process.exitcode == 4 and not list((tmp_path / "out").glob("*/case.json")) and not temporaries(tmp_path / "out")


def test_fingerprint_adds_up(make_dataset, tmp_path):
    spec = make_dataset(tmp_path / "raw", train=3)
    cases = prepare_dataset(spec, "train", RECIPE, tmp_path / "out", 0)
    found = json.loads((tmp_path / "out" / prepare.FINGERPRINT_FILE).read_text())
    values = np.concatenate([case.image_hu()[case.layers()[0] > 0] for case in cases]).astype(float)
    assert (
        found["cases"] == 3
        and found["scan_spacing_mm"]["median"] == [3.0, 2.0, 2.0]
        and found["scan_shape_zyx"]["max"] == [24.0, 32.0, 28.0]
    )
    assert found["foreground_hu"]["voxels"] == len(values) and abs(found["foreground_hu"]["mean"] - values.mean()) < 1e-3
    assert abs(found["foreground_hu"]["sd"] - values.std()) < 1e-3
    assert abs(found["foreground_hu"]["percentiles"]["95"] - np.percentile(values, 95)) <= 1
    liver = found["labels"]["Liver"]
    assert liver["annotated"] == liver["present"] == 3 and liver["voxels"][0] == min(case.voxels["Liver"] for case in cases)
    slices = [np.flatnonzero(case.mask("Liver").any((1, 2))) for case in cases]
    assert liver["bottom_share"][0] == pytest.approx(min(s[0] / case.shape_zyx[0] for s, case in zip(slices, cases)), abs=1e-3)
    assert liver["top_mm"][2] == pytest.approx(max((s[-1] + 1) * 3.0 for s in slices), abs=0.1)


def test_fingerprint_identity_follows_the_voxels(make_dataset, tmp_path):
    identities = []
    for seed, name in ((0, "a"), (0, "b"), (5, "c")):
        spec = make_dataset(tmp_path / name, train=1, seed=seed)
        prepare_dataset(spec, "train", RECIPE, tmp_path / f"out_{name}", 0)
        identities.append(json.loads((tmp_path / f"out_{name}/fingerprint.json").read_text())["identity"])
    assert identities[0] == identities[1] != identities[2]


@pytest.mark.shared
def test_real_planning_scans_are_taken(shared, make_spec, tmp_path):
    layout = CaseTable(annotated_column="annotated_structures", include=("pt_2", "pt_3"))
    labels = {"BrainStem": 1, "SpinalCord": 2, "GlnD_Parotid_L": 4, "GlnD_Parotid_R": 5}
    dropped = {"Mandible": 3, "Larynx": 6, "Eso": 7}
    spec = make_spec(shared / "real_ct/openkbp", layout=layout, labels=labels, dropped=dropped, body_group="head-neck")
    cases = prepare_dataset(spec, "train", Recipe((4.0, 4.0, 4.0)), tmp_path / "out", 0)
    for case in cases:
        for label in case.annotated:
            volume = case.voxels[label] * np.prod(case.record["exact_spacing_mm"])
            assert volume == pytest.approx(case.reference_mask(label).sum() * np.prod(case.geometry.spacing_mm), rel=0.2)
