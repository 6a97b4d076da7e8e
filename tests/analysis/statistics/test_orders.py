"""Which runs differ in their order alone, and the standard deviations over orders and seeds."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from analysis.groups import Group, default_name
from analysis.load import Run
from analysis.statistics.orders import families, spread, variant


@pytest.fixture
def groups_of(scores, decoders):
    """Groups of runs in folders named as experiments name them; the order is the experiment's."""
    def build(*names: str) -> list[Group]:
        found: dict[str, list[Run]] = {}
        for name in names:
            experiment = name.split("__")[0]
            table = scores.assign(experiment=experiment, order=experiment.replace("order", "O"))
            found.setdefault(default_name(Path(name)), []).append(Run(Path(name), table, decoders, pd.DataFrame(), {}))
        return [Group(name, tuple(same)) for name, same in found.items()]
    return build


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
    assert found.mean == pytest.approx(0.725)
    assert found.between_orders == pytest.approx(0.25 / math.sqrt(2))  # of 0.85 and 0.6
    assert found.between_seeds == pytest.approx(math.sqrt((0.005 + 0) / 2))
    assert found.std == pytest.approx(math.sqrt((0.075**2 + 0.175**2 + 2 * 0.125**2) / 3))


def test_the_mean_is_over_orders_where_they_have_unlike_numbers_of_seeds():
    index = pd.MultiIndex.from_tuples([("O1", "0"), ("O1", "1"), ("O2", "0")], names=["order", "seed"])
    found = spread(pd.Series([0.8, 0.9, 0.65], index=index))
    assert found.mean == pytest.approx((0.85 + 0.65) / 2) and found.between_seeds == pytest.approx(math.sqrt(0.005))


def test_spread_of_one_run_is_undefined():
    found = spread(pd.Series([0.8, float("nan")], index=pd.MultiIndex.from_tuples([("O1", "0"), ("O1", "1")], names=["order", "seed"])))
    assert found.mean == 0.8
    assert all(math.isnan(number) for number in (found.std, found.between_orders, found.between_seeds))
