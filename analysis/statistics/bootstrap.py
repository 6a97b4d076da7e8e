"""Bootstrap interval of a mean over cases. A case is drawn with all its structures, and in all runs at once: none of these are
independent of each other."""

from __future__ import annotations

from collections.abc import Sequence
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


def mean_interval(runs: Sequence[pd.Series], weights: Sequence[float] | None = None, *, level: float = LEVEL,
                  resamples: int = RESAMPLES, seed: int = SEED) -> Interval:
    """The mean over runs of the mean over (dataset, structure) pairs of the mean over cases, and its percentile bootstrap interval.

    runs: for each its values by (dataset, case, structure), as `case_values` returns them; weights: of the runs, alike by default. Cases
    are drawn within each dataset, so that every resample has the datasets' own numbers of cases; a structure that none of the drawn
    cases has is left out of that resample.
    Source: Efron & Tibshirani 1993, chapter 13 (percentile interval), by scipy.stats.bootstrap.
    """
    together = pd.concat(dict(enumerate(runs)), names=["run"])
    if together.empty:
        return Interval(np.nan, np.nan, np.nan, 0)
    weights = np.ones(len(runs)) if weights is None else np.asarray(weights, dtype=float)
    tables = [part.droplevel("dataset").unstack(["run", "structure"]) for _, part in together.groupby(level="dataset", sort=True)]
    columns = np.concatenate([table.columns.get_level_values("run") for table in tables])
    in_run = np.equal.outer(columns, np.arange(len(runs))).astype(float)  # (dataset's structure of a run, run)
    arrays = [table.to_numpy() for table in tables]

    def mean(*drawn: np.ndarray, axis: int = -1) -> np.ndarray:
        pairs = np.concatenate([_mean_over_cases(array[rows.astype(int)]) for array, rows in zip(arrays, drawn, strict=True)], axis=-1)
        known = ~np.isnan(pairs)
        counts = known @ in_run
        means = np.divide(np.where(known, pairs, 0.0) @ in_run, counts, out=np.full(counts.shape, np.nan), where=counts > 0)
        return means @ (weights / weights.sum())

    numbers = [np.arange(len(array)) for array in arrays]
    cases = sum(map(len, numbers))
    if min(map(len, numbers)) < 2:
        return Interval(float(mean(*numbers)), np.nan, np.nan, cases)
    found = stats.bootstrap(numbers, mean, n_resamples=resamples, batch=100, vectorized=True, axis=-1, confidence_level=level,
                            method="percentile", rng=np.random.default_rng(seed)).confidence_interval
    return Interval(float(mean(*numbers)), float(found.low), float(found.high), cases)


def _mean_over_cases(values: np.ndarray) -> np.ndarray:
    """(..., case, column), NaN where undefined -> (..., column), NaN where no case has a value."""
    known = ~np.isnan(values)
    counts = known.sum(axis=-2)
    return np.divide(np.where(known, values, 0.0).sum(axis=-2), counts, out=np.full(counts.shape, np.nan), where=counts > 0)
