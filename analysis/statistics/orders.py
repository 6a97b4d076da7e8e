"""Runs that differ in nothing but the order of their datasets, and how results spread over orders and seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.groups import Group, default_name


@dataclass(frozen=True)
class Spread:
    """Mean of the orders' means, and standard deviations (n - 1): over all runs, of the orders' means, and over seeds within an order.

    NaN where there is one run, one order, or one seed in every order.
    """

    mean: float
    std: float
    between_orders: float
    between_seeds: float


def variant(group: Group) -> str:
    """What a run's folder says beside its experiment and seed: `order1__ema-none__seed-3` -> `__ema-none`."""
    return default_name(group.first.folder).removeprefix(group.first.identity["experiment"])


def families(groups: Sequence[Group]) -> list[list[Group]]:
    """Groups alike in method, variant, datasets and final stage, but of several orders; the first group of each order counts."""
    found: dict[tuple, dict[str, Group]] = {}
    for group in groups:
        run = group.first
        if group.scenario == "continual":
            key = run.identity["method"], variant(group), frozenset(run.learned_at), run.stage
            found.setdefault(key, {}).setdefault(run.identity["order"], group)
    return [list(by_order.values()) for by_order in found.values() if len(by_order) > 1]


def spread(values: pd.Series) -> Spread:
    """values: one a run, indexed by (order, seed); undefined ones are left out."""
    values = values.dropna()
    by_order = values.groupby(level="order")
    means, variances = by_order.mean(), by_order.var().dropna()
    within = float(np.sqrt(variances.mean())) if len(variances) else np.nan
    return Spread(float(means.mean()), float(values.std()), float(means.std()), within)
