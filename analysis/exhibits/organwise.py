"""One organ-wise table of the paper with ours in it: text, notes, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import pandas as pd

from analysis.exhibit import Exhibit, Made
from analysis.exhibits import doubtful
from analysis.exhibits.grid import MEASURES, Measure
from analysis.exhibits.match import is_stand_in, why_absent
from analysis.exhibits.organ_rows import COUNTS, Entry, entries, lines, means, printed_rows
from analysis.exhibits.ours import SCORED
from analysis.groups import Group
from analysis.paper import caveat
from analysis.published import MEAN
from analysis.render import DASH, Table, number, signed

HEADER = ("structure", "method", "our run", "DSC % paper", "ours", "diff.", "n", "ASD mm paper", "ours", "diff.", "n", "T % paper", "ours",
          "missed", "fp")
LEGEND = ("Mean \N{PLUS-MINUS SIGN} standard deviation over cases, after the last step; diff.: ours minus the paper's. n: cases in our "
          "mean, in the rows of means structures. missed: nothing predicted, DSC 0 and no distance; fp: predicted where the reference is "
          "empty. T: share of weights that pruning removed from the structure's decoder.")
AS_PRINTED = {name: MEASURES[name] for name in SCORED}
NOT_MADE = {"CLNet_U36_finetune": "CL-Net U36, fine-tuned: no experiment tunes a finished universal model on single datasets."}
SPREADS = "The paper's standard deviations hardly differ between methods: they are for display, not for tests."


@dataclass(frozen=True)
class OrganTable:
    """What sets one of Tables S12 to S48 apart. number: `S12`; also: a method of the paper's -> ours that stand below it, without a number
    of the paper's."""

    number: str
    title: str
    commands: tuple[str, ...]
    also: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def exhibit(self) -> Exhibit:
        """The table as one of the paper's."""
        return Exhibit(f"Table {self.number}", self.title, self.commands, partial(make, self))


def make(spec: OrganTable, groups: Sequence[Group]) -> Made:
    """The table of `spec` from the paper's numbers and these runs."""
    printed = printed_rows(spec.number)
    columns = entries(printed, groups, spec.also)
    rows = lines(printed, columns)
    below = means(printed, columns, rows) if rows["structure"].nunique() > 1 else rows.iloc[:0]
    data = pd.concat([frame for frame in (rows, below) if len(frame)], ignore_index=True)
    data["doubt"] = [doubtful.marks(spec.number, row.method, row.structure) if pd.notna(row.dsc_paper) else "" for row in data.itertuples()]
    several = rows["dataset"].nunique() > 1
    names = data["structure"] + (" (" + data["dataset"] + ")").where(several & data["dataset"].ne(""), "")
    names = names.mask(names.eq(names.shift()), "")  # each name once
    used = {group.name: group for group in groups if group.name in {entry.run for entry in columns}}
    stand_ins = [dataset for group in used.values() if is_stand_in(group.first) for dataset in group.first.learned_at]
    notes = [LEGEND, SPREADS, *doubtful.notes(spec.number), *_unlike_rows(printed)]
    notes += [caveat(stand_ins)] if used else []
    table = Table(f"table_{spec.number}", f"Table {spec.number}: {spec.title}", HEADER,
                  tuple(_cells(row, name) for name, (_, row) in zip(names, data.iterrows(), strict=True)), data, tuple(notes),
                  frozenset(range(len(rows), len(data))))
    return Made((table,), missing=tuple(_missing(spec, columns, rows)))


def _cells(row: pd.Series, name: str) -> tuple[str, ...]:
    cells = [name, row["entry"], row["run"] or DASH]
    for name_of, measure in AS_PRINTED.items():
        mark = f" [{row['doubt']}]" if name_of == "dsc" and row["doubt"] else ""
        cells += [_spread(row, f"{name_of}_paper", measure) + mark, _spread(row, f"{name_of}_ours", measure),
                  signed(measure.factor * row[f"{name_of}_difference"], measure.digits), number(row[f"{name_of}_n"], 0)]
    return (*cells, number(row["rate_paper"], 1), number(row["rate_ours"], 1), *(number(row[name], 0) for name in COUNTS))


def _spread(row: pd.Series, name: str, measure: Measure) -> str:
    spread = row[f"{name}_std"]
    text = number(measure.factor * row[name], measure.digits)
    return text if pd.isna(spread) else f"{text} \N{PLUS-MINUS SIGN} {number(measure.factor * spread, measure.digits)}"


def _unlike_rows(printed: pd.DataFrame) -> list[str]:
    """A note on the printed means that cannot be those of the printed rows, whatever the rounding."""
    words = []
    for (method, order), part in printed.groupby(level=["method", "order"], sort=False):
        is_mean = part.index.get_level_values("structure") == MEAN
        for name, measure in AS_PRINTED.items():
            mean, of_rows = measure.factor * part.loc[is_mean, name].max(), measure.factor * part.loc[~is_mean, name].mean()
            if abs(mean - of_rows) > 1.01 * 10**-measure.digits:  # half a unit of the last digit for the mean, half for the rows
                words.append(f"{Entry(method, order)} {measure.words} {number(mean, measure.digits)} ({number(of_rows, measure.digits)})")
    return [f"Means that the paper's rows do not give (in brackets what they give): {'; '.join(words)}."] if words else []


def _missing(spec: OrganTable, columns: Sequence[Entry], rows: pd.DataFrame) -> list[str]:
    absent = [entry for entry in columns if entry.printed is not None and not entry.run]
    words = [str(entry) for entry in absent if why_absent(entry.method) is None and entry.method not in NOT_MADE]
    found = [f"No run repeats: {'; '.join(words)}."] if words else []
    found += [NOT_MADE.get(entry.method) or why_absent(entry.method) for entry in absent if str(entry) not in words]
    for index, entry in enumerate(columns):
        part = rows.iloc[index::len(columns)]
        have = part["dsc_ours"].notna().sum()
        if entry.run and have < len(part):
            found.append(f"{entry.run} has scores for {have} of the {len(part)} structures.")
    return list(dict.fromkeys(found))
