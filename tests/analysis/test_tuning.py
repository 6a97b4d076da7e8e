"""Scores of validation cases: read by the table of tuning, and by nothing that makes results."""

from __future__ import annotations

import pytest

from analysis import book, claims, compare, report, terminal, tuning
from analysis.aggregate import final_mean
from analysis.claim_list import ClaimList
from analysis.load import read_run
from analysis.render import markdown
from clnet.errors import UsageError


@pytest.fixture
def validated(run_with, scores_of):
    """Writes a run that was scored on validation cases and returns its folder."""

    def validated(name: str, decay: float, method: str = "mib", seed: int = 0):
        folder = run_with(scores_of(decay, method=method, seed=seed).assign(seed=seed), name=name)
        return (folder / "scores.csv").rename(folder / "validation_scores.csv").parent

    return validated


def test_they_are_taken_for_no_result(validated, tmp_path):
    folder = validated("one", 0.0)
    of_several = (lambda run: book.build([run], tmp_path / "book"), lambda run: compare.build([run], tmp_path / "comparison"))
    for take in (read_run, report.build, *of_several):
        with pytest.raises(UsageError, match="scores of validation cases are no results"):
            take(folder)
    claim = claims.Claim("a", "text", 0.5, 1.0, "any", ("one",), "score", {})
    [verdict] = claims.judge(ClaimList({"one": "python run.py"}, (claim,)), folder.parent)
    assert verdict.word == claims.NOT_RUN


def test_the_terminal_says_what_they_are(validated, run_folder, capsys):
    assert not terminal.print_summary(validated("one", 0.0)) and terminal.VALIDATION in capsys.readouterr().out
    assert terminal.print_summary(run_folder) and terminal.VALIDATION not in capsys.readouterr().out


def test_a_row_for_each_setting_the_best_of_each_method_first(validated, scores_of, tmp_path):
    folders = [validated("low", 0.2), validated("high", 0.05), validated("again", 0.05, seed=1), validated("other", 0.1, method="plop")]
    learning = ["0.01", "0.03", "0.03", "0.01"]
    differences = {"seed": ["0", "0", "1", "0"], "method.name": ["mib", "mib", "mib", "plop"], "scale.training.first.lr": learning,
                   "method.first.training.lr": learning, "method.distillation_weight": ["10", "10", "10", "absent"]}
    table = tuning.build(folders, differences, tmp_path / "out")
    assert table.header[:3] == ("method", "scale.training.first.lr", "DSC at the end"), "what the others tell has no column"
    assert [(*row[:2], row[-2]) for row in table.rows] == [("mib", "0.03", "2"), ("mib", "0.01", "1"), ("plop", "0.01", "1")]
    means = [float(final_mean(scores_of(0.05, method="mib", seed=seed))["dsc"]) for seed in (0, 1)]
    assert table.data["end"][0] == pytest.approx(sum(means) / 2) and table.bold == {(0, 2), (2, 2)}
    assert table.data["learned"][1] > table.data["end"][1], "a DSC that falls with every step was higher when learned"
    assert (tmp_path / "out" / "tuning.md").read_text() == markdown(table) and (tmp_path / "out" / "tuning.csv").exists()


def test_a_weight_that_was_searched_has_a_column(validated):
    folders = [validated("a", 0.0), validated("b", 0.1)]
    differences = {"method.distillation_weight": ["10", "1"]}
    assert "method.distillation_weight" in tuning.build(folders, differences).header


def test_runs_of_test_cases_are_refused(run_folder):
    with pytest.raises(UsageError, match="validation_scores"):
        tuning.build([run_folder], {})
    with pytest.raises(UsageError, match="no run was scored on validation cases"):
        tuning.build([], {})
