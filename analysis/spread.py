"""The same measure of several seeds as text and as numbers."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from analysis.render import number

SEEDS = "Where a name has several seeds: mean \N{PLUS-MINUS SIGN} standard deviation over them, and counts summed."


def mean_text(values: pd.Series, digits: int) -> str:
    """`0.853`, or `0.853 ± 0.004` where there are several values."""
    spread = f" \N{PLUS-MINUS SIGN} {number(values.std(), digits)}" if values.count() > 1 else ""
    return number(values.mean(), digits) + spread


def span(counts: Iterable[float]) -> str:
    """`75`, or `73-75` where seeds differ."""
    known = sorted({int(count) for count in counts if pd.notna(count)})
    return str(known[0]) if len(known) == 1 else f"{known[0]}-{known[-1]}"


def mean_and_std(table: pd.DataFrame, key: str) -> dict[str, float]:
    """`key` and `key`_std of a column with one row a seed; NaN where the column is not there or has one value."""
    values = table[key] if key in table else pd.Series([float("nan")])
    return {key: values.mean(), f"{key}_std": values.std()}
