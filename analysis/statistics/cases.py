"""The values that statistics resample and compare: after the last step, one per dataset, case and structure, the mean over seeds."""

from __future__ import annotations

import pandas as pd

from analysis.aggregate import final_rows
from analysis.groups import Group

LEVELS = ["dataset", "case", "structure"]


def case_values(scores: pd.DataFrame, value: str = "dsc", stage: str | None = None) -> pd.Series:
    """`value` by (dataset, case, structure) of the datasets that the order learned; rows without a value are left out.

    scores: of one run, or of several seeds below each other, whose values are averaged: seeds share their test cases, so they are no
    further cases.
    """
    return final_rows(scores, stage).dropna(subset=value).groupby(LEVELS, sort=True)[value].mean()


def pooled_values(groups: list[Group], value: str = "dsc") -> pd.Series:
    """The same, averaged over groups whose orders end with the same datasets, each in its final stage."""
    return pd.concat([case_values(group.scores, value, group.first.stage) for group in groups]).groupby(level=LEVELS, sort=True).mean()
