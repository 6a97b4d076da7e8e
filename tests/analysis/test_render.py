"""One small table in every form."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from analysis.render import Table, html, latex, markdown, number, signed, text, text_width, write

TABLE = Table("small", "A title", ("structure", "S0"), (("Lung_L", "0.9 (n=4)"), ("a|b<c", "\N{EN DASH} (n=0)"), ("mean", "0.900 (n=1)")),
              pd.DataFrame({"structure": ["Lung_L", "a|b<c"], "dsc": [0.9, math.nan]}), ("* note of 100 %",), frozenset({2}))


@pytest.mark.parametrize(("value", "shown"), [(0.8749, "0.875"), (math.nan, "\N{EN DASH}"), (None, "\N{EN DASH}"), (-0.0001, "0.000"),
                                              (-0.25, "-0.250")])
def test_number(value, shown):
    assert number(value) == shown


@pytest.mark.parametrize(("value", "shown"), [(0.25, "+0.25"), (-0.25, "-0.25"), (0.001, "0.00"), (-0.001, "0.00"),
                                              (math.nan, "\N{EN DASH}")])
def test_a_difference_has_its_sign(value, shown):
    assert signed(value, 2) == shown


def test_text_is_aligned_and_no_wider_than_asked():
    lines = text(TABLE).splitlines()
    assert "Lung_L     0.9 (n=4)" in lines
    assert lines[-1] == TABLE.notes[0]
    long = Table("long", "title", ("structure", "S0"), (("x" * 200, "0.9"),), TABLE.data)
    assert max(map(len, text(long, 60).splitlines())) == 60
    assert text_width(long) == 200 + 2 + 3


def test_markdown_keeps_its_columns():
    lines = markdown(TABLE).splitlines()
    assert r"| a\|b<c | – (n=0) |" in lines
    assert "| **mean** | **0.900 (n=1)** |" in lines
    assert r"\* note of 100 %" in lines  # no bullet


def test_latex_is_booktabs_with_everything_escaped():
    code = latex(TABLE)
    assert r"Lung\_L & 0.9 (n=4) \\" in code and r"a|b\textless{}c & -- (n=0) \\" in code and r"100 \%" in code
    assert [code.count(rule) for rule in (r"\toprule", r"\midrule", r"\bottomrule")] == [1, 2, 1]
    assert code.count("{") == code.count("}")


def test_html_escapes():
    code = html(TABLE)
    assert "<td>a|b&lt;c</td>" in code and "<tr class=summary><td>mean</td>" in code


def test_bold_cells_in_every_form():
    table = Table("best", "title", ("method", "DSC_%"), (("a", "0.9"), ("b", "0.8")), pd.DataFrame(), bold=frozenset({(0, 1)}))
    assert "| a | **0.9** |" in markdown(table) and "| b | 0.8 |" in markdown(table)
    assert r"a & \textbf{0.9} \\" in latex(table) and r"b & 0.8 \\" in latex(table) and r"method & DSC\_\% \\" in latex(table)
    assert "<td>a</td><td><b>0.9</b></td>" in html(table) and "<td>0.8</td>" in html(table)


def test_csv_holds_numbers_and_empty_cells(tmp_path):
    write(TABLE, tmp_path)
    assert (tmp_path / "small.csv").read_text().splitlines() == ["structure,dsc", "Lung_L,0.9", "a|b<c,"]
    assert (tmp_path / "small.md").exists() and (tmp_path / "small.tex").exists()
