"""What compared runs were asked for: the settings in which they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from analysis.groups import Group
from analysis.render import Table

_WIDEST = 48  # characters of a cell; the CSV holds the whole value
_TERMINAL_ROWS = 30


def settings_table(groups: Sequence[Group], folders: Sequence[Path], differences: Mapping[str, Sequence[str]]) -> Table:
    """One row per setting, one column per name. differences: setting -> its value in each of `folders`, in their order.

    Where the runs of one name differ themselves, as by their seeds, a cell holds all their values.
    """
    position = {Path(folder): index for index, folder in enumerate(folders)}
    lines = [(key, *(", ".join(dict.fromkeys(values[position[run.folder]] for run in group.runs)) for group in groups))
             for key, values in differences.items()]
    header = ("setting", *(group.name for group in groups))
    rows = tuple((line[0], *map(_cut, line[1:])) for line in lines)
    note = ("Settings that numbers depend on and that are not the same in all runs; a branch that some runs lack is one row."
            if lines else "The runs do not differ in any setting that numbers depend on.")
    data = pd.DataFrame(lines, columns=list(header))
    return Table("comparison_settings", "Settings in which the runs differ", header, rows, data, (note,))


def for_terminal(table: Table) -> Table:
    """Its first rows, and how many more there are."""
    more = len(table.rows) - _TERMINAL_ROWS
    notes = (*table.notes, *([f"{more} more are on the page."] if more > 0 else []))
    return replace(table, rows=table.rows[:_TERMINAL_ROWS], notes=notes)


def _cut(value: str) -> str:
    return value if len(value) <= _WIDEST else value[: _WIDEST - 1] + "\N{HORIZONTAL ELLIPSIS}"
