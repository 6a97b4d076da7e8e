"""A run of the universal scenario: one step `all` that learned every dataset; forgetting is undefined."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from analysis import figures, report, tables, terminal
from analysis.aggregate import final_mean
from analysis.continual import METRICS
from analysis.load import learned_at, read_run
from analysis.matrix import score_matrix
from analysis.render import DASH

DATASETS = ["phantom_whole_body", "phantom_head_neck", "phantom_abdomen", "phantom_chest", "phantom_lesion"]


@pytest.fixture
def run(universal_folder):
    return read_run(universal_folder)


def test_every_dataset_is_learned_in_step_0(run, scores):
    assert run.trained_on == {0: "all"} and run.learned_at == dict.fromkeys(DATASETS, 0) and run.notes == ()
    assert learned_at(scores) == {name: step for step, name in enumerate(DATASETS)}


def test_a_dataset_called_all_is_a_dataset(scores):
    table = scores[scores["step"] == 0].replace({"phantom_whole_body": "all"})
    assert learned_at(pd.concat([table, table.assign(dataset="external")])) == {"all": 0}


def test_means_are_those_of_a_last_step(run, scores):
    assert final_mean(run.scores)["dsc"] == final_mean(scores)["dsc"] and final_mean(run.scores)["structures"] == 66


def test_matrix_has_one_row_and_no_forgetting(run):
    for by, tasks in (("dataset", 5), ("structure", 66)):
        matrix = score_matrix(run.scores, by=by)
        assert matrix.values.shape == (1, tasks) and set(matrix.learned) == {0}
        found = {metric.symbol: metric.function(matrix.values, matrix.learned) for metric in METRICS}
        defined = {symbol: score for symbol, score in found.items() if not math.isnan(score)}
        assert defined == dict.fromkeys(("ACC", "LA", "AIA"), pytest.approx(0.8, abs=0.2))


def test_tables(run):
    final = tables.final_table(run)
    assert [row[:2] for row in final.rows] == [*((name, "S0") for name in DATASETS), ("all pairs", "")]
    assert final.title == "After the last step, S0 (all), premerge" and "paper DSC*" not in final.header
    assert "learned in S0" in tables.structure_table(run, "phantom_chest").title
    continual = tables.continual_table(run)
    assert [row[0] for row in continual.rows if set(row[1:]) != {DASH}] == [
        "average accuracy", "learning accuracy", "average incremental accuracy"]
    assert continual.notes[-1].startswith("One step")


def test_report_and_terminal(universal_folder, run):
    built = report.build(universal_folder)
    page = (built / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 1 and ">nan<" not in page.lower() and "One step: forgetting" in page
    assert [path.name for path in sorted((built / "figures").iterdir())] == ["structure_scores.png", "structure_scores.svg"]
    printed = terminal.summary(run)
    assert max(map(len, printed.splitlines())) <= 120 and printed.count("learned in S0") == 5
    assert "S0 (all): 49 new" in printed and "after S0: mean over" in printed.splitlines()[-1]


def test_curves_show_it_as_a_level_line_beside_others(run, scores):
    figure = figures.forgetting_curves({"universal": run.scores, "continual": scores})
    panels = [axis for axis in figure.axes if axis.get_visible()]
    assert [axis.get_title() for axis in panels] == ["whole body", "head neck", "abdomen", "chest", "lesion"]
    level, curve = panels[1].get_lines()
    assert level.get_ydata()[0] == level.get_ydata()[1] == pytest.approx(curve.get_ydata()[-1])
    assert [round(x) for x in curve.get_xdata()] == [1, 2, 3, 4]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["universal (one step)", "continual"]


def test_alone_it_has_a_panel_for_each_dataset(run):
    panels = [axis for axis in figures.forgetting_curves({"universal": run.scores}).axes if axis.get_visible()]
    assert len(panels) == 5 and [label.get_text() for label in panels[0].get_xticklabels()] == ["S0\nall"]
