"""The table of final means with their confidence intervals, by run and over orders."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.aggregate import final_mean
from analysis.groups import Group
from analysis.render import DASH, Table, number
from analysis.statistics.bootstrap import LEVEL, RESAMPLES, SEED, mean_interval
from analysis.statistics.cases import case_values
from analysis.statistics.orders import families, spread, variant

VALUES = (("dsc", "DSC", 3), ("asd_mm", "ASD", 2))
_DEVIATIONS = (("between_orders", "std of orders"), ("between_seeds", "std of seeds"))
NOTES = (
    "Final means: over cases, then over all (dataset, structure) pairs learned, each run in its final stage; ASD in mm. Of several runs: "
    "mean \N{PLUS-MINUS SIGN} standard deviation (n - 1) over them. missed, fp: case-structure pairs, summed over runs.",
    f"CI: {LEVEL:.0%} percentile bootstrap interval ({RESAMPLES} resamples, seed {SEED}): cases are drawn within each dataset, a case with "
    "all its structures, and in all runs of a row at once. It tells how far the mean depends on which cases were tested, not how far "
    "training varies, and with a handful of cases in a dataset it is too narrow. n: cases with a value.",
    "Over orders: runs alike in all but order and seed; the mean is over the orders' means. std of orders: of the orders' "
    "means; std of seeds: within an order (root of the mean variance over seeds).")

UNLIKE = "The runs did not all learn the same datasets: their means are over different pairs."


def overview_table(groups: Sequence[Group]) -> Table | None:
    """One row a group, then one row for each set of groups that differ in their order alone; None without groups."""
    if not groups:
        return None
    lines = [(group.name, [group]) for group in groups]
    lines += [(f"{len(family)} orders: {_family_name(family)}", family) for family in families(groups)]
    rows, data = [], []
    for name, members in lines:
        runs = [run for group in members for run in group.runs]
        means = pd.DataFrame([{**final_mean(run.scores), **run.identity} for run in runs])
        counts = [str(int(means[status].sum())) for status in ("missed", "false_positive")]
        line = {"name": name, "orders": " ".join(dict.fromkeys(run.identity["order"] for run in runs)), "runs": len(runs),
                "stage": members[0].first.stage, "missed": int(counts[0]), "false_positive": int(counts[1])}
        cells = []
        for value, _, digits in VALUES:
            interval = mean_interval([case_values(run.scores, value) for run in runs],
                                     [1 / len(group.runs) for group in members for _ in group.runs])
            found = spread(means.set_index(["order", "seed"])[value])
            deviation = f" \N{PLUS-MINUS SIGN} {number(found.std, digits)}" if pd.notna(found.std) else ""
            parts = {key: getattr(found, key) if len(members) > 1 else float("nan") for key, _ in _DEVIATIONS}
            cells += [number(found.mean, digits) + deviation, limits_text(interval.low, interval.high, digits), str(interval.cases)]
            cells += [number(part, digits) for part in parts.values()]
            line |= {value: found.mean, f"{value}_std": found.std, f"{value}_ci_low": interval.low, f"{value}_ci_high": interval.high,
                     f"{value}_cases": interval.cases} | {f"{value}_{key}": part for key, part in parts.items()}
        rows.append((name, line["orders"], str(len(runs)), line["stage"], *cells, *counts))
        data.append(line)
    header = ["run", "orders", "runs", "stage"]
    for _, word, _ in VALUES:
        header += [word, f"{word} CI", "n", *(f"{word} {name}" for _, name in _DEVIATIONS)]
    summary = frozenset(range(len(groups), len(lines)))
    notes = NOTES if summary else NOTES[:2]
    notes += (UNLIKE,) if len({frozenset(group.first.learned_at) for group in groups}) > 1 else ()
    return _without_empty(Table("statistics_overview", "Final means, with intervals over cases and spread over seeds and orders",
                                (*header, "missed", "fp"), tuple(rows), pd.DataFrame(data), notes, summary))


def limits_text(low: float, high: float, digits: int) -> str:
    """`[0.841, 0.872]`; an en dash where there is no interval."""
    return DASH if pd.isna(low) else f"[{number(low, digits)}, {number(high, digits)}]"


def _family_name(family: Sequence[Group]) -> str:
    return f"{family[0].first.identity['method']}{variant(family[0])}"


def _without_empty(table: Table) -> Table:
    """The table less the columns of deviations that no row has."""
    words = {f"{word} {name}" for _, word, _ in VALUES for _, name in _DEVIATIONS}
    kept = [index for index, name in enumerate(table.header) if name not in words or any(row[index] != DASH for row in table.rows)]
    return Table(table.name, table.title, tuple(table.header[index] for index in kept),
                 tuple(tuple(row[index] for index in kept) for row in table.rows), table.data, table.notes, table.summary_rows)
