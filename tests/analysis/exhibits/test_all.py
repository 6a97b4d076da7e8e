"""The paper's tables and figures as a whole: none is missing but the drawing of the method, none comes twice."""

from __future__ import annotations

import pytest

from analysis.exhibits import ALL


def test_every_table_and_figure_of_the_paper_is_there_once():
    """Figure 2 draws the method; Tables S1 to S5 describe data and decoders, which are in the registry and in Figure 1."""
    tables = [*(f"Table {n}" for n in range(1, 5)), *(f"Table S{n}" for n in range(6, 49))]
    figures = [*(f"Figure {n}" for n in (1, 3, 4, 5, 6, 7)), "Figure S1", "Figure S2"]
    assert sorted(exhibit.number for exhibit in ALL) == sorted([*tables, *figures])
    assert [exhibit.number for exhibit in ALL][:6] == ["Table 1", "Table 2", "Table 3", "Table 4", "Figure 1", "Figure 3"]


@pytest.mark.parametrize("exhibit", ALL, ids=lambda exhibit: exhibit.number)
def test_without_any_run_the_paper_stands_alone(exhibit):
    made = exhibit.make([])
    assert made.missing and (made.tables or made.pictures or exhibit.number in ("Figure 5", "Figure 6", "Figure 7"))
    assert all(cell not in ("nan", "NaN") for table in made.tables for row in table.rows for cell in row)
