"""The bootstrap interval against scipy's on the same numbers, and what it draws."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.aggregate import final_mean
from analysis.statistics.bootstrap import RESAMPLES, SEED, mean_interval
from analysis.statistics.cases import case_values


def by_case(tables: dict[str, dict[str, list[float]]]) -> pd.Series:
    """Dataset -> structure -> one value a case, NaN where it has none, as `case_values` gives them."""
    rows = {(dataset, f"{case:03d}", structure): value for dataset, structures in tables.items()
            for structure, values in structures.items() for case, value in enumerate(values) if not math.isnan(value)}
    index = pd.MultiIndex.from_tuples(rows, names=["dataset", "case", "structure"])
    return pd.Series(list(rows.values()), index=index).sort_index()


def test_one_structure_is_scipys_interval():
    values = np.array([0.2, 0.5, 0.6, 0.7, 0.75, 0.9])
    expected = stats.bootstrap((values,), np.mean, n_resamples=RESAMPLES, batch=100, method="percentile",
                               rng=np.random.default_rng(SEED)).confidence_interval
    found = mean_interval([by_case({"a": {"Liver": values.tolist()}})])
    assert (found.mean, found.low, found.high, found.cases) == (pytest.approx(values.mean()), pytest.approx(expected.low),
                                                                pytest.approx(expected.high), 6)


def test_structures_of_a_case_stay_together():
    apart = mean_interval([by_case({"a": {"Liver": [0.0, 1.0], "Spleen": [1.0, 0.0]}})])  # every case has the mean 0.5
    assert (apart.mean, apart.low, apart.high) == (0.5, 0.5, 0.5)
    alike = mean_interval([by_case({"a": {"Liver": [0.0, 1.0], "Spleen": [0.0, 1.0]}})])
    assert (alike.mean, alike.low, alike.high) == (0.5, 0.0, 1.0)


def test_cases_are_drawn_within_their_dataset():
    found = mean_interval([by_case({"a": {"Liver": [0.2, 0.2]}, "b": {"Liver": [0.8, 0.8, 0.8]}})])
    assert (found.mean, found.low, found.high, found.cases) == pytest.approx((0.5, 0.5, 0.5, 5))


def test_the_mean_is_over_pairs_not_cases():
    found = mean_interval([by_case({"a": {"Liver": [0.9, 0.9], "Spleen": [math.nan, 0.3]}})])
    assert found.mean == pytest.approx((0.9 + 0.3) / 2)
    assert found.low == pytest.approx(0.6) and found.high == pytest.approx(0.9)  # where the second case is not drawn, no spleen


def test_a_dataset_with_one_case_has_no_interval():
    found = mean_interval([by_case({"a": {"Liver": [0.9]}, "b": {"Liver": [0.5, 0.7]}})])
    assert found.mean == pytest.approx(0.75) and found.cases == 3 and math.isnan(found.low) and math.isnan(found.high)


def test_nothing_to_draw():
    found = mean_interval([by_case({"a": {"Liver": [0.9]}}).iloc[:0]])
    assert found.cases == 0 and math.isnan(found.mean) and math.isnan(found.low)


def test_of_a_run_it_holds_the_final_mean(scores):
    found = mean_interval([case_values(scores)])
    assert found.mean == pytest.approx(final_mean(scores)["dsc"]) and found.low < found.mean < found.high
    assert mean_interval([case_values(scores)]) == found  # a fixed seed


def test_a_case_is_drawn_in_all_runs_at_once():
    run, other = by_case({"a": {"Liver": [0.0, 1.0]}}), by_case({"a": {"Liver": [1.0, 0.0]}})
    found = mean_interval([run, other])
    assert (found.mean, found.low, found.high, found.cases) == (0.5, 0.5, 0.5, 2)
    assert mean_interval([run, run]) == mean_interval([run])


def test_weights_of_runs():
    runs = [by_case({"a": {"Liver": [value, value]}}) for value in (0.8, 0.9, 0.65)]
    assert mean_interval(runs, [0.5, 0.5, 1]).mean == pytest.approx((0.85 + 0.65) / 2)


def test_each_run_has_the_mean_over_its_own_pairs():
    runs = [by_case({"a": {"Liver": [0.8, 0.8], "Spleen": [0.6, 0.6]}}), by_case({"a": {"Liver": [0.4, 0.4]}})]
    assert mean_interval(runs).mean == pytest.approx((0.7 + 0.4) / 2)


def test_seeds_are_no_further_cases(scores_of):
    first, second = scores_of(), scores_of(seed=1)
    values = case_values(pd.concat([first, second.assign(seed=1)]))
    key = ("phantom_chest", "0000", "Heart")
    pair = [table.query("dataset == 'phantom_chest' and case == '0000' and structure == 'Heart' and step == 4")["dsc"].iloc[0]
            for table in (first, second)]
    assert values[key] == pytest.approx(np.nanmean(pair)) and values.index.is_unique
    assert values.index.get_level_values("case").nunique() == 4
