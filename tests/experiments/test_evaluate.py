"""What of a dataset a part is scored on, and the rows that come out."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from clnet.data.store import save_array
from clnet.types import Geometry, Label, Part
from experiments.evaluate import known_labels, score_one_case
from experiments.score import PaperPolicy

ARCH, RISING, FALLING = (Label(name, (name,)) for name in ("Arch", "Ascending", "Descending"))
AORTA = Label("A_Aorta", ("Arch", "Ascending", "Descending"))
THORACIC = Label("Thoracic", ("Arch", "Ascending"))


def names(learned: tuple[Label, ...], dataset: tuple[Label, ...]) -> list[str]:
    return [label.name for label in known_labels(Part("part", learned, "id"), SimpleNamespace(labels=dataset))]


def test_a_part_is_scored_on_what_it_can_tell_apart():
    everything = (AORTA, ARCH, RISING, FALLING, THORACIC, Label("Liver", ("Liver",)))
    assert names((ARCH, RISING, FALLING), everything) == ["A_Aorta", "Arch", "Ascending", "Descending", "Thoracic"]
    assert names((AORTA,), everything) == ["A_Aorta"]  # a union that was learned as one says nothing of its members
    assert names((ARCH, Label("rest", ("Ascending", "Descending"))), everything) == ["A_Aorta", "Arch"]
    assert names((ARCH,), everything) == ["Arch"]  # a member alone is not the union
    assert names((), everything) == []


class Case:
    """A test case in memory, 1 x 4 x 6 voxels: values 1, 2, 3 for the parts of the aorta."""

    case = "patient"
    geometry = Geometry((1, 4, 6), (3.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    annotated = frozenset({"A_Aorta", "Arch"})
    label_table = {"A_Aorta": (0, (1, 2, 3)), "Arch": (0, (1,))}
    reference = np.array([[[1, 1, 2, 2, 3, 3]] * 2 + [[0] * 6] * 2], np.uint8)

    def reference_layers(self) -> np.ndarray:
        return self.reference[None]


@pytest.fixture
def rows(tmp_path):
    """Rows of the case by label name, for a part and its label map."""

    def score(part: Part, label_map: np.ndarray, labels=(AORTA, ARCH, RISING)) -> dict[str, dict]:
        save_array(tmp_path / "patient" / f"{part.name}.b2nd", label_map.astype(np.uint8))
        spec = SimpleNamespace(name="thorax", labels=labels)
        found = score_one_case(Case(), [part], spec, tmp_path, PaperPolicy(), 2.0)[part.name]
        assert all(row["dataset"] == "thorax" and row["case"] == "patient" and row["stage"] == "premerge" for row in found)
        return {row["structure"]: row for row in found}

    return score


@pytest.fixture(autouse=True)
def folder(tmp_path):
    (tmp_path / "patient").mkdir()


def test_a_union_is_the_union_of_the_channels(rows):
    part = Part("A_Aorta", (ARCH, RISING, FALLING), "id")
    found = rows(part, Case.reference)
    assert found["A_Aorta"]["dsc"] == 1.0 and found["A_Aorta"]["predicted_voxels"] == found["A_Aorta"]["reference_voxels"] == 12
    assert found["Arch"]["dsc"] == 1.0 and found["Arch"]["predicted_voxels"] == 4
    shuffled = np.where(Case.reference > 0, 4 - Case.reference, 0)  # the members exchanged: the union does not notice
    found = rows(part, shuffled)
    assert found["A_Aorta"]["dsc"] == 1.0 and found["A_Aorta"]["asd_mm"] == 0.0
    assert found["Arch"]["dsc"] == 0.0 and found["Arch"]["status"] == "ok" and found["Arch"]["hd95_mm"] > 0


def test_a_structure_that_the_case_does_not_annotate_is_counted_and_not_scored(rows):
    found = rows(Part("A_Aorta", (ARCH, RISING, FALLING), "id"), Case.reference)["Ascending"]
    assert found["status"] == "not_annotated" and found["reference_voxels"] is None and found["predicted_voxels"] == 4
    assert all(found[metric] is None for metric in ("dsc", "asd_mm", "hd95_mm", "nsd"))


def test_a_union_learned_as_one_is_scored_as_one(rows):
    found = rows(Part("A_Aorta", (AORTA,), "id"), Case.reference > 1)
    assert list(found) == ["A_Aorta"]
    assert found["A_Aorta"]["dsc"] == pytest.approx(2 * 8 / (8 + 12)) and found["A_Aorta"]["predicted_voxels"] == 8


def test_nested_labels_are_bits(rows):
    outer, inner = Label("A_Aorta", ("Outer",)), Label("Arch", ("Inner",))
    label_map = np.where(Case.reference == 1, 3, np.where(Case.reference > 0, 1, 0))
    found = rows(Part("Larynx", (outer, inner), "id", nested=True), label_map, labels=(outer, inner))
    assert found["A_Aorta"]["dsc"] == 1.0 and found["Arch"]["dsc"] == 1.0


def test_nothing_predicted_is_missed(rows):
    found = rows(Part("A_Aorta", (ARCH,), "id"), np.zeros_like(Case.reference), labels=(ARCH,))["Arch"]
    assert (found["status"], found["dsc"], found["asd_mm"]) == ("missed", 0.0, None)
