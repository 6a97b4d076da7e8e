"""Single numbers out of a finished run, by name: what a sentence about a run states and a program can look up again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from analysis import pruning
from analysis.aggregate import by_dataset, by_step, by_structure
from analysis.load import Run
from analysis.retention import forgetting_by_group

LAST, LEARNED = "last", "learned"
Filter = Mapping[str, object]  # column -> the value, or the list of values, that rows must have (`where`) or must not (`without`)
CLOSE = 0.01  # numbers that differ by less are the same: a rate of 95 % is 95.0001 in whole weights


def score(run: Run, value: str = "dsc", dataset: str | None = None, stage: str | None = None, step: str | int = LAST,
          where: Filter | None = None, without: Filter | None = None) -> float:
    """Mean over cases, then over the structures of a dataset, or over all learned pairs; a sum where `value` is a count (`missed`).

    value: a column of `aggregate.by_step`; stage: the run's final one unless named; step: `last`, `learned` (the step that learned the
    dataset), or its number. Raises LookupError where the run has nothing of the kind.
    """
    learned = run.learned_at
    number = max(run.trained_on) if step == LAST else learned[dataset] if step == LEARNED else step
    rows = _rows(run.scores[run.scores["step"] == number], where, without)
    rows = rows[rows["dataset"] == dataset] if dataset else rows[rows["dataset"].isin(learned)]
    structures = by_structure(rows, stage or run.stage)
    return float(by_dataset(structures).loc[(number, dataset), value] if dataset else by_step(structures).loc[number, value])


def forgetting(run: Run, group: str = "all", stage: str | None = None) -> float:
    """Mean forgetting of DSC over the pairs of a group of `retention.GROUPS`. stage: the run's final one unless named."""
    return forgetting_by_group(run, stage)[group][0]


def size(run: Run, value: str) -> float:
    """Decoders, mean pruning rate or parameters after the last step, by the names of `pruning.sizes`."""
    return float(pruning.sizes(run)[value])


def true_voxels_lost_percent(run: Run) -> float:
    """Share of all true voxels that merging took after the last step; NaN for a run without merging."""
    rows = run.merging[run.merging["step"] == max(run.trained_on)]
    before, after = rows["true_voxels_before"].sum(), rows["true_voxels_after"].sum()
    return float(100 * (before - after) / before) if before else float("nan")


def table(run: Run, name: str, column: str, aggregate: str, step: str | int = LAST, where: Filter | None = None,
          without: Filter | None = None) -> float:
    """`aggregate` (a method of a pandas column: sum, mean, min, max, count) of a column of scores, decoders, footprint or merging.csv.

    Raises LookupError for a column that is not there.
    """
    rows = getattr(run, name)
    rows = _rows(rows[rows["step"] == (max(run.trained_on) if step == LAST else step)], where, without)
    return float(getattr(rows[column], aggregate)())


def probe(run: Run, value: str) -> float:
    """What the probe read out of the run's encoder, by the names of `clnet.learn.probe.Probed`. Raises LookupError where there is none."""
    found = probed(run)
    if value not in found:
        raise LookupError(f"{run.folder.name} has no {value} of a probe")
    return float(found[value])


def probed(run: Run) -> dict[str, object]:
    """The run's probe.json; empty where it was not probed."""
    file = run.folder / "probe.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def _rows(rows: pd.DataFrame, where: Filter | None, without: Filter | None) -> pd.DataFrame:
    for wanted, conditions in ((True, where), (False, without)):
        for column, values in (conditions or {}).items():
            rows = rows[_is_one_of(rows[column], values if isinstance(values, list) else [values]) == wanted]
    return rows


def _is_one_of(column: pd.Series, values: list) -> pd.Series:
    if not pd.api.types.is_float_dtype(column):
        return column.isin(values)
    return pd.Series(np.isclose(column.to_numpy()[:, None], np.array(values, float), rtol=0, atol=CLOSE).any(axis=1), column.index)


MEASURES: dict[str, Callable[..., float]] = {function.__name__: function for function in
                                             (score, forgetting, size, true_voxels_lost_percent, table, probe)}
