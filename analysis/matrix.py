"""The score matrix of the continual-learning metrics, from scores.csv."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.aggregate import by_dataset, by_structure
from analysis.load import learned_at, learned_order, main_stage


@dataclass(frozen=True)
class ScoreMatrix:
    """values (step, task), the tasks' names, and for each the row of `values` in which it was learned."""

    values: np.ndarray
    tasks: tuple
    learned: tuple[int, ...]


def score_matrix(scores: pd.DataFrame, value: str = "dsc", by: str = "dataset", stage: str | None = None) -> ScoreMatrix:
    """R[i, j] for the datasets of the order; distances (`asd_mm`, `hd95_mm`) come negated, so that higher is better.

    by="dataset": a task is a dataset, its score the mean over its structures; undefined before the dataset was learned, when only
    some of its structures may have a head. by="structure": a task is a (dataset, structure) pair, learned at the first step that
    has a row for it, which is when the structure has a head.
    """
    steps = list(learned_order(scores))
    row_of = {dataset: steps.index(step) for dataset, step in learned_at(scores).items()}
    structures = by_structure(scores[scores["dataset"].isin(row_of)], stage or main_stage(scores))
    if by == "structure":
        first = structures.reset_index("step").groupby(level=["dataset", "structure"], sort=False)["step"].min()
        tasks, learned = tuple(first.index), tuple(steps.index(step) for step in first)
        table = structures[value]
    elif by == "dataset":
        present = set(structures.index.get_level_values("dataset"))
        tasks = tuple(dataset for dataset in row_of if dataset in present)
        learned = tuple(row_of[dataset] for dataset in tasks)
        table = by_dataset(structures)[value]
    else:
        raise ValueError(f"by is 'dataset' or 'structure', not {by!r}")
    values = np.full((len(steps), len(tasks)), np.nan)
    column_of = {task: column for column, task in enumerate(tasks)}
    for (step, *task), score in table.items():
        row, column = steps.index(step), column_of[tuple(task) if by == "structure" else task[0]]
        if row >= learned[column]:
            values[row, column] = -score if value.endswith("_mm") else score
    return ScoreMatrix(values, tasks, learned)
