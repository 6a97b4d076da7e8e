"""The case folder: what is read is what was written, a box is a box, and damage is refused."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

from clnet.data.casework import prepare_scan
from clnet.data.prepare import Recipe, prepare_case
from clnet.data.reader import read_labels
from clnet.data.store import PreparedCase, load_array, save_array
from clnet.errors import DataError, HostError


@pytest.fixture
def case(raw_case, tmp_path):
    prepare_case(*raw_case, Recipe((3.0, 3.0, 3.0)), tmp_path / "prepared/one")
    return PreparedCase.open(tmp_path / "prepared/one")


@pytest.mark.parametrize("array", [
    np.arange(5 * 70 * 33, dtype=np.int16).reshape(5, 70, 33), np.zeros((0, 4, 5, 6), np.uint8), np.zeros((0, 3), np.int32),
    np.arange(2 * 9 * 9 * 9, dtype=np.uint16).reshape(2, 9, 9, 9)[:, ::-1], np.arange(7, dtype=np.int64), np.ones((1, 1, 1), np.uint8),
])  # fmt: skip
def test_array_round_trip(tmp_path, array):
    save_array(tmp_path / "a.b2nd", array)
    stored = load_array(tmp_path / "a.b2nd")
    assert stored.shape == array.shape and stored.dtype == array.dtype and np.array_equal(stored[...], array)
    assert [path.name for path in tmp_path.iterdir()] == ["a.b2nd"]


def test_full_disk_is_a_host_error_and_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.b2nd"
    save_array(path, np.arange(10))
    monkeypatch.setattr("pathlib.Path.write_bytes", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(HostError) as caught:
        save_array(path, np.zeros(10))
    assert str(path) in str(caught.value) and "free" in caught.value.found and "MiB" in caught.value.expected
    assert np.array_equal(load_array(path)[...], np.arange(10))


def test_boxes_are_parts_of_the_whole(case):
    box = (slice(3, 9), slice(2, 11), slice(0, 7))
    assert np.array_equal(case.image_hu(box), case.image_hu()[box])
    assert np.array_equal(case.layers(box), case.layers()[(slice(None), *box)])
    for label in case.label_table:
        assert np.array_equal(case.mask(label, box), case.mask(label)[box])
    assert case.image_hu().dtype == np.int16 and case.image_hu().shape == case.shape_zyx == case.layers().shape[1:]


def test_locations_lie_on_their_label(case):
    for label in case.label_table:
        places = case.locations(label)
        assert places.dtype == np.int32 and len(places) == case.voxels[label] > 0
        assert case.mask(label)[tuple(places.T)].all() and len(np.unique(places, axis=0)) == len(places)
    assert case.locations("no such label").shape == (0, 3)


def test_reference_is_the_label_on_its_own_grid(case, raw_case):
    layers, table = read_labels(*raw_case, None)
    assert np.array_equal(case.reference_layers(), layers) and case.geometry.shape_zyx == layers.shape[1:]
    for label, (layer, values) in table.items():
        assert np.array_equal(case.reference_mask(label), np.isin(layers[layer], values))


def test_a_scan_without_labels_has_no_reference(raw_case, tmp_path):
    scan = prepare_scan(raw_case[0].image, Recipe((3.0, 3.0, 3.0)), tmp_path / "bare")
    with pytest.raises(DataError, match="without a reference"):
        scan.reference_layers()


def test_label_of_several_values(raw_case, make_spec, tmp_path):
    raw, _ = raw_case
    labels = {"Liver": 1, "organ": {"values": [2, 3], "structures": ["Spleen"]}}
    prepare_case(raw, make_spec(tmp_path / "raw", labels=labels), Recipe((3.0, 2.0, 2.0)), tmp_path / "union")
    case = PreparedCase.open(tmp_path / "union")
    assert np.array_equal(case.mask("organ"), np.isin(case.layers()[0], [2, 3])) and case.mask("organ").any()
    assert len(case.locations("organ")) == case.voxels["organ"] == np.count_nonzero(case.mask("organ"))


def test_case_travels_to_another_process(case):
    case.image_hu()
    twin = pickle.loads(pickle.dumps(case))
    assert np.array_equal(twin.image_hu(), case.image_hu()) and twin.geometry == case.geometry and twin.annotated == case.annotated


def refused(folder):
    with pytest.raises(DataError) as caught:
        PreparedCase.open(folder)
    assert str(folder) in caught.value.fix and "delete" in caught.value.fix
    return caught.value


def test_folder_without_description(case):
    (case.folder / "case.json").unlink()
    assert "unfinished" in refused(case.folder).what


def test_damaged_description(case):
    (case.folder / "case.json").write_text('{"dataset": "belly"')
    refused(case.folder)
    (case.folder / "case.json").write_text('{"dataset": "belly"}')
    refused(case.folder)


def test_truncated_or_missing_array(case):
    path = case.folder / "image.b2nd"
    data = path.read_bytes()
    path.write_bytes(data[:-100])
    assert f"{len(data)} bytes" in refused(case.folder).expected
    path.unlink()
    assert "no such file" in refused(case.folder).found


def test_array_of_the_wrong_shape(case):
    record = json.loads((case.folder / "case.json").read_text())
    record["files"]["image.b2nd"]["shape"][0] += 1
    (case.folder / "case.json").write_text(json.dumps(record))
    assert "not the one described" in refused(case.folder).what


def test_not_an_array(tmp_path):
    (tmp_path / "a.b2nd").write_bytes(b"nothing of the kind" * 20)
    with pytest.raises(DataError, match="not a readable array"):
        load_array(tmp_path / "a.b2nd")
