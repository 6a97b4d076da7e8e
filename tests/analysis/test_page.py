"""Pages: tables that sort, in a real browser; what may be overwritten."""

from __future__ import annotations

import pandas as pd
import pytest

from analysis.page import check_output, page
from analysis.render import Table, html
from clnet.errors import UsageError

# Cells of a column, in an order that is neither up nor down, and where each belongs when numbers go up.
CELLS = {"0.87 ± 0.01 (n=4)": 4, "–": 9, "12,345": 7, "all": 10, "−0.3": 0, "not run": 8, "0.10 n4 m1": 2, "98.2 %": 6, "<0.001": 1,
         "+0.9": 5, "0.5 (n=3, missed 1)": 3}
CLICK = """
const headers = document.querySelectorAll('th'), click = (i) => headers[i].querySelector('button').click();
const column = (i) => [...document.querySelectorAll('td')].filter((_, j) => j % 2 == i).map((cell) => cell.textContent);
"""


def sortable(names: list[str], values: list[str], summary: frozenset[int] = frozenset()) -> str:
    table = Table("t", "T", ("name", "value"), tuple(zip(names, values, strict=True)), pd.DataFrame(), (), summary)
    return page("T", html(table))


def test_numbers_sort_as_numbers_and_undefined_ones_come_last(in_browser):
    cells = list(CELLS)
    source = sortable([str(index) for index in range(len(cells))], cells, frozenset({cells.index("all")}))
    once, twice, thrice, states = in_browser(source, CLICK + "const found = [], states = []; for (let i = 0; i < 3; i++) { click(1); "
                                             "found.push(column(1)); states.push(headers[1].ariaSort) } return [...found, states]")
    assert once == sorted(cells, key=CELLS.get)
    numbers = sorted(cells, key=CELLS.get)[:8]
    assert twice == [*reversed(numbers), "not run", "–", "all"]
    assert thrice == cells and states == ["ascending", "descending", "none"]


def test_names_sort_with_their_numbers_and_hashes_as_text(in_browser):
    names, hashes = ["Bone_Rib10_L", "Bone_Rib2_L", "Aorta"], ["76b9432b =", "0d2c16aa trained", "cbdc0fa6 ="]
    assert in_browser(sortable(names, hashes), CLICK + "click(0); const first = column(0); click(1); "
                      "return [first, column(1), headers[0].ariaSort]") == [
        ["Aorta", "Bone_Rib2_L", "Bone_Rib10_L"], ["0d2c16aa trained", "76b9432b =", "cbdc0fa6 ="], "none"]


def test_a_group_keeps_its_name_when_its_rows_part(in_browser):
    script = CLICK + "click(1); const sorted = column(0); click(1); click(1); return [sorted, column(0)]"
    names, values = ["Liver", "", "Heart", ""], ["3", "1", "2", "4"]
    assert in_browser(sortable(names, values), script) == [["Liver", "Heart", "Liver", "Heart"], names]
    # summary rows that head groups are rows like others
    assert in_browser(sortable(list("abcd"), values, frozenset({0, 2})), script)[0] == list("bcad")


def test_headers_are_reached_by_the_keyboard(in_browser):
    found = in_browser(sortable(["a", "b"], ["1", "2"]), "const button = document.querySelector('th button'); button.focus(); "
                       "return [document.activeElement === button, button.tabIndex, button.textContent, "
                       "document.querySelectorAll('th[aria-sort=none]').length]")
    assert found == [True, 0, "name", 2]


def test_a_wide_table_does_not_widen_a_narrow_page(in_browser):
    source = sortable(["a" * 80, "b"], ["1" * 90, "2"])
    script = "const { scrollWidth, clientWidth } = document.documentElement; " \
             "return [scrollWidth - clientWidth, document.querySelector('table').offsetWidth]"
    beyond, wide = in_browser(source, script, width=420)
    assert beyond == 0 and wide > 1000


def test_cells_with_an_address_become_links():
    table = Table("t", "T", ("run", "n"), (("a<b", "1"), ("c", "2")), pd.DataFrame())
    found = html(table, {"a<b": "#run-a-b"})
    assert "<td><a href='#run-a-b'>a&lt;b</a></td><td>1</td>" in found and "<td>c</td>" in found


def test_only_an_earlier_page_is_written_over(tmp_path):
    check_output(tmp_path / "new", "index.html", "page")
    check_output(tmp_path, "index.html", "page")
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UsageError, match="holds something else"):
        check_output(tmp_path, "index.html", "page")
    with pytest.raises(UsageError, match="is a file"):
        check_output(tmp_path / "thesis.tex", "index.html", "page")
    (tmp_path / "index.html").touch()
    check_output(tmp_path, "index.html", "page")
