"""Two methods on the same cases: Wilcoxon's signed-rank test, its effect size, Cohen's d_z, and Holm's correction over comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

DIGITS = 12  # differences below this are rounding, hence ties


@dataclass(frozen=True)
class Paired:
    """First minus second method over `cases`, of which `differing` differ; positive where the first is better.

    p_value is two-sided; the test and the effect sizes are NaN where they are undefined: no case differs, or none is shared.
    """

    cases: int
    differing: int
    mean_difference: float
    p_value: float
    rank_biserial: float
    cohens_dz: float


def compare_by_case(first: pd.Series, second: pd.Series, *, lower_is_better: bool = False) -> Paired:
    """The paired comparison over the cases that both methods have.

    first, second: by (dataset, case, structure), as `case_values` returns them. A case counts once, with its mean over the structures
    that both have a value for. Cases without a difference are left out of the test.
    Source: Wilcoxon 1945, by scipy.stats.wilcoxon (exact for up to 50 cases without ties).
    """
    both = pd.concat({"first": first, "second": second}, axis=1, join="inner").dropna()
    means = both.groupby(level=["dataset", "case"]).mean()
    change = (means["first"] - means["second"]).to_numpy().round(DIGITS) * (-1 if lower_is_better else 1)
    differing = change[change != 0]
    p_value = float(stats.wilcoxon(differing).pvalue) if differing.size else np.nan
    return Paired(len(change), len(differing), float(change.mean()) if change.size else np.nan, p_value, rank_biserial(change),
                  cohens_dz(change))


def rank_biserial(change: np.ndarray) -> float:
    """(W+ - W-) / (W+ + W-) of the rank sums of positive and negative changes, in [-1, 1]; zeros are left out, ties share ranks.

    Source: Kerby 2014 (simple difference formula), for matched pairs.
    """
    differing = change[change != 0]
    if not differing.size:
        return np.nan
    ranks = stats.rankdata(np.abs(differing))
    return float((ranks * np.sign(differing)).sum() / ranks.sum())


def cohens_dz(change: np.ndarray) -> float:
    """Mean change by its standard deviation (n - 1); NaN for fewer than two cases, and where all change alike. Source: Cohen 1988."""
    spread = change.std(ddof=1) if len(change) > 1 else 0.0
    return float(change.mean() / spread) if spread else np.nan


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Step-down adjusted p-values in the order given; NaN stays NaN and does not count as a comparison. Source: Holm 1979."""
    p_values = np.asarray(p_values, dtype=float)
    adjusted, known = np.full(p_values.shape, np.nan), np.flatnonzero(~np.isnan(p_values))
    ordered = known[np.argsort(p_values[known], kind="stable")]
    factors = np.arange(len(ordered), 0, -1)
    adjusted[ordered] = np.minimum(np.maximum.accumulate(p_values[ordered] * factors), 1.0)
    return adjusted
