"""The tables of statistics for any set of runs: none, one, seeds and orders, runs that have nothing in common, references."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from analysis import render
from analysis.aggregate import final_mean
from analysis.continual import backward_transfer_all_pairs
from analysis.groups import Group, default_name
from analysis.load import Run
from analysis.matrix import score_matrix
from analysis.statistics.average_tables import average_tables, cads_table
from analysis.statistics.bootstrap import mean_interval
from analysis.statistics.cases import case_values
from analysis.statistics.continual_tables import continual_tables, reference_for
from analysis.statistics.overview_table import overview_table
from analysis.statistics.pairwise_table import ALL_PAIRS, pairwise_table
from analysis.statistics.tables import tables


@pytest.fixture
def groups_of(decoders):
    """Groups from scores by folder name."""
    def build(**runs: pd.DataFrame) -> list[Group]:
        found: dict[str, list[Run]] = {}
        for name, scores in runs.items():
            found.setdefault(default_name(Path(name)), []).append(Run(Path(name), scores, decoders, pd.DataFrame(), {}))
        return [Group(name, tuple(same)) for name, same in found.items()]
    return build


@pytest.fixture
def many(groups_of, scores_of, merged_scores):
    """Two seeds of O1, one of O2, a variant with both stages."""
    return groups_of(order1=scores_of(0.05), **{"order1__seed-1": scores_of(0.02, seed=1).assign(seed=1)},
                     order2=scores_of(0.1).assign(order="O2", experiment="order2"), **{"order1__ema-none": merged_scores})


def column(table: render.Table, name: str) -> list[str]:
    return [row[table.header.index(name)] for row in table.rows]


def test_no_runs_no_tables():
    assert tables([]) == []


def test_every_table_can_be_rendered_and_has_a_name_of_its_own(many):
    found = tables(many)
    assert len(found) == len({table.name for table in found}) == 8
    for table in found:
        text = render.html(table) + render.text(table) + render.latex(table) + render.markdown(table)
        assert "nan" not in text.lower().replace("ema-none", "") and all(len(row) == len(table.header) for row in table.rows)


def test_one_run_has_all_but_comparisons(groups_of, scores):
    names = [table.name for table in tables(groups_of(order1=scores))]
    assert "statistics_pairwise" not in names and len(names) == 7


def test_overview(many):
    table = overview_table(many)
    assert column(table, "run") == ["order1", "order2", "order1__ema-none", "2 orders: clnet"] and table.summary_rows == {3}
    assert column(table, "runs") == ["2", "1", "1", "3"] and column(table, "orders")[-1] == "O1 O2"
    means = [final_mean(run.scores)["dsc"] for run in (*many[0].runs, *many[1].runs)]
    assert column(table, "DSC")[1] == f"{means[2]:.3f}"
    line = table.data.iloc[3]
    assert line["dsc_between_orders"] == pytest.approx(pd.Series([(means[0] + means[1]) / 2, means[2]]).std())
    assert line["dsc_between_seeds"] == pytest.approx(pd.Series(means[:2]).std())
    assert table.data["dsc"].tolist()[:2] == pytest.approx([(means[0] + means[1]) / 2, means[2]])
    assert table.data.loc[3, "dsc"] == pytest.approx(table.data["dsc"][:2].mean())
    assert (table.data["dsc_ci_low"] < table.data["dsc"]).all() and (table.data["dsc"] < table.data["dsc_ci_high"]).all()
    assert table.data.loc[1, "dsc_ci_low"] == mean_interval([case_values(many[1].scores)]).low


def test_overview_of_single_orders_has_no_columns_for_spread(groups_of, scores):
    assert overview_table(groups_of(order1=scores)).header == ("run", "orders", "runs", "stage", "DSC", "DSC CI", "n", "ASD", "ASD CI", "n",
                                                               "missed", "fp")


def test_runs_of_unlike_datasets_are_said(groups_of, scores):
    groups = groups_of(order1=scores, short=scores[scores["step"] == 0])
    assert overview_table(groups).notes[-1].startswith("The runs did not all learn")
    assert not overview_table(groups[:1]).notes[-1].startswith("The runs did not all learn")


def test_pairwise_tests_are_corrected_within_each_measure(many):
    table = pairwise_table(many)
    assert len(table.rows) == 6 and column(table, "measure") == ["DSC"] * 3 + ["ASD"] * 3
    first = table.data.iloc[0]
    assert first["first"] == "order1" and first["second"] == "order2" and first["cases"] == 20 and first["mean_difference"] > 0
    part = table.data[table.data["value"] == "dsc"].sort_values("p_value")
    assert part["p_holm"].iloc[0] == pytest.approx(part["p_value"].iloc[0] * 3)
    assert (table.data["p_holm"] >= table.data["p_value"]).all()
    assert set(column(table, "stage")) == {"premerge"}  # not all of them were merged


def test_the_better_run_is_above_0_for_distances_too(many):
    data = pairwise_table(many).data.set_index(["first", "second", "value"])
    assert data.loc[("order1", "order2", "asd_mm"), "mean_difference"] > 0 < data.loc[("order1", "order2", "asd_mm"), "rank_biserial"]


def test_runs_without_a_common_case_are_said(groups_of, scores):
    other = scores.assign(case="x" + scores["case"])
    groups = groups_of(order1=scores, openkbp=other)
    assert pairwise_table(groups) is None
    table = pairwise_table([*groups, *groups_of(order2=scores.assign(dsc=scores["dsc"] / 2))])
    assert len(table.rows) == 2 and "2 pairs of runs share no case and are left out." in table.notes


def test_many_runs_are_compared_with_the_first(groups_of, scores):
    groups = groups_of(**{f"run{index}": scores.assign(dsc=scores["dsc"] * (1 - index / 100)) for index in range(ALL_PAIRS + 1)})
    table = pairwise_table(groups)
    assert set(table.data["first"]) == {"run0"} and len(table.rows) == 2 * ALL_PAIRS
    assert any("compared with the first" in note for note in table.notes)


def test_averages(many):
    regions, sets, classes = average_tables(many)
    assert regions.rows[-1][0] == "all classes" and regions.summary_rows == {len(regions.rows) - 1}
    assert len(classes.rows) == many[0].scores["structure"].nunique() and len(sets.rows) == 6
    table = classes.data[classes.data["name"] == "order2"].set_index("class")
    assert column(regions, "order2 DSC")[-1] == f"{table['dsc'].mean():.3f} (n={table['dsc'].count()})"


def test_runs_of_unlike_datasets_leave_cells_empty(groups_of, scores):
    _, sets, _ = average_tables(groups_of(order1=scores, short=scores[scores["step"] == 0]))
    row = next(row for row in sets.rows if row[0] == "phantom_chest")
    assert row[3:] == (render.DASH, render.DASH) and row[1] != render.DASH and sets.notes[-1].startswith("The runs do not all have")


def test_cads(groups_of, scores):
    clipped = scores.copy()
    missed = (clipped["status"] == "missed") & (clipped["step"] == 4)
    clipped.loc[missed, "reference_voxels"] = 9  # of 900
    whole, cut = (cads_table(groups_of(run=table)).data.set_index("dataset").loc["all pairs"] for table in (scores, clipped))
    assert whole["visible"] == cut["clipped"] == missed.sum() > 0 and whole["dsc_cads"] == whole["dsc"]
    assert cut["dsc_cads"] > cut["dsc"] and cut["visible"] == 0


def test_continual_metrics_of_all_runs(many):
    dsc, asd = continual_tables(many)
    assert [row[:3] for row in dsc.rows[-2:]] == [("order1__ema-none", "merged", "dataset"), ("order1__ema-none", "merged", "structure")]
    assert len(dsc.rows) == 8 and "REM" in dsc.header and "REM" not in asd.header
    matrix = score_matrix(many[1].first.scores)
    assert column(dsc, "BWT all")[2] == f"{backward_transfer_all_pairs(matrix.values, matrix.learned):.3f} (n=10)"
    assert "\N{PLUS-MINUS SIGN}" in column(dsc, "ACC")[0]
    assert sum("is left out: it needs a" in note for note in dsc.notes) == 3 and "I" not in dsc.header


def test_references_among_the_runs(groups_of, scores, universal_scores):
    alone = scores.assign(method="nnunet", dsc=scores["dsc"] * 0.9, experiment="specialists")
    tuned = scores.assign(method="finetune", dsc=scores["dsc"] / 2, experiment="finetune")
    groups = groups_of(order1=scores, universal5=universal_scores, specialists=alone, finetune=tuned)
    found = {kind: reference_for(kind, groups[0], groups) for kind in ("joint", "specialist", "sequential")}
    assert {kind: group.name for kind, group in found.items()} == {"joint": "universal5", "specialist": "specialists",
                                                                   "sequential": "finetune"}
    assert reference_for("joint", groups[1], groups) is None
    dsc, _ = continual_tables(groups)
    row = dict(zip(dsc.header, dsc.rows[1], strict=True))
    assert float(row["P"].split()[0]) == pytest.approx(0.1 * float(row["LA"].split()[0]), abs=1e-3)
    assert row["FWT rel"].startswith("1.000 (n=")
    assert float(row["I"].split()[0]) < 0  # the universal run has the scores that were left at the end
    assert any(note.startswith("I: order1 against universal5") for note in dsc.notes)


def test_a_variant_is_not_compared_with_another_variants_joint_training(groups_of, scores, universal_scores):
    groups = groups_of(**{"order1__ema-none": scores, "universal5": universal_scores})
    assert reference_for("joint", groups[0], groups) is None
    other_order = scores.assign(method="finetune", trained_on=scores["trained_on"].replace(
        {"phantom_abdomen": "phantom_chest", "phantom_chest": "phantom_abdomen"}))
    assert reference_for("sequential", groups[0], [*groups, *groups_of(finetune=other_order)]) is None
