"""A table of the paper's that compares methods, as one value: what the paper printed, which runs belong in it, and where."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import pandas as pd

from analysis.exhibit import Exhibit, Made
from analysis.exhibits.grid import CELLS, PAPER, Column, details, grid
from analysis.exhibits.match import UNPRUNED, method_name, paper_method, why_absent
from analysis.exhibits.ours import Places, Sizes, measured, source_name
from analysis.groups import Group
from analysis.paper import caveat


@dataclass(frozen=True)
class Layout:
    """number: as in `Table 2`; printed: the paper's cells (see `paper_cells`); row_of: the row that a group of runs stands in, None for one
    that has no place here; places, sizes: what is taken of a run; grids: a title and columns for each table; unranked: rows that are not
    compared; summarise: adds cells that are made of other cells; absent: a row of the paper's -> why no run can fill it, or None.
    """

    number: str
    title: str
    commands: tuple[str, ...]
    printed: Callable[[], pd.DataFrame]
    row_of: Callable[[Group], str | None]
    places: Places
    grids: tuple[tuple[str, tuple[Column, ...]], ...]
    sizes: Sizes | None = None
    notes: tuple[str, ...] = ()
    unranked: tuple[str, ...] = ()
    source_of: Callable[[Group, str], str] = field(default=lambda group, row: source_name(group))
    summarise: Callable[[pd.DataFrame], pd.DataFrame] = field(default=lambda cells: cells)
    absent: Callable[[str], str | None] = field(default=lambda row: None)

    @property
    def exhibit(self) -> Exhibit:
        """The table as one of the paper's."""
        return Exhibit(f"Table {self.number}", self.title, self.commands, partial(make, self))


def make(layout: Layout, groups: Sequence[Group]) -> Made:
    """The tables of `layout` from the paper's numbers and these runs, and what no run filled."""
    found = [(group, layout.row_of(group), measured(group, layout.places, layout.sizes)) for group in groups
             if layout.row_of(group) is not None]
    found = [(group, row, part) for group, row, part in found if len(part)]
    ours = [part.assign(row=row, source=layout.source_of(group, row)) for group, row, part in found]
    cells = layout.summarise(pd.concat([layout.printed(), *ours], ignore_index=True).reindex(columns=list(CELLS)))
    caveats = [caveat(sorted({name for group, *_ in found for name in group.first.learned_at}))] if found else []
    name, title = f"table_{layout.number}", f"Table {layout.number}: {layout.title}"
    tables = [grid(f"{name}_{index}" if index else name, f"{title}, {words}", cells, columns,
                   (*(layout.notes if not index else ()), *caveats), layout.unranked)
              for index, (words, columns) in enumerate(layout.grids)]
    behind = details(f"{name}_details", f"Behind our rows of Table {layout.number}", cells)
    return Made((*tables, *([behind] if behind else [])), missing=tuple(_missing(layout, cells)))


def _missing(layout: Layout, cells: pd.DataFrame) -> list[str]:
    headers = {column.place: column.header for _, columns in reversed(layout.grids) for column in columns}
    printed, ours = (cells[(cells["source"] == PAPER) == theirs].groupby("row", sort=False)["place"].unique() for theirs in (True, False))
    empty = [row for row in printed.index if row not in ours.index]
    reasons = {row: layout.absent(row) for row in empty}
    waiting = [row for row in empty if reasons[row] is None]
    found = list(dict.fromkeys(filter(None, reasons.values()))) + ([f"No run repeats: {'; '.join(waiting)}."] if waiting else [])
    for row, places in ours.items():
        rest = [headers[place] for place in printed.get(row, ()) if place not in places and place in headers]
        found += [f"{row}: no run has {', '.join(rest)}."] if rest else []
    return found


def paper_cells(rows: pd.DataFrame, row: pd.Series, place: pd.Series) -> pd.DataFrame:
    """Cells out of rows of `published.results`: each one's row and place of the table; its std is over cases and not shown."""
    return rows[["measure", "value", "std"]].assign(row=row, place=place, source=PAPER, runs=0)


def row_of_method(group: Group, printed: Sequence[str], also: Sequence[str] = ()) -> str | None:
    """The row of the method that a group repeats: unpruned runs stand in the pruned method's where the paper has no unpruned one.

    also: methods that have no row in the paper's table and get one of their own.
    """
    method = paper_method(group)
    if method is None:
        return None
    for name in (method, method.removesuffix(UNPRUNED)):
        if name in printed:
            return method_name(name)
    return method_name(method) if method.removesuffix(UNPRUNED) in also else None


def source_of_method(group: Group, row: str) -> str:
    """The name of a group, and `unpruned` where it is and its row does not say so."""
    return source_name(group, "unpruned" if (paper_method(group) or "").endswith(UNPRUNED) and "unpruned" not in row else "")


def absent_method(methods: Sequence[str], row: str) -> str | None:
    """`why_absent` of the method whose name a row has, or begins with before a comma."""
    return next((why_absent(method) for method in methods if f"{row},".startswith(f"{method_name(method)},")), None)
