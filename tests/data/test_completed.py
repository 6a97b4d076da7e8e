"""Completed cases: annotation overrides every prediction, surer predictions override others, and who drew what is on record."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from clnet.data.completed import Found, complete_case
from clnet.data.prepare import Recipe, prepare_case
from clnet.data.store import PreparedCase


@pytest.fixture
def case(raw_case, tmp_path) -> PreparedCase:
    """Annotated are liver and spleen; the stomach's voxels are there, but nobody says that they are."""
    raw, spec = raw_case
    prepare_case(replace(raw, annotated=frozenset({"Liver", "Spleen"})), spec, Recipe((3.0, 3.0, 3.0)), tmp_path / "prepared/one")
    return PreparedCase.open(tmp_path / "prepared/one")


def box(case: PreparedCase, *sides: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(case.shape_zyx, bool)
    mask[tuple(slice(*side) for side in sides)] = True
    return mask


def test_who_wins(case, tmp_path):
    everywhere, part = np.ones(case.shape_zyx, bool), box(case, (0, 5), (0, 5), (0, 5))
    found = {"Stomach": Found(everywhere, 0.6, "b"), "Pancreas": Found(part, 0.9, "c"), "Kidney_L": Found(part, 0.3, "c")}
    done = complete_case(case, found, tmp_path / "done" / "one")
    drawn = case.mask("Liver") | case.mask("Spleen")
    assert drawn.any()
    for name in ("Liver", "Spleen"):
        assert np.array_equal(done.mask(name), case.mask(name)) and done.voxels[name] == case.voxels[name]
    assert np.array_equal(done.mask("Pancreas"), part & ~drawn), "the surest prediction, but for what is drawn"
    assert np.array_equal(done.mask("Stomach"), ~part & ~drawn) and not done.mask("Kidney_L").any()
    assert done.annotated == {"Liver", "Spleen", "Stomach", "Pancreas", "Kidney_L"}
    assert np.array_equal(done.image_hu(), case.image_hu()) and done.mask("Stomach")[tuple(done.locations("Stomach").T)].all()
    assert len(done.locations("Kidney_L")) == 0 and case.annotated == {"Liver", "Spleen"}, "and the case itself is as it was"
    assert not np.array_equal(case.mask("Stomach"), done.mask("Stomach")), "voxels that nobody annotated do not count as drawn"


def test_record_says_who_found_what(case, tmp_path):
    part = box(case, (0, 4), (0, 4), (0, 4))
    done = complete_case(case, {"Stomach": Found(part, 0.51234, "belly")}, tmp_path / "one")
    assert done.record["sources"]["Liver"] == {"source": "annotation", "voxels": case.voxels["Liver"]}
    assert done.record["sources"]["Stomach"] == {"source": "belly", "confidence": 0.5123, "voxels": done.voxels["Stomach"]}
    again = complete_case(case, {"Stomach": Found(part, 0.51234, "belly")}, tmp_path / "one")
    assert again.record == done.record, "a killed attempt is written over"


def test_annotated_labels_are_not_predicted(case, tmp_path):
    with pytest.raises(ValueError, match="Liver"):
        complete_case(case, {"Liver": Found(box(case, (0, 4), (0, 4), (0, 4)), 1.0, "b")}, tmp_path / "one")
