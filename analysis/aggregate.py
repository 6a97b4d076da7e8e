"""From one row per case to means: over cases per (dataset, structure), then over structures per dataset, or over all pairs.

A case is in a mean where the evaluation's policy gave it a value (by default a missed structure has DSC 0 and no distance, and an
empty reference has neither). Whatever is left out is counted: `<value>_n` and the count of each status stand beside every mean.
"""

from __future__ import annotations

import pandas as pd

from analysis.columns import STATUSES, VALUES
from analysis.load import learned_at, main_stage


def by_structure(scores: pd.DataFrame, stage: str | None = None) -> pd.DataFrame:
    """Index (step, dataset, structure); for each value its mean, `_std` and `_n` over cases, then counts of cases: `rows`,
    `left_out` (without a DSC, whatever the status) and each status. Of one stage alone: by default the final one of `scores`."""
    part = scores[scores["stage"] == (stage or main_stage(scores))].sort_values("step", kind="stable")
    groups = part.groupby(["step", "dataset", "structure"], sort=False)
    columns = {}
    for value in VALUES:
        columns |= {value: groups[value].mean(), f"{value}_std": groups[value].std(), f"{value}_n": groups[value].count()}
    columns["rows"] = groups.size()
    columns["left_out"] = columns["rows"] - columns["dsc_n"]
    for status in STATUSES:
        columns[status] = (part["status"] == status).groupby([part["step"], part["dataset"], part["structure"]], sort=False).sum()
    return pd.DataFrame(columns)


def by_dataset(structures: pd.DataFrame) -> pd.DataFrame:
    """Index (step, dataset); the mean over structures of each value, `_n` structures with one, `structures` in all, summed counts."""
    return _pooled(structures, ["step", "dataset"])


def by_step(structures: pd.DataFrame) -> pd.DataFrame:
    """Index step; the mean over all (dataset, structure) pairs, with the same columns as `by_dataset`."""
    return _pooled(structures, ["step"])


def final_mean(scores: pd.DataFrame, stage: str | None = None) -> pd.Series:
    """The headline: after the last step, the mean over all (dataset, structure) pairs of the datasets that the order learned.

    `dsc` of it is the `final mean DSC`. Datasets evaluated without being learned (external ones) have means of their own.
    """
    learned = scores[scores["dataset"].isin(learned_at(scores))]
    return by_step(by_structure(learned, stage or main_stage(scores))).iloc[-1]


def final_rows(scores: pd.DataFrame, stage: str | None = None) -> pd.DataFrame:
    """The rows of one stage (by default the final one) after the last step, of the datasets that the order learned."""
    return scores[scores["dataset"].isin(learned_at(scores)) & (scores["step"] == scores["step"].max())
                  & (scores["stage"] == (stage or main_stage(scores)))]


def _pooled(structures: pd.DataFrame, levels: list[str]) -> pd.DataFrame:
    groups = structures.groupby(level=levels, sort=False)
    columns = {}
    for value in VALUES:
        columns |= {value: groups[value].mean(), f"{value}_n": groups[value].count()}
    columns["structures"] = groups.size()
    for count in ("rows", "left_out", *STATUSES):
        columns[count] = groups[count].sum()
    return pd.DataFrame(columns)
