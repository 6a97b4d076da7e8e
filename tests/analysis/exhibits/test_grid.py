"""The paper's layout by hand: rows, differences, the best of a column, what lies behind ours."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis.exhibits.grid import CELLS, Column, details, grid

COLUMNS = (Column("a", "dsc", "A"), Column("b", "dsc", "B"), Column("a", "asd_mm", "A, mm"))
DASH = "\N{EN DASH}"


def cell(row, source, place, measure, value, **rest) -> dict:
    return {"row": row, "source": source, "place": place, "measure": measure, "value": value, "runs": 1, **rest}


@pytest.fixture
def cells() -> pd.DataFrame:
    """Two methods of the paper, one of which has two runs of ours, and a third method that the paper has not."""
    counts = {"cases_std": 0.05, "n": 3, "pairs": 4, "cases": 2, "missed": 1, "false_positive": 0, "left_out": 2}
    lines = [cell("x", "paper", "a", "dsc", 0.9), cell("x", "paper", "b", "dsc", 0.7), cell("x", "paper", "a", "asd_mm", 2.0),
             cell("y", "paper", "a", "dsc", 0.9), cell("y", "paper", "a", "asd_mm", 1.5),
             cell("x", "one", "a", "dsc", 0.8, **counts), cell("x", "one", "a", "asd_mm", 2.25, **counts),
             cell("x", "two", "a", "dsc", 0.85, std=0.01) | {"runs": 2}, cell("z", "three", "b", "dsc", 0.5)]
    return pd.DataFrame(lines).reindex(columns=list(CELLS))


def test_ours_stand_below_the_papers_with_the_difference(cells):
    assert grid("t", "title", cells, COLUMNS).rows == (
        ("x", "paper", "90.0", "70.0", "2.00"),
        ("x", "one", "80.0", DASH, "2.25"), ("x", "one, difference", "-10.0", DASH, "+0.25"),
        ("x", "two", "85.0 \N{PLUS-MINUS SIGN} 1.0", DASH, DASH), ("x", "two, difference", "-5.0", DASH, DASH),
        ("y", "paper", "90.0", DASH, "1.50"),
        ("z", "three", DASH, "50.0", DASH))


def test_the_best_is_highest_or_lowest_among_the_papers_and_among_ours(cells):
    table = grid("t", "title", cells, COLUMNS)
    assert table.bold == {(0, 2), (5, 2), (5, 4), (3, 2)}  # both 90.0; 1.50 mm; our 85.0. One value alone is not the best of anything
    assert grid("t", "title", cells, COLUMNS, unranked=("y",)).bold == {(3, 2)}


def test_notes_explain_what_is_shown(cells):
    notes = " ".join(grid("t", "title", cells, COLUMNS, ("mine",)).notes)
    assert "several seeds" in notes and notes.endswith("mine") and "sum T'" not in notes
    shares = pd.DataFrame([cell("x", "paper", "a", "nominal_share_sum", 0.382)]).reindex(columns=list(CELLS))
    table = grid("t", "title", shares, (Column("a", "nominal_share_sum", "sum"),))
    assert table.rows == (("x", "paper", "38.2"),) and "sum T':" in " ".join(table.notes)


def test_what_lies_behind_ours(cells):
    table = details("d", "behind", cells)
    assert table.rows == (("x", "one", "a", "2", "80.0", "5.0", "3 of 4", "2.25", "0.05", "3 of 4", "1", "0", "2"),)
    assert details("d", "behind", cells[cells["source"] == "paper"]) is None
