"""Paired tests worked by hand: five cases, signed ranks, effect sizes, Holm's steps."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.statistics.paired import cohens_dz, compare_by_case, holm, rank_biserial


def values(by_case: dict[str, dict[str, float]]) -> pd.Series:
    rows = {("a", case, structure): value for case, structures in by_case.items() for structure, value in structures.items()}
    return pd.Series(list(rows.values()), index=pd.MultiIndex.from_tuples(rows, names=["dataset", "case", "structure"]))


FIRST = values({"0": {"Liver": 0.9}, "1": {"Liver": 0.8}, "2": {"Liver": 0.7}, "3": {"Liver": 0.6}, "4": {"Liver": 0.5}})
# changes of +0.1, +0.2, +0.3, +0.4 and -0.05: ranks 2, 3, 4, 5 and 1
SECOND = values({"0": {"Liver": 0.8}, "1": {"Liver": 0.6}, "2": {"Liver": 0.4}, "3": {"Liver": 0.2}, "4": {"Liver": 0.55}})


def test_signed_ranks_by_hand():
    found = compare_by_case(FIRST, SECOND)
    assert (found.cases, found.differing) == (5, 5)
    assert found.mean_difference == pytest.approx((0.1 + 0.2 + 0.3 + 0.4 - 0.05) / 5)
    assert found.p_value == pytest.approx(4 / 32)  # W- = 1: the rank sums 0 and 1, in both tails, of 2^5 signs
    assert found.rank_biserial == pytest.approx((14 - 1) / 15)


def test_the_other_way_round_only_signs_turn():
    found, turned = compare_by_case(FIRST, SECOND), compare_by_case(SECOND, FIRST)
    assert turned.p_value == found.p_value and turned.rank_biserial == -found.rank_biserial and turned.cohens_dz == -found.cohens_dz


def test_a_smaller_distance_is_better():
    found = compare_by_case(FIRST, SECOND, lower_is_better=True)
    assert found.mean_difference == pytest.approx(-0.19) and found.rank_biserial == pytest.approx(-13 / 15)


def test_a_case_counts_once_with_what_both_have():
    first = values({"0": {"Liver": 0.9, "Spleen": 0.7}, "1": {"Liver": 0.5}, "2": {"Liver": 0.1}})
    second = values({"0": {"Liver": 0.7, "Spleen": 0.7, "Brain": 0.0}, "1": {"Spleen": 0.5}, "2": {"Liver": 0.1}})
    found = compare_by_case(first, second)
    assert (found.cases, found.differing) == (2, 1)  # case 1 shares no structure
    assert found.mean_difference == pytest.approx(((0.9 + 0.7 - 0.7 - 0.7) / 2 + 0) / 2)


def test_no_case_differs():
    found = compare_by_case(FIRST, FIRST)
    assert (found.cases, found.differing, found.mean_difference) == (5, 0, 0)
    assert all(math.isnan(number) for number in (found.p_value, found.rank_biserial, found.cohens_dz))


def test_no_case_is_shared():
    found = compare_by_case(FIRST, values({"9": {"Liver": 0.4}}))
    assert found.cases == 0 and math.isnan(found.mean_difference) and math.isnan(found.p_value)


def test_rounding_is_no_difference():
    assert compare_by_case(FIRST, FIRST + 1e-15).differing == 0


def test_many_cases_are_scipys_test():
    change = np.random.default_rng(0).normal(0.01, 0.05, 70).round(12)
    cases = {str(index): {"Liver": 0.5} for index in range(70)}
    second = values(cases)
    assert compare_by_case(second + change, second).p_value == pytest.approx(stats.wilcoxon(change).pvalue)


def test_rank_biserial_with_ties_and_zeros():
    assert rank_biserial(np.array([0.0, 1.0, -1.0, 2.0])) == pytest.approx((1.5 - 1.5 + 3) / 6)
    assert rank_biserial(np.array([-1.0, -2.0])) == -1


def test_cohens_dz():
    assert cohens_dz(np.array([1.0, 2.0, 3.0])) == pytest.approx(2.0)  # standard deviation 1
    assert math.isnan(cohens_dz(np.array([1.0]))) and math.isnan(cohens_dz(np.array([1.0, 1.0])))


def test_holm_by_hand():
    # 0.01 x 4, 0.02 x 3 = 0.06, then 0.03 x 2 = 0.06, then 0.04 x 1, which may not be below the one before it
    assert holm([0.04, 0.01, 0.03, 0.02]).tolist() == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.9]).tolist() == [1.0, 1.0]
    assert holm([0.02, math.nan, 0.5]).tolist() == pytest.approx([0.04, math.nan, 0.5], nan_ok=True)
    assert holm([]).size == 0
