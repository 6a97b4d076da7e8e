"""The tables of scores: structures by steps for each dataset, the final means, the counts of every status, the continual metrics."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis import paper
from analysis.aggregate import by_dataset, by_step, by_structure
from analysis.columns import STATUSES, VALUES
from analysis.continual import METRICS, Metric
from analysis.load import Run
from analysis.matrix import ScoreMatrix, score_matrix
from analysis.render import DASH, Table, number

NAMES = {"dsc": "DSC", "asd_mm": "ASD (mm)", "hd95_mm": "HD95 (mm)", "nsd": "NSD"}
LEGEND = ("n: cases in the mean (in the last row structures). missed: nothing predicted, DSC 0 and no distance. "
          "fp: predicted where the reference is empty.")
STAGE_LEGEND = {"merged": "merged: after merging the outputs of all decoders; a run's results.",
                "premerge": "premerge: each output on its own, as it was predicted."}
METRIC_LEGEND = ("R[i,j]: score on task j after step i, T the last step, R[j,j] the score when j was learned; n: terms in the mean (tasks; "
                 "for AIA steps, for all pairs those of a task and a step), undefined ones left out. By dataset: R is the mean over its "
                 "structures. By structure: each (dataset, structure) pair from the step in which it has a head. -ASD: negated, so that "
                 "higher is better.")
COMPACT_LEGEND = LEGEND.replace("n: ", "n4: four ", 1).replace("missed: ", "m1: one missed, ").replace("fp: ", "f1: one ")


def dataset_order(run: Run) -> list[str]:
    """Datasets in the order learned, then those that were only evaluated."""
    learned, evaluated = run.learned_at, list(dict.fromkeys(run.scores["dataset"]))
    return [name for name in learned if name in evaluated] + [name for name in evaluated if name not in learned]


def cell(row: pd.Series, value: str, digits: int = 2, compact: bool = False) -> str:
    """`0.87 (n=4, missed 1)`: the mean, how many are in it, and the counts of missed and false-positive ones."""
    parts = [("n=", "n", row[f"{value}_n"]), ("missed ", "m", row["missed"]), ("fp ", "f", row["false_positive"])]
    parts = [part for part in parts if part[1] == "n" or part[2]]
    if compact:
        return " ".join([number(row[value], digits), *(f"{short}{int(count)}" for _, short, count in parts)])
    return f"{number(row[value], digits)} ({', '.join(f'{name}{int(count)}' for name, _, count in parts)})"


def structure_table(run: Run, dataset: str, value: str = "dsc", stage: str | None = None, *, compact: bool = False,
                    width: int | None = None) -> Table:
    """One dataset: structures in rows, steps in columns; `compact` cells read `0.87 n4 m1`; early steps go where `width` is passed."""
    stage = stage or run.stage
    chosen = by_structure(run.scores[run.scores["dataset"] == dataset], stage)
    means = by_dataset(chosen)
    structures = list(dict.fromkeys(chosen.index.get_level_values("structure")))
    steps = sorted(set(chosen.index.get_level_values("step")))

    def column(step: int) -> list[str]:
        cells = [cell(chosen.loc[step, dataset, name], value, 2, compact) if (step, dataset, name) in chosen.index else ""
                 for name in structures]
        return [*cells, cell(means.loc[step, dataset], value, 3, compact)]

    head = [*structures, "mean over structures"]
    columns = {step: column(step) for step in steps}
    shown, room = list(steps), (width or 10**6) - max(map(len, head))
    while len(shown) > 1 and sum(max(map(len, columns[step])) + 2 for step in shown) > room:
        shown.pop(0)
    notes = [COMPACT_LEGEND if compact else LEGEND]
    notes += _left_out(run, dataset, value, steps[-1], stage)
    notes += [f"steps before S{shown[0]} are in the report"] if shown != steps else []
    data = chosen.reset_index().assign(stage=stage)[["step", "stage", "structure", value, f"{value}_std", f"{value}_n", "rows", *STATUSES]]
    learned = f"learned in S{run.learned_at[dataset]}" if dataset in run.learned_at else "external, never learned"
    return Table(f"{value.removesuffix('_mm')}_{dataset}", f"{dataset} ({learned}): {NAMES[value]} after each step, {stage}",
                 ("structure", *(f"S{step}" for step in shown)),
                 tuple((name, *(columns[step][index] for step in shown)) for index, name in enumerate(head)),
                 data, tuple(notes), frozenset({len(structures)}))


def _left_out(run: Run, dataset: str, value: str, step: int, stage: str) -> list[str]:
    scores = run.scores
    rows = scores[(scores["dataset"] == dataset) & (scores["step"] == step) & (scores["stage"] == stage)]
    counts = rows.loc[rows[value].isna(), "status"].value_counts()
    words = [f"{counts[status]} {status.replace('_', ' ')}" for status in STATUSES if status in counts]
    if not words:
        return []
    return [f"Left out of the means after S{step}: {counts.sum()} of {len(rows)} case-structure pairs ({', '.join(words)})."]


def final_table(run: Run, stage: str | None = None) -> Table:
    """After the last step: each dataset's means over structures, the mean over all pairs, and the paper's values for its own orders."""
    last, trained, learned_at, stage = max(run.trained_on), run.trained_on, run.learned_at, stage or run.stage
    structures = by_structure(run.scores, stage).loc[[last]]
    learned = structures[structures.index.get_level_values("dataset").isin(learned_at)]
    reference = paper.final_results(run.identity["order"], len(trained))
    means = by_dataset(structures)
    lines = [(f"S{learned_at[name]}" if name in learned_at else "external", name, means.loc[last, name],
              reference and reference.datasets.get(learned_at.get(name)))
             for name in dataset_order(run) if (last, name) in means.index]
    position = sum(first != "external" for first, *_ in lines)
    if len(learned):
        lines.insert(position, ("", "all pairs", by_step(learned).loc[last], "five-public" if reference else None))
    rows, data = [], []
    for step, name, row, theirs in lines:
        values = [number(row[value], 2 if value.endswith("_mm") else 3) +
                  (f" (n={int(row[f'{value}_n'])})" if row[f"{value}_n"] != row["structures"] else "") for value in VALUES]
        counts = [int(row["structures"]), int(row["missed"]), int(row["false_positive"]), int(row["left_out"])]
        printed = (reference.dsc.get(theirs, float("nan")), reference.asd_mm.get(theirs, float("nan"))) if reference else ()
        rows.append((name, step, str(counts[0]), *values, *map(str, counts[1:]), *(number(value, digits) for value, digits
                                                                                 in zip(printed, (3, 2), strict=False))))
        data.append({"dataset": name, "learned_in": step, "stage": stage, **row.to_dict()} |
                    ({"paper_dataset": theirs, "paper_dsc": printed[0], "paper_asd_mm": printed[1]} if printed else {}))
    header = ("dataset", "step", "n", "DSC", "ASD", "HD95", "NSD", "missed", "fp", "left out")
    notes = ["Means over cases, then over the n structures (beside a mean: fewer, where some have no value); all pairs: over all (dataset, "
             "structure) pairs. ASD, HD95 in mm. missed, fp, left out: counts of case-structure pairs (left out: of the DSC mean, see "
             "the table of statuses).", STAGE_LEGEND[stage]]
    if reference:
        header += ("paper DSC*", "paper ASD*")
        notes.append(f"* {paper.caveat(list(learned_at))} Its datasets: {', '.join(reference.datasets.values())}; "
                     f"all = mean over its 155 pairs (Table S6, order {run.identity['order']}).")
    return Table("final", f"After the last step, S{last} ({trained[last]}), {stage}", header, tuple(rows), pd.DataFrame(data), tuple(notes),
                 frozenset({position}))


def status_table(run: Run, stage: str | None = None) -> Table:
    """How many case-structure pairs of each dataset ended in each status after the last step."""
    last, stage = max(run.trained_on), stage or run.stage
    means = by_dataset(by_structure(run.scores, stage).loc[[last]])
    rows = [(name, *(str(int(means.loc[last, name][status])) for status in (*STATUSES, "rows")))
            for name in dataset_order(run) if (last, name) in means.index]
    header = ("dataset", *(status.replace("_", " ") for status in STATUSES), "all")
    return Table("status", f"Case-structure pairs by status after S{last}, {stage}", header, tuple(rows),
                 pd.DataFrame(rows, columns=list(header)).assign(stage=stage))


def continual_table(run: Run, metrics: Sequence[Metric] = METRICS) -> Table:
    """The continual-learning metrics, by dataset and by structure, for DSC and negated ASD, before and after merging."""
    stages = run.stages
    views = [(value, by) for value in ("dsc", "asd_mm") for by in ("dataset", "structure")]
    rows, data = [], []
    for stage in stages:
        matrices = [score_matrix(run.scores, value, by, stage) for value, by in views]
        for metric in metrics:
            cells = []
            for matrix, (value, by) in zip(matrices, views, strict=True):
                score, count = measured(metric, matrix, value)
                cells.append(metric_cell(score, count, value))
                data.append({"metric": metric.name, "stage": stage, "value": value, "by": by, "score": score, "terms": count,
                             "terms_are": metric.unit, "formula": metric.formula, "source": metric.source})
            rows.append((metric.name if len(stages) == 1 else f"{metric.name}, {stage}", *cells))
    notes = [metric.note() for metric in metrics] + [METRIC_LEGEND]
    notes += ["One step: forgetting and backward transfer are undefined."] if len(run.trained_on) == 1 else []
    title = "Continual learning" if len(stages) > 1 else f"Continual learning, {stages[0]}"
    return Table("continual", title, ("metric", "DSC by dataset", "DSC by structure", "-ASD mm by dataset", "-ASD mm by structure"),
                 tuple(rows), pd.DataFrame(data), tuple(notes))


def measured(metric: Metric, matrix: ScoreMatrix, value: str) -> tuple[float, int]:
    """A metric of a run's matrix and how many terms it is made of; (NaN, 0) where it is undefined or not meant for `value`."""
    if metric.bounded and value.endswith("_mm"):
        return float("nan"), 0
    return metric.function(matrix.values, matrix.learned), int(pd.notna(metric.terms(matrix.values, matrix.learned)).sum())


def metric_cell(score: float, count: int, value: str) -> str:
    """`0.853 (n=5)`; an en dash where the metric is undefined."""
    return f"{number(score, 2 if value.endswith('_mm') else 3)} (n={count})" if count else DASH
