"""Structures cut out by their boxes score exactly as whole masks do."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from clnet.data.store import select
from experiments.region import LabelVolume, Region, common_box, reference_regions, score_regions
from experiments.score import CadsPolicy, score_case

SPACING_MM = (3.0, 1.0, 1.5)


@pytest.fixture(scope="module")
def maps() -> tuple[np.ndarray, np.ndarray]:
    """Prediction and reference, 12 x 20 x 18 uint8: 1 shifted, 2 missed, 3 hallucinated, 7 cut by the volume's edge and in two pieces."""
    prediction, reference = np.zeros((2, 12, 20, 18), np.uint8)
    reference[2:6, 3:9, 4:10], prediction[2:6, 4:10, 4:11] = 1, 1
    reference[7:9, 2:5, 2:5], prediction[10, 15:18, 3:6] = 2, 3
    reference[8:, 12:, 12:], prediction[9:, 12:, 11:], prediction[0, 0, 0] = 7, 7, 7
    return prediction, reference


def region(label_map: np.ndarray, *values: int) -> Region:
    return Region(LabelVolume(label_map), partial(select, values=values))


def test_boxes_are_tight_and_unions_hold_their_values(maps):
    prediction, reference = maps
    volume = LabelVolume(prediction)
    assert volume.values.tolist() == [1, 3, 7] and volume.values.dtype == np.uint8
    assert region(prediction, 1).box == (slice(2, 6), slice(4, 10), slice(4, 11))
    assert region(prediction, 1, 3).box == (slice(2, 11), slice(4, 18), slice(3, 11))
    assert region(prediction, 2).box is None
    assert common_box(region(prediction, 1), region(reference, 1)) == (slice(2, 6), slice(3, 10), slice(4, 11))
    assert region(prediction, 2).mask(common_box(region(prediction, 2))).size == 0
    assert LabelVolume(np.zeros((2, 2, 2), np.uint16)).boxes == []


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("policy", [None, CadsPolicy({"2": 8}, voxel_mm3=4.5)])
def test_scores_are_those_of_whole_masks(maps, threads, policy):
    prediction, reference = maps
    structures = {"1": (1,), "2": (2,), "3": (3,), "7": (7,), "1+7": (1, 7), "4": (4,)}
    compared = {name: (region(prediction, *values), region(reference, *values)) for name, values in structures.items()}
    found = score_regions(compared, SPACING_MM, tolerance_mm=2.0, policy=policy, threads=threads)
    expected = {name: score_case(np.isin(prediction, values), np.isin(reference, values), SPACING_MM, structure=name, tolerance_mm=2.0,
                                 policy=policy) for name, values in structures.items()}  # fmt: skip
    assert found == expected and list(found) == list(structures)
    assert [row["status"] for row in found.values()] == ["ok", "missed", "false_positive", "ok", "ok", "both_empty"]
    diagonal_mm = (36**2 + 20**2 + 27**2) ** 0.5  # of the whole image, not of the box
    assert found["2"]["hd95_mm"] == (None if policy is None else pytest.approx(diagonal_mm))


def test_a_structure_without_reference_is_counted(maps):
    found = score_regions({"3": (region(maps[0], 3), None)}, SPACING_MM, tolerance_mm=2.0)["3"]
    assert (found["status"], found["predicted_voxels"], found["reference_voxels"]) == ("not_annotated", 9, None)


def test_volumes_of_different_shapes_are_refused(maps):
    with pytest.raises(ValueError, match="one shape"):
        common_box(region(maps[0], 1), region(maps[1][1:], 1))


def test_references_are_what_the_case_annotates(maps):
    table = {"one": (0, (1,)), "two": (0, (2, 7)), "never": (0, (3,))}
    case = SimpleNamespace(annotated=frozenset({"one", "two"}), label_table=table, reference_layers=lambda: maps[1][None])
    found = reference_regions(case)
    whole = (slice(None),) * 3
    assert set(found) == {"one", "two"} and np.array_equal(found["two"].mask(whole), np.isin(maps[1], (2, 7)))
    assert reference_regions(SimpleNamespace(annotated=frozenset(), label_table=table)) == {}
