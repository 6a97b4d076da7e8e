"""Runs that were scored on validation cases side by side: a row for each setting tried, the best of each method marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from analysis import render
from analysis.aggregate import by_step, by_structure, final_mean
from analysis.continual import learning_accuracy
from analysis.load import Run, read_run
from analysis.matrix import score_matrix
from analysis.render import Table, number
from clnet.atomic import explained, write_text
from clnet.errors import UsageError

_OWN_COLUMNS = ("seed", "method", "method.name")
ABSENT = "absent"  # as `experiments.differences` writes it


def build(folders: Sequence[Path], differences: Mapping[str, Sequence[str]], output: Path | None = None) -> Table:
    """Print the table of validation runs as Markdown and return it; with `output` also as `tuning.md` and `tuning.csv` in that folder.

    differences: setting -> its value in each folder, in the order of `folders`. Raises UsageError where there is no folder, or one without
    scores of validation cases.
    """
    if not folders:
        raise UsageError("no run was scored on validation cases", fix="python run.py ... scored_cases=validation makes one")
    table = tuning_table([read_run(folder, "validation") for folder in folders], differences)
    if output is not None:
        with explained(output):
            output.mkdir(parents=True, exist_ok=True)
            write_text(output / f"{table.name}.md", render.markdown(table))
            write_text(output / f"{table.name}.csv", table.data.to_csv(index=False))
    print(render.markdown(table))
    return table


def tuning_table(runs: Sequence[Run], differences: Mapping[str, Sequence[str]]) -> Table:
    """One row for each method and setting, methods as they come, the best mean DSC at the end first; seeds are averaged.

    at the end: mean DSC over all (dataset, structure) pairs after the last step, as a run's headline; when learned: the mean over
    datasets of the DSC right after the step that learned each (the metric LA).
    """
    methods = [run.identity["method"] for run in runs]
    settings = {key: values for key, values in differences.items() if not _is_told(key, differences, methods)}
    lines = pd.DataFrame([{"method": run.identity["method"], **{key: values[index] for key, values in settings.items()},
                           "seed": run.identity["seed"], "end": final_mean(run.scores)["dsc"],
                           "missed": final_mean(run.scores)["missed"], "first": by_step(by_structure(run.scores))["dsc"].iloc[0],
                           "learned": _when_learned(run), "cases": run.scores[["dataset", "case"]].drop_duplicates().shape[0]}
                          for index, run in enumerate(runs)])
    keys = ["method", *settings]
    groups = lines.groupby(keys, sort=False, dropna=False)
    data = groups[["end", "learned", "first", "missed", "cases"]].mean().join(groups["end"].std().rename("end_std"))
    data = data.assign(seeds=groups.size()).reset_index()
    place = {method: index for index, method in enumerate(dict.fromkeys(methods))}
    data = data.assign(place=data["method"].map(place)).sort_values(["place", "end"], ascending=[True, False], kind="stable")
    data = data.drop(columns="place").reset_index(drop=True)
    rows = tuple((*(str(row[key]) for key in keys), number(row["end"]), number(row["learned"]), number(row["first"]),
                  number(row["missed"], 0), str(row["seeds"]), number(row["cases"], 0)) for _, row in data.iterrows())
    best = frozenset((int(index), len(keys)) for index in data.groupby("method")["end"].idxmax().dropna())
    header = (*keys, "DSC at the end", "when learned", "after the first step", "missed", "seeds", "cases")
    note = ("Scored on validation cases, which nothing learns from; test cases were not looked at. Means over (dataset, structure) pairs; "
            "when learned: over datasets, each right after its step. Bold: the best of its method.")
    return Table("tuning", "Settings by validation cases", header, rows, data, (note,), bold=best)


def _is_told(key: str, differences: Mapping[str, Sequence[str]], methods: Sequence[str]) -> bool:
    """Whether the other columns tell a setting: it follows from the method, or it is what the method's YAML takes from another one."""
    if key in _OWN_COLUMNS:
        return True
    if not key.startswith("method."):
        return False
    values = differences[key]
    same = any(all(ours in (theirs, ABSENT) for ours, theirs in zip(values, other, strict=True))
               for name, other in differences.items() if not name.startswith("method"))
    return same or len(set(zip(methods, values, strict=True))) == len(set(methods))


def _when_learned(run: Run) -> float:
    matrix = score_matrix(run.scores, "dsc", "dataset")
    return learning_accuracy(matrix.values, matrix.learned)
