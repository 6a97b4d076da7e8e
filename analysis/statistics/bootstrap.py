"""Bootstrap interval of a mean over cases. A case is drawn with all its structures, for those are not independent of each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

LEVEL, RESAMPLES, SEED = 0.95, 2000, 0


@dataclass(frozen=True)
class Interval:
    """A mean, its confidence limits (NaN where a dataset has a single case), and the number of cases."""

    mean: float
    low: float
    high: float
    cases: int


def mean_interval(values: pd.Series, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = SEED) -> Interval:
    """The mean over (dataset, structure) pairs of the mean over cases, and its percentile bootstrap interval.

    values: by (dataset, case, structure), as `case_values` returns them. Cases are drawn within each dataset, so that every resample has
    the datasets' own numbers of cases; a structure that none of the drawn cases has is left out of that resample.
    Source: Efron & Tibshirani 1993, chapter 13 (percentile interval), by scipy.stats.bootstrap.
    """
    tables = [part.droplevel("dataset").unstack("structure").to_numpy() for _, part in values.groupby(level="dataset", sort=True)]
    if not tables:
        return Interval(np.nan, np.nan, np.nan, 0)
    numbers = [np.arange(len(table)) for table in tables]

    def mean_of_drawn(*drawn: np.ndarray, axis: int) -> np.ndarray:
        return _mean_over_pairs([table[rows.astype(int)] for table, rows in zip(tables, drawn, strict=True)])

    mean, cases = float(_mean_over_pairs(tables)), sum(map(len, tables))
    if min(map(len, tables)) < 2:
        return Interval(mean, np.nan, np.nan, cases)
    found = stats.bootstrap(numbers, mean_of_drawn, n_resamples=resamples, batch=100, vectorized=True, axis=-1, confidence_level=level,
                            method="percentile", rng=np.random.default_rng(seed)).confidence_interval
    return Interval(mean, float(found.low), float(found.high), cases)


def _mean_over_pairs(tables: list[np.ndarray]) -> np.ndarray:
    """(..., case, structure) of each dataset, NaN where undefined -> (...,), the mean over pairs of the mean over cases."""
    total, pairs = 0.0, 0
    for table in tables:
        known = ~np.isnan(table)
        cases = known.sum(axis=-2)
        means = np.where(known, table, 0.0).sum(axis=-2) / np.maximum(cases, 1)
        total, pairs = total + means.sum(axis=-1), pairs + (cases > 0).sum(axis=-1)
    return total / pairs
