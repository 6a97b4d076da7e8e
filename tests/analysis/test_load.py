"""What a run folder may look like, and what is refused."""

from __future__ import annotations

import pytest

from analysis.load import read_run
from clnet.errors import DataError, UsageError


def test_text_stays_text_and_empty_cells_become_undefined(run_with, scores):
    table = scores.assign(method="none", case=scores["case"].str.zfill(6))
    run = read_run(run_with(table))
    assert run.identity == {"experiment": "order1", "order": "O1", "method": "none", "seed": "0"}
    assert run.scores["case"].iloc[0] == "000000"
    assert run.scores["dsc"].isna().sum() == scores["dsc"].isna().sum() > 0
    assert run.notes == ()


def test_steps_are_read_in_order(run_with, scores):
    run = read_run(run_with(scores.iloc[::-1]))
    assert list(run.trained_on.values())[:2] == ["phantom_whole_body", "phantom_head_neck"]


@pytest.mark.parametrize("place", ["absent", ".", "run/report"])
def test_other_folders_are_refused_with_a_hint(run_folder, tmp_path, place):
    (run_folder / "report").mkdir()
    with pytest.raises(UsageError, match="not a run folder") as caught:
        read_run(tmp_path / place)
    assert ("does not exist" if place == "absent" else str(run_folder)) in str(caught.value)


def test_no_scores_yet(run_with, scores):
    with pytest.raises(UsageError, match="no scores yet"):
        read_run(run_with(scores.iloc[:0]))


@pytest.mark.parametrize(("change", "message"), [
    (lambda table: table.drop(columns="status"), "lacks columns"),
    (lambda table: table.assign(dsc="high"), "column dsc"),
    (lambda table: table.assign(dsc=87.0), r"out of \[0, 1\]"),
    (lambda table: table.assign(status="good"), "unknown status"),
    (lambda table: table.assign(seed=range(len(table))), "several runs"),
    (lambda table: table.assign(trained_on=table["dataset"]), "learned several datasets"),
    (lambda table: table.iloc[[0, *range(len(table))]], "occurs twice"),
])
def test_broken_scores_are_refused(run_with, scores, change, message):
    with pytest.raises(DataError, match=message):
        read_run(run_with(change(scores)))


def test_missing_rows_are_reported(run_with, scores):
    lost = (scores["dataset"] == "phantom_chest") & (scores["step"] == 4) & (scores["case"] == "0001") & (scores["structure"] == "Heart")
    assert lost.sum() == 1
    notes = read_run(run_with(scores[~lost])).notes
    assert len(notes) == 1
    assert "phantom_chest, S4" in notes[0] and "1 of 16" in notes[0] and "case 0001, Heart" in notes[0]


def test_absent_tables_are_noted(run_folder):
    (run_folder / "decoders.csv").unlink()
    (run_folder / "manifest.json").unlink()
    run = read_run(run_folder)
    assert run.decoders.empty and len(run.notes) == 2


def test_broken_manifest(run_folder):
    (run_folder / "manifest.json").write_text("{")
    with pytest.raises(DataError, match="manifest.json"):
        read_run(run_folder)
