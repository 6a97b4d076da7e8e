"""Numbers of structures, worked out by hand on a grid of a few voxels."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from clnet.infer.native import Claim
from clnet.types import Geometry, Label, Part
from experiments.structurestats import Confidences, StructureStatistics, read_statistics, write_table

ORGAN = Part("Organ", (Label("Left", ("Left",)), Label("Right", ("Right",))), "o")
NESTED = Part("Nested", (Label("Outer", ("Outer",)), Label("Inner", ("Inner",))), "n", nested=True)
GRID = Geometry((4, 1, 5), (5.0, 2.0, 3.0), (0.0,) * 3, tuple(np.eye(3).ravel()))  # a voxel is 0.03 ml
VALUES = {"Left": 1, "Right": 2, "Outer": 3, "Inner": 4}
EVERYWHERE = np.ones(4, bool)


def labelled(rows) -> np.ndarray:
    return np.array(rows, np.uint8).reshape(4, 1, 5)


HU = np.arange(20).reshape(4, 1, 5).astype(np.int16)
LABELS = labelled([[0, 0, 0, 0, 0], [1, 1, 0, 2, 0], [1, 0, 0, 0, 0], [0, 0, 0, 2, 2]])
CONFIDENCE = labelled([[0, 0, 0, 0, 0], [255, 51, 0, 102, 0], [153, 0, 0, 0, 0], [0, 0, 0, 204, 204]])


NESTED_LABELS = labelled([[1, 3, 2, 0, 0], *[[0] * 5] * 3])
SCAN = SimpleNamespace(geometry=GRID)


class Predictor:
    """Claims the scan in slabs of two slices; the organ's boxes leave out what is empty."""

    def slabs(self, case, reach=None):
        yield slice(0, 2), iter([(ORGAN, [_claim(slice(1, 2), LABELS, CONFIDENCE)]), (NESTED, [_claim(slice(0, 2), NESTED_LABELS)])])
        yield slice(2, 4), iter([(ORGAN, [_claim(slice(2, 3), LABELS, CONFIDENCE), _claim(slice(3, 4), LABELS, CONFIDENCE)]), (NESTED, [])])


def _claim(rows: slice, labels: np.ndarray, confidence: np.ndarray | None = None) -> Claim:
    box = (rows, slice(0, 1), slice(0, 4) if confidence is not None and rows.stop < 4 else slice(0, 5))
    return Claim(box, labels[box], 255 * (labels > 0).astype(np.uint8)[box] if confidence is None else confidence[box])


def test_rows_of_a_scan():
    confidences = Confidences()
    passed = [(rows, [(part.name, len(own)) for part, own in claims]) for rows, claims in confidences.watched(Predictor()).slabs(SCAN)]
    assert passed == [(slice(0, 2), [("Organ", 1), ("Nested", 1)]), (slice(2, 4), [("Organ", 2), ("Nested", 0)])]
    statistics = StructureStatistics(HU, GRID, VALUES, confidences)
    inside = np.array([False, True, True, False])
    merged = LABELS.copy()
    merged[~inside] = 0
    statistics.add(ORGAN, merged, inside)
    statistics.add(NESTED, NESTED_LABELS, EVERYWHERE)
    found = {row.pop("structure"): row for row in statistics.rows}
    assert found["Left"] == {"value": 1, "part": "Organ", "voxels": 3, "volume_ml": 0.09, "mean_hu": pytest.approx(7.0),
                             "lowest_slice": 1, "highest_slice": 2, "range_lowest_slice": 1, "range_highest_slice": 2,
                             "mean_confidence": pytest.approx((255 + 51 + 153) / 3 / 255)}  # fmt: skip
    assert found["Right"]["voxels"] == 1 and found["Right"]["mean_confidence"] == 0.4, "what lies outside the range is in no mean"
    outer = {"voxels": 2, "mean_hu": 0.5, "range_lowest_slice": None, "mean_confidence": None, "lowest_slice": 0, "highest_slice": 0}
    assert outer.items() <= found["Outer"].items()
    assert {"voxels": 2, "mean_hu": 1.5}.items() <= found["Inner"].items()


def test_a_structure_that_is_not_there_has_no_row():
    statistics = StructureStatistics(HU, GRID, VALUES, Confidences())
    statistics.add(ORGAN, np.where(LABELS == 1, 1, 0).astype(np.uint8), EVERYWHERE)
    assert [row["structure"] for row in statistics.rows] == ["Left"] and statistics.rows[0]["mean_confidence"] is None


def test_files(tmp_path):
    statistics = StructureStatistics(HU, GRID, VALUES, Confidences())
    statistics.add(NESTED, labelled([[3, 0, 0, 0, 0], *[[0] * 5] * 3]), EVERYWHERE)
    statistics.add(ORGAN, LABELS, EVERYWHERE)
    statistics.write(tmp_path / "a.json", "a", GRID, "note")
    held = read_statistics(tmp_path / "a.json")
    assert held["note"] == "note" and [row["value"] for row in held["structures"]] == [1, 2, 3, 4] and held["spacing_mm"] == [5, 2, 3]
    write_table(tmp_path / "all.csv", [held, {"scan": "empty", "structures": []}])
    lines = (tmp_path / "all.csv").read_text().splitlines()
    assert lines[1] == "a,Left,1,Organ,3,0.09,7.0,1,2,,," and len(lines) == 5
    (tmp_path / "a.json").write_text(json.dumps([1]))
    assert read_statistics(tmp_path / "a.json") is None and read_statistics(tmp_path / "none.json") is None
