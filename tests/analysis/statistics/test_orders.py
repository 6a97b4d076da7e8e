"""Which runs differ in their order alone, and the standard deviations over orders and seeds."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from analysis.groups import read_groups
from analysis.statistics.orders import families, spread, variant


@pytest.fixture
def groups_of(run_with, scores):
    """Groups of runs in folders named as experiments name them; the order is the experiment's."""
    def read(*names: str):
        folders = []
        for name in names:
            experiment, seed = name.split("__")[0], int(name.split("seed-")[1]) if "seed-" in name else 0
            folders.append(run_with(scores.assign(experiment=experiment, order=experiment.replace("order", "O"), seed=seed), name=name))
        return read_groups(folders)
    return read


def test_orders_of_one_variant_are_a_family(groups_of):
    groups = groups_of("order1", "order1__seed-1", "order1__ema-none", "order2", "order2__ema-none", "order3")
    assert [[group.name for group in family] for family in families(groups)] == [
        ["order1", "order2", "order3"], ["order1__ema-none", "order2__ema-none"]]
    assert variant(groups[1]) == "__ema-none" and variant(groups[0]) == ""


def test_one_order_is_no_family(groups_of):
    assert families(groups_of("order1", "order1__ema-none")) == [] == families([])


def test_spread_by_hand():
    index = pd.MultiIndex.from_tuples([("O1", "0"), ("O1", "1"), ("O2", "0"), ("O2", "1")], names=["order", "seed"])
    found = spread(pd.Series([0.8, 0.9, 0.6, 0.6], index=index))
    assert found.mean == pytest.approx(0.725) and (found.orders, found.runs) == (2, 4)
    assert found.between_orders == pytest.approx(0.25 / math.sqrt(2))  # of 0.85 and 0.6
    assert found.between_seeds == pytest.approx(math.sqrt((0.005 + 0) / 2))
    assert found.std == pytest.approx(math.sqrt((0.075**2 + 0.175**2 + 2 * 0.125**2) / 3))


def test_the_mean_is_over_orders_where_they_have_unlike_numbers_of_seeds():
    index = pd.MultiIndex.from_tuples([("O1", "0"), ("O1", "1"), ("O2", "0")], names=["order", "seed"])
    found = spread(pd.Series([0.8, 0.9, 0.65], index=index))
    assert found.mean == pytest.approx((0.85 + 0.65) / 2) and found.between_seeds == pytest.approx(math.sqrt(0.005))


def test_spread_of_one_run_is_undefined():
    found = spread(pd.Series([0.8, float("nan")], index=pd.MultiIndex.from_tuples([("O1", "0"), ("O1", "1")], names=["order", "seed"])))
    assert found.mean == 0.8 and found.runs == 1
    assert all(math.isnan(number) for number in (found.std, found.between_orders, found.between_seeds))
