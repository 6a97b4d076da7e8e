"""The values that statistics resample and compare: after the last step, one per dataset, case and structure."""

from __future__ import annotations

import pandas as pd

from analysis.aggregate import final_rows


def case_values(scores: pd.DataFrame, value: str = "dsc", stage: str | None = None) -> pd.Series:
    """`value` by (dataset, case, structure) of the datasets that the order learned; rows without a value are left out.

    scores: of one run, or of several seeds below each other, whose values are averaged: seeds share their test cases, so they are no
    further cases.
    """
    return final_rows(scores, stage).dropna(subset=value).groupby(["dataset", "case", "structure"], sort=True)[value].mean()
