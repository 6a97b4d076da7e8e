"""Rows before and after merging in one table: every mean is over one stage, and every table says which."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis import figures, tables, terminal
from analysis.aggregate import final_mean
from analysis.continual import METRICS
from analysis.load import read_run
from analysis.matrix import score_matrix
from clnet.errors import DataError


@pytest.fixture
def two_stages(run_with, scores):
    """A run whose merged DSC is 0.25 everywhere, so that any mixing shows."""
    return read_run(run_with(pd.concat([scores, scores.assign(stage="merged", dsc=0.25, status="ok")])))


def test_all_means_are_of_the_merged_scores(two_stages):
    assert two_stages.stage == "merged" and two_stages.stages == ("premerge", "merged")
    final, status = tables.final_table(two_stages), tables.status_table(two_stages)
    assert {row[3] for row in final.rows} == {"0.250"} and {row[8] for row in final.rows} == {"0"}
    assert {row[1] for row in status.rows} == {row[-1] for row in status.rows}
    structures = tables.structure_table(two_stages, "phantom_chest")
    assert {cell for row in structures.rows for cell in row[1:]} == {"0.25 (n=4)", "0.250 (n=4)"}
    for table in (final, status, structures):
        assert table.title.endswith(", merged") and set(table.data["stage"]) == {"merged"}
    assert final_mean(two_stages.scores)["dsc"] == 0.25
    assert terminal.headline(two_stages) == (
        "final mean DSC 0.250 after S4: mean over 66 of 66 (dataset, structure) pairs; missed 0, false positives 0; after merging")


def test_tables_of_a_stage_that_is_asked_for(two_stages, scores):
    before = tables.final_table(two_stages, "premerge")
    assert before.title.endswith(", premerge") and before.rows[5][3].startswith(f"{final_mean(scores)['dsc']:.3f}")
    assert tables.structure_table(two_stages, "phantom_chest", stage="premerge").title.endswith("after each step, premerge")


def test_continual_metrics_have_rows_for_both_stages(two_stages):
    rows = {row[0]: row[1] for row in tables.continual_table(two_stages).rows}
    assert len(rows) == 2 * len(METRICS)
    assert rows["average accuracy, merged"] == "0.250 (n=5)" and rows["forgetting, merged"] == "0.000 (n=4)"
    assert float(rows["forgetting, premerge"].split()[0]) > 0.05


def test_figures_show_one_stage(two_stages):
    curves = figures.forgetting_curves({"clnet": two_stages.scores})
    assert {round(y, 9) for line in curves.axes[0].get_lines() for y in line.get_ydata()} == {25.0}
    dots = figures.structure_scores(two_stages.scores).axes[0].collections
    assert {round(float(x), 9) for collection in dots for x, _ in collection.get_offsets()} == {25.0}


def test_premerge_is_said_where_nothing_was_merged(run_folder):
    run = read_run(run_folder)
    assert tables.final_table(run).title.endswith(", premerge") and tables.continual_table(run).title == "Continual learning, premerge"
    assert "merging" not in terminal.headline(run)


def test_the_stage_is_that_of_the_run_not_of_the_rows_that_a_mean_is_over(scores):
    chest, after = scores["dataset"] == "phantom_chest", scores.assign(stage="merged", dsc=0.25)
    both = pd.concat([scores, after[~chest]])  # the chest was not merged: it has no value, rather than one of another stage
    assert (final_mean(both)["dsc"], final_mean(both)["structures"]) == (0.25, 62)
    assert score_matrix(both).tasks == ("phantom_whole_body", "phantom_head_neck", "phantom_abdomen", "phantom_lesion")
    only_external = pd.concat([scores, after[chest].assign(dataset="btcv")])
    assert score_matrix(only_external).tasks == ()


def test_structures_that_were_not_merged_are_reported(run_with, merged_scores):
    lost = (merged_scores["stage"] == "merged") & (merged_scores["structure"] == "Heart") & (merged_scores["dataset"] == "phantom_chest")
    notes = read_run(run_with(merged_scores[~lost])).notes
    assert [note for note in notes if "premerge scores alone" in note] == [
        "phantom_chest, S3: 1 structure(s) have premerge scores alone (first: Heart); tables of the other stage leave them out",
        "phantom_chest, S4: 1 structure(s) have premerge scores alone (first: Heart); tables of the other stage leave them out"]


def test_a_step_without_merged_scores_is_refused(run_with, merged_scores):
    with pytest.raises(DataError, match="none in step 4"):
        read_run(run_with(merged_scores[(merged_scores["stage"] == "premerge") | (merged_scores["step"] < 4)]))
