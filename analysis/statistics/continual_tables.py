"""The continual-learning metrics of several runs below each other, with those that compare with another run where there is one."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.continual import METRICS, Metric
from analysis.continual_references import REFERENCE_METRICS, scores_of_reference
from analysis.groups import Group
from analysis.matrix import ScoreMatrix, score_matrix
from analysis.render import DASH, Table
from analysis.spread import mean_text, span
from analysis.statistics.orders import variant
from analysis.tables import METRIC_LEGEND, measured

VALUES = (("dsc", "DSC", 3), ("asd_mm", "negated ASD (mm)", 2))
METHODS = {"joint": "joint", "specialist": "nnunet", "sequential": "finetune"}
SUPPLY = {"joint": "method `joint`, or a universal run of the same method and choices", "specialist": "method `nnunet`",
          "sequential": "method `finetune` in the same order"}


def continual_tables(groups: Sequence[Group]) -> list[Table]:
    """One table for DSC and one for negated ASD; none without groups."""
    return [_table(groups, *value) for value in VALUES] if groups else []


def reference_for(kind: str, group: Group, groups: Sequence[Group]) -> Group | None:
    """The first of `groups` that a group can be compared with as `kind` (joint, specialist or sequential); None if there is none.

    A universal run stands for joint training of its method: it learned every dataset together, also those after task j.
    """
    if group.scenario == "universal":
        return None
    for other in groups:
        shares = set(other.first.learned_at) & set(group.first.learned_at)
        named = other.first.identity["method"] == METHODS[kind] and other is not group
        if kind == "joint":
            named |= (other.scenario == "universal" and other.first.identity["method"] == group.first.identity["method"]
                      and variant(other) == variant(group))
        if named and shares and (kind != "sequential" or other.first.trained_on == group.first.trained_on):
            return other
    return None


def _table(groups: Sequence[Group], value: str, word: str, digits: int) -> Table:
    references = {kind: {group.name: reference_for(kind, group, groups) for group in groups} for kind in REFERENCE_METRICS}
    lines, data = [], []
    for group in groups:
        for stage in group.first.stages:
            for by in ("dataset", "structure"):
                matrices = [score_matrix(run.scores, value, by, stage) for run in group.runs]
                cells = {}
                for metric in METRICS:
                    found = [measured(metric, matrix, value) for matrix in matrices]
                    cells[metric.symbol] = _cell(found, digits)
                    data.append(_line(group, stage, by, metric, found))
                for kind, metric in REFERENCE_METRICS.items():
                    other = references[kind][group.name]
                    found = [_against(metric, matrix, other, value, by, stage) for matrix in matrices] if other else []
                    cells[metric.symbol] = _cell(found, digits)
                    data.append(_line(group, stage, by, metric, found) | {"reference": other.name if other else ""})
                lines.append(((group.name, stage, by), cells))
    everything = {metric.symbol: metric for metric in (*METRICS, *REFERENCE_METRICS.values())}
    shown = [symbol for symbol in everything if any(cells[symbol] != DASH for _, cells in lines)]
    notes = [everything[symbol].note() for symbol in shown] + [METRIC_LEGEND]
    notes += ["Where a name has several seeds: mean \N{PLUS-MINUS SIGN} standard deviation over them."] if any(
        len(group.runs) > 1 for group in groups) else []
    for kind, metric in REFERENCE_METRICS.items():
        used = dict.fromkeys(f"{name} against {other.name}" for name, other in references[kind].items() if other)
        notes.append(f"{metric.symbol}: {', '.join(used)}." if used else
                     f"{metric.name} ({metric.formula}) is left out: it needs a {kind} run among these ({SUPPLY[kind]}).")
        if kind == "joint" and any(other and other.scenario == "universal" for other in references[kind].values()):
            notes.append("A universal run learned all datasets together, later ones too, where the definition has those up to j.")
    left_out = [metric.name for metric in METRICS if metric.symbol not in shown]
    notes += [f"Undefined for all of these runs, so left out: {', '.join(left_out)}."] if left_out else []
    rows = tuple((*head, *(cells[symbol] for symbol in shown)) for head, cells in lines)
    return Table(f"statistics_continual_{value.removesuffix('_mm')}", f"Continual learning by {word}: all runs",
                 ("run", "stage", "tasks are", *shown), rows, pd.DataFrame(data), tuple(notes))


def _against(metric: Metric, matrix: ScoreMatrix, other: Group, value: str, by: str, stage: str) -> tuple[float, int]:
    theirs = score_matrix(other.scores, value, by, stage if stage in other.first.stages else None)
    reference = scores_of_reference(matrix, theirs)
    terms = metric.terms(matrix.values, reference, matrix.learned)
    return metric.function(matrix.values, reference, matrix.learned), int(pd.notna(terms).sum())


def _cell(found: list[tuple[float, int]], digits: int) -> str:
    defined = [(score, count) for score, count in found if count]
    if not defined:
        return DASH
    return f"{mean_text(pd.Series([score for score, _ in defined]), digits)} (n={span(count for _, count in defined)})"


def _line(group: Group, stage: str, by: str, metric: Metric, found: list[tuple[float, int]]) -> dict:
    scores = pd.Series([score for score, _ in found], dtype=float)
    return {"name": group.name, "stage": stage, "by": by, "metric": metric.name, "score": scores.mean(), "score_std": scores.std(),
            "runs": int(scores.count()), "terms": max((count for _, count in found), default=0), "reference": "",
            "formula": metric.formula, "source": metric.source}
