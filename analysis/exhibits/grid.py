"""A table in the paper's layout: methods in rows, below each our runs and the difference; and a second one with what lies behind ours."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pandas as pd

from analysis.exhibits.ours import COUNTS
from analysis.render import DASH, Table, number, signed
from analysis.spread import SEEDS

PAPER = "paper"  # the source of printed numbers
DIFFERENCE = "difference"  # each row names its method and run, so that rows can be sorted
LEGEND = ("Below the paper's numbers ours, where a run repeats the method, and the difference (ours minus the paper's). Bold: the best "
          "of a column, among the paper's and, where there are several, among ours.")
DETAIL_LEGEND = ("Means over cases, then over the n of all (dataset, structure) pairs that have a value. SD: standard deviation over cases "
                 "of each case's mean over its structures. missed (nothing predicted: DSC 0, no distance), fp (predicted where the "
                 "reference is empty), left out (of the DSC mean): counts of case-structure pairs.")


@dataclass(frozen=True)
class Measure:
    """How a measure is shown: its words, decimals as the paper prints them, and what one of our units is in the paper's."""

    words: str
    digits: int
    factor: float = 1.0
    lower_is_better: bool = True
    note: str | None = None


MEASURES = {
    "dsc": Measure("DSC (%)", 1, 100.0, lower_is_better=False),
    "asd_mm": Measure("ASD (mm)", 2),
    "nominal_share_sum": Measure("sum T' (%)", 1, 100.0,
                                 note="sum T': sum over decoders of the share 1 - T that pruning left; 100 %: one full decoder."),
    "nominal_parameters_m": Measure("parameters (M)", 1, note="parameters: the paper's count, 15.65 M x the share 1 - T that pruning left, "
                                    "summed over decoders, and 15.65 M for the encoder; ours counted alike."),
    "height_mm": Measure("height (mm)", 0, note="height, labels: what a linear map reads out of frozen features: mean error, share."),
    "tissue": Measure("labels (%)", 0, lower_is_better=False),
}
CELLS = ("row", "source", "place", "measure", "value", "std", "cases_std", "n", "pairs", "cases", *COUNTS, "runs")


@dataclass(frozen=True)
class Column:
    """One column: a place (dataset, body group, structure, order), a measure, and the words above it."""

    place: str
    measure: str
    header: str


def grid(name: str, title: str, cells: pd.DataFrame, columns: Sequence[Column], notes: Sequence[str] = (),
         unranked: Collection[str] = ()) -> Table:
    """`cells` (columns CELLS; source: PAPER or a run's name) in the paper's layout.

    unranked: rows that are no candidates for the best of a column. The CSV holds the cells of these columns in our units.
    """
    wanted = pd.MultiIndex.from_tuples([(column.place, column.measure) for column in columns])
    cells = cells[pd.MultiIndex.from_frame(cells[["place", "measure"]]).isin(wanted)]
    found = {key: part.iloc[0] for key, part in cells.groupby(["row", "source", "place", "measure"], sort=False)}
    rows, values = [], []  # values: (row, source) -> one number a column, as shown
    for row in cells["row"].unique():
        for source in sorted(cells.loc[cells["row"] == row, "source"].unique(), key=lambda name: name != PAPER):
            line = [found.get((row, source, column.place, column.measure)) for column in columns]
            rows.append((row, source, *(_cell(cell, MEASURES[column.measure]) for cell, column in zip(line, columns, strict=True))))
            values.append((row, source, [_shown(cell, column) for cell, column in zip(line, columns, strict=True)]))
            printed = [_shown(found.get((row, PAPER, column.place, column.measure)), column) for column in columns]
            if source == PAPER or all(map(pd.isna, printed)):
                continue
            differences = [ours - theirs for ours, theirs in zip(values[-1][2], printed, strict=True)]
            rows.append((row, f"{source}, {DIFFERENCE}", *(signed(value, MEASURES[column.measure].digits)
                                                           for value, column in zip(differences, columns, strict=True))))
            values.append((row, DIFFERENCE, []))
    used = dict.fromkeys(column.measure for column in columns)
    explained = [*(MEASURES[measure].note for measure in used), SEEDS if (cells["runs"] > 1).any() else None]
    return Table(name, title, ("method", "results", *(column.header for column in columns)), tuple(rows), cells,
                 tuple(filter(None, (LEGEND, *explained, *notes))), bold=_best(values, columns, unranked))


def details(name: str, title: str, cells: pd.DataFrame) -> Table | None:
    """One row per row, run and place of ours that is scored: mean, standard deviation over cases, n and counts; None without any."""
    ours = cells[(cells["source"] != PAPER) & cells["pairs"].notna()]
    rows = []
    for (row, source, place), part in ours.groupby(["row", "source", "place"], sort=False):
        by_measure = part.set_index("measure")
        first = part.iloc[0]
        scores = []
        for key in ("dsc", "asd_mm"):
            measure, cell = MEASURES[key], by_measure.loc[key]
            scores += [_cell(cell, measure), number(cell["cases_std"] * measure.factor, measure.digits),
                       f"{number(cell['n'], 0)} of {number(cell['pairs'], 0)}"]
        rows.append((row, source, place, number(first["cases"], 0), *scores, *(number(first[count], 0) for count in COUNTS)))
    if not rows:
        return None
    header = ("method", "run", "of", "cases", "DSC (%)", "SD", "n", "ASD (mm)", "SD", "n", "missed", "fp", "left out")
    return Table(name, title, header, tuple(rows), ours, (DETAIL_LEGEND,))


def _shown(cell: pd.Series | None, column: Column) -> float:
    """The value in the paper's unit, rounded as it is shown."""
    measure = MEASURES[column.measure]
    return float("nan") if cell is None else round(cell["value"] * measure.factor, measure.digits)


def _cell(cell: pd.Series | None, measure: Measure) -> str:
    if cell is None:
        return DASH
    of_runs = cell["source"] != PAPER and pd.notna(cell["std"])
    spread = f" \N{PLUS-MINUS SIGN} {number(cell['std'] * measure.factor, measure.digits)}" if of_runs else ""
    return number(cell["value"] * measure.factor, measure.digits) + spread


def _best(values: Sequence[tuple[str, str, list[float]]], columns: Sequence[Column],
          unranked: Collection[str]) -> frozenset[tuple[int, int]]:
    """(row, column) of the best of each column among the paper's rows, and among ours where there are several."""
    found = set()
    for theirs in (True, False):
        lines = [(index, line) for index, (row, source, line) in enumerate(values)
                 if source != DIFFERENCE and (source == PAPER) == theirs and row not in unranked]
        for position, column in enumerate(columns):
            known = [(line[position], index) for index, line in lines if pd.notna(line[position])]
            best = (min if MEASURES[column.measure].lower_is_better else max)([value for value, _ in known], default=None)
            found |= {(index, position + 2) for value, index in known if value == best and len(known) > 1}
    return frozenset(found)
