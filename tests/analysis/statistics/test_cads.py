"""CADS's rule on hand-made rows, and that it says of a share of volume what the evaluation's own policy says."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from analysis.statistics.cads import judged, usual_share
from experiments.score import CadsPolicy, Missed


def rows_of(*cases: tuple[str, float, float]) -> pd.DataFrame:
    """status, reference volume and DSC of one structure of one dataset."""
    table = pd.DataFrame(cases, columns=["status", "reference_voxels", "dsc"])
    return table.assign(dataset="a", structure="Liver", nsd=table["dsc"])


def test_the_usual_volume_is_the_median_of_what_is_there():
    rows = rows_of(("ok", 1000, 0.9), ("missed", 50, 0.0), ("ok", 800, 0.9), ("both_empty", 0, math.nan))
    assert usual_share(rows).tolist() == pytest.approx([1.25, 0.0625, 1.0, math.nan], nan_ok=True)
    other = rows.assign(dataset="b", reference_voxels=rows["reference_voxels"] * 8)  # finer voxels: each dataset has its own median
    assert usual_share(pd.concat([rows, other], ignore_index=True)).tolist()[4:7] == pytest.approx([1.25, 0.0625, 1.0])


def test_missed_structures_are_judged_by_their_share():
    rows = rows_of(("missed", 95, 0.0), ("missed", 50, 0.0), ("missed", 5, 0.0), ("ok", 5, 0.7), ("ok", 100, 0.9))
    found = judged(rows, rows["reference_voxels"] / 100)
    assert found["judgement"].tolist() == ["visible", "between", "clipped", "", ""]
    assert found["dsc"].tolist() == pytest.approx([0, 0, math.nan, 0.7, 0.9], nan_ok=True)
    assert found["nsd"].tolist() == pytest.approx([0, 0, math.nan, 0.7, 0.9], nan_ok=True)
    assert found["clipped_but_found"].tolist() == [False, False, False, True, False]


def test_scores_that_the_rule_has_given_already_stay():
    found = judged(rows_of(("out_of_fov", 5, math.nan), ("out_of_fov", 0, math.nan)), pd.Series([0.05, math.nan]))
    assert found["judgement"].tolist() == ["clipped", ""] and found["dsc"].isna().all()


def test_a_share_that_is_not_known_is_between():
    found = judged(rows_of(("missed", 40, 0.0)), pd.Series([math.nan]))
    assert found["judgement"].tolist() == ["between"] and found["dsc"].tolist() == [0]


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5, 0.9, 0.95])
def test_the_evaluations_policy_says_the_same(share):
    usual_mm3 = 1000 * 1.5**3
    score = CadsPolicy(usual_voxels={"Liver": 1000}).missed(Missed("Liver", share * usual_mm3, 500.0))
    row = judged(rows_of(("missed", 10, 0.0)), pd.Series([share])).iloc[0]
    assert (row["judgement"] == "clipped") == (score.status == "out_of_fov")
    assert (row["judgement"] == "visible") == (score.hd95_mm is not None)
    assert math.isnan(row["dsc"]) == (score.dsc is None)
