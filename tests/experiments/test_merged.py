"""One case before and after merging: scores, and what became of right and wrong voxels."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from clnet.data.store import save_array
from clnet.infer.mergedscan import Anywhere
from clnet.infer.merging import merging_rules
from clnet.types import Geometry, Label, Part
from experiments.evaluate import score_one_case
from experiments.merged import Contest, merge_one_case
from experiments.score import PaperPolicy

LIVER, KIDNEY = (Part(name, (Label(name, (name,)),), name) for name in ("Liver", "Kidney"))
RULES = merging_rules({"organs": ["Liver", "Kidney"]}, {})
REFERENCE = {"Liver": np.zeros((4, 1, 6), bool), "Kidney": np.zeros((4, 1, 6), bool)}
REFERENCE["Liver"][2:, :, :3], REFERENCE["Kidney"][2:, :, 3:] = True, True


class Case:
    """Liver and kidney side by side in the upper two of four slices of 3 mm."""

    case, dataset = "patient", "abdomen"
    geometry = Geometry((4, 1, 6), (3.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
    annotated = frozenset({"Liver", "Kidney"})
    label_table = {"Liver": (0, (1,)), "Kidney": (1, (1,))}

    def reference_layers(self) -> np.ndarray:
        return np.stack([REFERENCE[name] for name in self.label_table]).astype(np.uint8)


@pytest.fixture
def merged(tmp_path):
    def merge(predictions: dict, confidence: dict, inside: dict, annotated=Case.annotated) -> tuple[dict, dict, dict]:
        parts, case = [LIVER, KIDNEY], Case()
        case.annotated = annotated
        for name, mask in predictions.items():
            save_array(tmp_path / "patient" / f"{name}.b2nd", mask.astype(np.uint8))
            save_array(tmp_path / "patient" / f"{name}.confidence.b2nd", (mask * confidence[name]).astype(np.uint8))
        spec = SimpleNamespace(name="abdomen", labels=[LIVER.labels[0], KIDNEY.labels[0]])
        before = score_one_case(case, parts, spec, tmp_path, PaperPolicy(), 2.0)
        scored = {part.name: part.labels for part in parts}
        contest = Contest(parts, scored, {}, dict.fromkeys(scored, tmp_path))
        rows, changes = merge_one_case(case, inside, rules=RULES, contest=contest, before=before, dataset="abdomen", policy=PaperPolicy(),
                                       tolerance_mm=2.0)  # fmt: skip
        return ({name: own[0] for name, own in before.items()}, {row["structure"]: row for row in rows},
                {row["structure"]: row for row in changes})  # fmt: skip

    (tmp_path / "patient").mkdir()
    return merge


def test_false_voxels_outside_the_range_go_and_the_surer_organ_wins(merged):
    """The liver also claims slice 0 (6 voxels, outside its range) and the kidney's first column (2 voxels, less surely)."""
    liver = REFERENCE["Liver"].copy()
    liver[0], liver[2:, :, 3] = True, True
    inside = {"Liver": np.array([False, True, True, True])}
    before, after, changes = merged({"Liver": liver, "Kidney": REFERENCE["Kidney"]}, {"Liver": 200, "Kidney": 250}, inside)
    assert before["Liver"]["dsc"] == pytest.approx(12 / 20) and before["Liver"]["predicted_voxels"] == 14
    assert after["Liver"]["dsc"] == 1.0 and after["Liver"]["asd_mm"] == 0.0 and after["Liver"]["predicted_voxels"] == 6
    assert after["Liver"]["stage"] == "merged" and after["Kidney"] == {**before["Kidney"], "stage": "merged"}
    counts = {name: value for name, value in changes["Liver"].items() if isinstance(value, int)}
    assert counts == {"false_voxels_before": 8, "false_voxels_after": 0, "false_outside_before": 6, "false_outside_after": 0,
                      "true_outside_before": 0, "true_voxels_before": 6, "true_voxels_after": 6}  # fmt: skip
    assert changes["Liver"]["decoder"] == "Liver" and all(value == 0 for name, value in changes["Kidney"].items() if "false" in name)


def test_a_range_that_is_too_short_is_seen(merged):
    inside = {"Kidney": np.array([False, False, False, True])}
    before, after, changes = merged(REFERENCE, {"Liver": 200, "Kidney": 250}, inside)
    assert before["Kidney"]["dsc"] == 1.0 and after["Kidney"]["dsc"] == pytest.approx(6 / 9)
    assert changes["Kidney"]["true_outside_before"] == 3 and changes["Kidney"]["true_voxels_after"] == 3


def test_what_is_not_annotated_is_scored_as_such(merged):
    _, after, changes = merged(REFERENCE, {"Liver": 200, "Kidney": 250}, {}, annotated=frozenset({"Liver"}))
    assert after["Kidney"]["status"] == "not_annotated" and after["Kidney"]["dsc"] is None and set(changes) == {"Liver"}
    assert Anywhere().inside(None) == {} == Anywhere().inside_prepared(None) and Anywhere().identity("Liver") is None
