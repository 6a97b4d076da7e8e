"""The rows of an organ-wise table as numbers: for each structure and method the paper's, ours, and the difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from analysis.exhibits.match import method_name, paper_method
from analysis.exhibits.organs import pruning_rates, structure_scores
from analysis.exhibits.ours import SCORED
from analysis.groups import Group
from analysis.published import MEAN, results

WORDS = ("dataset", "structure", "entry", "method", "order", "run")
COUNTS = ("missed", "false_positive")


@dataclass(frozen=True)
class Entry:
    """One method in one order, as the paper has it, as we ran it, or both.

    printed: (dataset, structure) -> the paper's numbers (columns of `printed_rows`); scores, rates: of our runs, under `run`.
    """

    method: str
    order: str = ""
    run: str = ""
    printed: pd.DataFrame | None = None
    scores: pd.DataFrame | None = None
    rates: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return method_name(self.method) + (f", {self.order}" if self.order else "")


def printed_rows(number: str) -> pd.DataFrame:
    """The paper's table `number` (`S12`): index (dataset, structure, method, order), with the order that results belong to (NOTES.md A1),
    in the paper's sequence but orders in their own; columns `dsc` in [0, 1], `asd_mm`, their `_std`, and `rate_percent`."""
    keys = ["dataset", "structure", "method", "order"]
    rows = results(number)
    columns = {}
    for measure in SCORED:
        part = rows[rows["measure"] == measure].set_index(keys)
        columns |= {measure: part["value"], f"{measure}_std": part["std"]}
    columns["rate_percent"] = rows.groupby(keys, sort=False)["pruning_rate_percent"].first()
    index = pd.MultiIndex.from_frame(rows[keys].drop_duplicates().sort_values("order", kind="stable"))
    return pd.DataFrame({name: column.reindex(index) for name, column in columns.items()})


def entries(printed: pd.DataFrame, groups: Sequence[Group], also: Mapping[str, Sequence[str]]) -> list[Entry]:
    """The paper's columns in its order, each with the runs that repeat it, then those of `also` (column -> methods that the paper has not)
    that have scores for a row of the table."""
    found = []
    pairs = printed.index.droplevel(["method", "order"])
    for method, order in printed.index.droplevel(["dataset", "structure"]).unique():
        column = printed.xs((method, order), level=("method", "order"))
        ours = [(paper_method(group), group) for group in groups if order in ("", group.first.identity["order"])]
        same = [Entry(method, order, group.name, column, structure_scores(group), pruning_rates(group))
                for name, group in ours if name == method]
        near = [Entry(name, order, group.name, None, structure_scores(group), pruning_rates(group))
                for name, group in ours if name in also.get(method, ())]
        found += [*(same or [Entry(method, order, printed=column)]), *(entry for entry in near if entry.scores.index.isin(pairs).any())]
    return found


def lines(printed: pd.DataFrame, columns: Sequence[Entry]) -> pd.DataFrame:
    """One row per structure and entry, structures in the paper's order; NaN where a number is not printed or not measured."""
    pairs = [pair for pair in printed.index.droplevel(["method", "order"]).unique() if pair[1] != MEAN]
    found = pd.DataFrame([_line(entry, dataset, structure) for dataset, structure in pairs for entry in columns])
    return found.astype({name: float for name in found.columns.drop(list(WORDS))})


def _line(entry: Entry, dataset: str, structure: str) -> dict:
    key = (dataset, structure)
    theirs = entry.printed.loc[key] if entry.printed is not None and key in entry.printed.index else {}
    ours = entry.scores.loc[key] if entry.scores is not None and key in entry.scores.index else {}
    line = {"dataset": dataset, "structure": structure, "entry": str(entry), "method": entry.method, "order": entry.order, "run": entry.run}
    for measure in SCORED:
        values = {"paper": theirs.get(measure), "paper_std": theirs.get(f"{measure}_std"), "ours": ours.get(measure),
                  "ours_std": ours.get(f"{measure}_std"), "n": ours.get(f"{measure}_n")}
        line |= {f"{measure}_{name}": value for name, value in values.items()}
    line |= {"rate_paper": theirs.get("rate_percent"), "rate_ours": entry.rates.get(structure) if len(ours) else None}
    return _with_differences(line | {name: ours.get(name) for name in COUNTS})


def means(printed: pd.DataFrame, columns: Sequence[Entry], rows: pd.DataFrame) -> pd.DataFrame:
    """Below the structures, for each entry: the mean that the paper prints beside ours, where we have every structure; else also a row
    with the means over the structures that both have (that we have, where the paper has no such method). n: structures."""
    found = []
    for index, entry in enumerate(columns):
        part = rows.iloc[index::len(columns)]
        have = part[part["dsc_ours"].notna() & (part["dsc_paper"].notna() | (entry.printed is None))]
        head = {"dataset": "", "structure": MEAN, "entry": str(entry), "method": entry.method, "order": entry.order, "run": entry.run}
        last = entry.printed[entry.printed.index.get_level_values("structure") == MEAN] if entry.printed is not None else ()
        theirs = last.iloc[0] if len(last) else {}
        paper = {f"{name}_paper": theirs.get(key) for name, key in (("dsc", "dsc"), ("asd_mm", "asd_mm"), ("rate", "rate_percent"))}
        whole = len(have) == len(part)
        if whole or entry.printed is not None:
            found.append(_with_differences(head | (_mean(have) if whole else {}) | paper))
        if len(have) and not whole:
            found.append(_with_differences(head | {"structure": f"{MEAN} of {len(have)} of {len(part)}"} | _mean(have)))
    return pd.DataFrame(found, columns=rows.columns).astype(rows.dtypes)


def _mean(rows: pd.DataFrame) -> dict:
    values = {name: rows[name].mean() for name in ("dsc_paper", "dsc_ours", "rate_paper", "rate_ours")}
    both = rows[rows["asd_mm_ours"].notna() & (rows["asd_mm_paper"].notna() | rows["dsc_paper"].isna())]
    values |= {name: both[name].mean() for name in ("asd_mm_paper", "asd_mm_ours")}
    return values | {"dsc_n": len(rows), "asd_mm_n": len(both)} | {name: rows[name].sum() for name in COUNTS}


def _with_differences(line: dict) -> dict:
    def value(key: str) -> float:
        return np.nan if line.get(key) is None else line[key]

    return line | {f"{measure}_difference": value(f"{measure}_ours") - value(f"{measure}_paper") for measure in SCORED}
