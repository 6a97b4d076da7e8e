"""The paper's printed results (`reference/results`), read once, in the units of our own tables."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pandas as pd

RESULTS = Path(__file__).parent / "reference" / "results"
ALL_PAIRS, MEAN, TOTAL = "five-public", "Mean", "Total"  # a dataset that stands for all five; rows that are no structure
ORDERS = ("O1", "O2", "O3", "O4")
# Their metric -> our column, and one of their units in ours: DSC in [0, 1], ASD in mm, sum T' in full decoders, millions of parameters.
MEASURES = {"DSC": ("dsc", 0.01), "DSC2D": ("dsc_2d", 0.01), "ASD": ("asd_mm", 1.0), "SumT": ("nominal_share_sum", 0.01),
            "Param": ("nominal_parameters_m", 1.0)}
COLUMNS = ("table", "dataset", "subgroup", "group", "structure", "raw_name", "decoder", "method", "measure", "value", "std",
           "pruning_rate_percent", "order", "order_printed", "note")


@cache
def all_results() -> pd.DataFrame:
    """COLUMNS of every printed cell in the paper's sequence; read only.

    table: `1`, `S12`; measure, value, std: see MEASURES; order: which of ORDERS the numbers are of (`Mean`: over all four), which is not
    what stands over the columns of S40 to S48 (NOTES.md 1), that is order_printed.
    """
    table = pd.read_csv(RESULTS / "all_results.csv", dtype=str, keep_default_na=False, encoding="utf-8")
    for name in ("mean", "std", "pruning_T"):
        table[name] = pd.to_numeric(table[name].replace("", None))
    unit = table["metric"].map({metric: scale for metric, (_, scale) in MEASURES.items()})
    table["measure"] = table["metric"].map({metric: measure for metric, (measure, _) in MEASURES.items()})
    table["value"], table["std"] = (table["mean"] * unit).round(6), (table["std"] * unit).round(6)
    return table.rename(columns={"pruning_T": "pruning_rate_percent", "order_inferred": "order"})[list(COLUMNS)]


def results(table: str, **conditions: str) -> pd.DataFrame:
    """The rows of all_results of one table that have these words in these columns (`dataset="FLARE22"`); none for an unknown table."""
    rows = all_results()
    keep = rows["table"] == table
    for column, word in conditions.items():
        keep &= rows[column] == word
    return rows[keep]


def value(table: str, **conditions: str) -> float:
    """The one printed value that meets the conditions; NaN where nothing is printed. Raises ValueError where several meet them."""
    found = results(table, **conditions)["value"]
    if len(found) > 1:
        raise ValueError(f"{len(found)} values in Table {table} for {conditions}")
    return float(found.iloc[0]) if len(found) else float("nan")


def methods(table: str, **conditions: str) -> list[str]:
    """The methods of a table in its sequence."""
    return list(dict.fromkeys(results(table, **conditions)["method"]))
