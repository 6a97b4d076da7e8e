"""The rows of an organ-wise table as numbers: for each structure and method the paper's, ours, and the difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from analysis.exhibits.match import paper_method
from analysis.exhibits.organs import pruning_rates, structure_scores
from analysis.exhibits.published import read
from analysis.groups import Group

MEAN = "Mean"
MEASURES = {"dsc": "DSC", "asd_mm": "ASD"}  # ours -> the paper's; DSC in percent, ASD in mm
PERCENT = {"dsc": 100, "asd_mm": 1}  # from our unit to the paper's
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
        name = self.method.replace("CLNet_", "CL-Net ").replace("nnUNet_", "nnU-Net ").replace("_unpruned", ", unpruned")
        return name.replace("_finetune", ", fine-tuned") + (f", {self.order}" if self.order else "")


def printed_rows(number: str) -> pd.DataFrame:
    """The paper's table `number` (`S12`): index (dataset, structure, method, order), with the order that results belong to (NOTES.md A1);
    columns `dsc`, `asd_mm`, their `_std`, and `rate_percent`."""
    rows = read(f"table{number}").rename(columns={"order_inferred": "order"}).fillna({"order": ""})
    keys = ["dataset", "structure", "method", "order"]
    columns = {}
    for ours, theirs in MEASURES.items():
        part = rows[rows["metric"] == theirs].set_index(keys, verify_integrity=True)
        columns |= {ours: part["mean"], f"{ours}_std": part["std"]}
    columns["rate_percent"] = rows.groupby(keys, sort=False)["pruning_T"].first()
    order = pd.MultiIndex.from_frame(rows[keys].drop_duplicates())
    return pd.DataFrame({name: column.astype(float).reindex(order) for name, column in columns.items()})


def entries(printed: pd.DataFrame, groups: Sequence[Group], also: Mapping[str, Sequence[str]]) -> list[Entry]:
    """The paper's columns in its order, each with the runs that repeat it, then those of `also` (column -> methods that the paper has not)."""
    found = []
    for method, order in printed.index.droplevel(["dataset", "structure"]).unique():
        column = printed.xs((method, order), level=("method", "order"))
        same = [Entry(method, order, group.name, column, structure_scores(group), pruning_rates(group))
                for group in groups if paper_method(group) == method and order in ("", group.first.identity["order"])]
        found += same or [Entry(method, order, printed=column)]
        found += [Entry(paper_method(group), order, group.name, None, structure_scores(group), pruning_rates(group)) for group in groups
                  if paper_method(group) in also.get(method, ()) and order in ("", group.first.identity["order"])]
    return found


def lines(printed: pd.DataFrame, columns: Sequence[Entry]) -> pd.DataFrame:
    """One row per structure and entry, structures in the paper's order; NaN where a number is not printed or not measured."""
    pairs = [pair for pair in printed.index.droplevel(["method", "order"]).unique() if pair[1] != MEAN]
    return pd.DataFrame([_line(entry, dataset, structure) for dataset, structure in pairs for entry in columns])


def _line(entry: Entry, dataset: str, structure: str) -> dict:
    key = (dataset, structure)
    theirs = entry.printed.loc[key] if entry.printed is not None and key in entry.printed.index else {}
    ours = entry.scores.loc[key] if entry.scores is not None and key in entry.scores.index else {}
    line = {"dataset": dataset, "structure": structure, "entry": str(entry), "method": entry.method, "order": entry.order, "run": entry.run}
    for measure, factor in PERCENT.items():
        values = {"paper": theirs.get(measure), "paper_std": theirs.get(f"{measure}_std"),
                  "ours": ours[measure] * factor if measure in ours else None,
                  "ours_std": ours[f"{measure}_std"] * factor if measure in ours else None, "n": ours.get(f"{measure}_n")}
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
        found.append(_with_differences(head | (_mean(have) if whole else {}) | paper))
        if len(have) and not whole:
            found.append(_with_differences(head | {"structure": f"{MEAN} of {len(have)} of {len(part)}"} | _mean(have)))
    return pd.DataFrame(found, columns=rows.columns)


def _mean(rows: pd.DataFrame) -> dict:
    values = {name: rows[name].mean() for name in ("dsc_paper", "dsc_ours", "rate_paper", "rate_ours")}
    both = rows[rows["asd_mm_ours"].notna() & (rows["asd_mm_paper"].notna() | rows["dsc_paper"].isna())]
    values |= {name: both[name].mean() for name in ("asd_mm_paper", "asd_mm_ours")}
    return values | {"dsc_n": len(rows), "asd_mm_n": len(both)} | {name: rows[name].sum() for name in COUNTS}


def _with_differences(line: dict) -> dict:
    def value(key: str) -> float:
        return np.nan if line.get(key) is None else line[key]

    return line | {f"{measure}_difference": value(f"{measure}_ours") - value(f"{measure}_paper") for measure in MEASURES}
