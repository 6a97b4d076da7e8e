"""Means and the score matrix, worked by hand on a small table."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from analysis.aggregate import by_dataset, by_structure, final_mean, main_stage
from analysis.matrix import score_matrix

NAN = math.nan


def small() -> pd.DataFrame:
    """Two steps, A learned first (two organs), B then (one); at step 1 A's organ y is missed in one case and unknown in the other."""
    rows = [(0, "A", "A", "1", "x", 0.8, 1.0, "ok"), (0, "A", "A", "2", "x", 0.6, 3.0, "ok"),
            (0, "A", "A", "1", "y", 0.4, 4.0, "ok"), (0, "A", "A", "2", "y", NAN, NAN, "not_annotated"),
            (1, "B", "A", "1", "x", 0.9, 0.5, "ok"), (1, "B", "A", "2", "x", NAN, NAN, "false_positive"),
            (1, "B", "A", "1", "y", 0.0, NAN, "missed"), (1, "B", "A", "2", "y", NAN, NAN, "not_annotated"),
            (1, "B", "B", "7", "x", 0.5, 2.0, "ok")]
    table = pd.DataFrame(rows, columns=["step", "trained_on", "dataset", "case", "structure", "dsc", "asd_mm", "status"])
    return table.assign(experiment="e", order="o", method="m", seed=0, stage="premerge", hd95_mm=NAN, nsd=NAN)


def test_structure_means_count_what_they_leave_out():
    row = by_structure(small()).loc[1, "A", "x"]
    assert (row["dsc"], row["dsc_n"], row["rows"], row["left_out"], row["false_positive"]) == (0.9, 1, 2, 1, 1)
    missed = by_structure(small()).loc[1, "A", "y"]
    assert (missed["dsc"], missed["dsc_n"], missed["asd_mm_n"], missed["missed"], missed["not_annotated"]) == (0.0, 1, 0, 1, 1)
    assert math.isnan(missed["asd_mm"])


def test_dataset_means_are_over_structures_not_cases():
    means = by_dataset(by_structure(small()))
    assert means.loc[(0, "A"), "dsc"] == pytest.approx((0.7 + 0.4) / 2)
    assert means.loc[(0, "A"), "asd_mm"] == pytest.approx((2.0 + 4.0) / 2)
    assert means.loc[(1, "A"), "asd_mm_n"] == 1


def test_final_mean_is_over_pairs():
    mean = final_mean(small())
    assert mean["dsc"] == pytest.approx((0.9 + 0.0 + 0.5) / 3)
    assert (mean["structures"], mean["missed"], mean["left_out"]) == (3, 1, 2)


def test_final_mean_leaves_external_datasets_to_themselves():
    external = small().tail(1).assign(dataset="external", dsc=0.1)
    assert final_mean(pd.concat([small(), external]))["dsc"] == pytest.approx((0.9 + 0.0 + 0.5) / 3)


def test_row_order_does_not_matter():
    assert final_mean(small().iloc[::-1])["dsc"] == pytest.approx(final_mean(small())["dsc"])
    assert score_matrix(small().iloc[::-1]).tasks == ("A", "B")


def test_merged_scores_are_shown_where_there_are_any():
    merged = small().assign(stage="merged", dsc=0.25)
    both = pd.concat([small(), merged])
    assert (main_stage(small()), main_stage(both)) == ("premerge", "merged")
    assert final_mean(both)["dsc"] == 0.25
    assert final_mean(both, "premerge")["dsc"] == pytest.approx(final_mean(small())["dsc"])


def test_matrix_by_dataset():
    matrix = score_matrix(small())
    assert (matrix.tasks, matrix.learned) == (("A", "B"), (0, 1))
    np.testing.assert_allclose(matrix.values, [[0.55, NAN], [0.45, 0.5]])


def test_matrix_by_dataset_is_undefined_before_it_was_learned():
    early = small().tail(1).assign(step=0, trained_on="A")  # B's organ x already had a head
    matrix = score_matrix(pd.concat([small(), early]))
    assert math.isnan(matrix.values[0, 1])
    organs = score_matrix(pd.concat([small(), early]), by="structure")
    assert organs.learned[organs.tasks.index(("B", "x"))] == 0


def test_matrix_by_structure_leaves_out_organs_without_a_head():
    matrix = score_matrix(small(), by="structure")
    assert (matrix.tasks, matrix.learned) == ((("A", "x"), ("A", "y"), ("B", "x")), (0, 0, 1))
    np.testing.assert_allclose(matrix.values, [[0.7, 0.4, NAN], [0.9, 0.0, 0.5]])


def test_distances_come_negated():
    np.testing.assert_allclose(score_matrix(small(), "asd_mm", "structure").values, [[-2.0, -4.0, NAN], [-0.5, NAN, -2.0]])


def test_unknown_grouping():
    with pytest.raises(ValueError, match="dataset"):
        score_matrix(small(), by="organ")
