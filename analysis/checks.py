"""What a run's tables must fulfil, so that nothing below has to check again, and what in them is incomplete."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from analysis.columns import CASE_COLUMNS, STAGES, STATUSES, VOXELS
from clnet.errors import DataError

KEY_COLUMNS = [*CASE_COLUMNS, "stage"]


def check_scores(scores: pd.DataFrame, path: Path) -> None:
    """Raises DataError for unknown words, several runs in one table, rows that occur twice, a DSC out of [0, 1], and steps without
    scores of the final stage."""
    for column, known in (("status", STATUSES), ("stage", STAGES)):
        unknown = sorted(set(scores[column]) - set(known))
        if unknown:
            raise DataError(f"unknown {column}", where=path, found=unknown, expected=list(known))
    several = [name for name in ("experiment", "order", "method", "seed") if scores[name].nunique() > 1]
    if several:
        raise DataError("scores of several runs in one table", where=path, found=f"more than one {', '.join(several)}",
                        fix="give each run its own folder")
    if scores.groupby("step")["trained_on"].nunique().max() > 1:
        raise DataError("one step is said to have learned several datasets", where=path)
    twice = scores[scores.duplicated(KEY_COLUMNS)]
    if len(twice):
        raise DataError("a score occurs twice", where=path, found=twice[KEY_COLUMNS].iloc[0].to_dict(),
                        fix="delete the run folder and run again")
    without = sorted(set(scores["step"]) - set(scores.loc[scores["stage"] == "merged", "step"]))
    if 0 < len(without) < scores["step"].nunique():
        raise DataError("some steps have merged scores, others none", where=path, found=f"none in step {', '.join(map(str, without))}",
                        fix="run the same command again: it is written anew")
    outside = scores[(scores["dsc"] < 0) | (scores["dsc"] > 1)]
    if len(outside):
        raise DataError("DSC out of [0, 1]", where=path, found=outside[[*KEY_COLUMNS, "dsc"]].iloc[0].to_dict())


def check_merging(merging: pd.DataFrame, path: Path) -> None:
    """Raises DataError for empty or negative numbers of voxels and for rows that occur twice."""
    numbers = merging[list(VOXELS)]
    wrong = merging[numbers.isna().any(axis=1) | (numbers < 0).any(axis=1)]
    if len(wrong):
        raise DataError("numbers of voxels are empty or negative", where=path, found=wrong[[*CASE_COLUMNS, *VOXELS]].iloc[0].to_dict())
    twice = merging[merging.duplicated(CASE_COLUMNS)]
    if len(twice):
        raise DataError("a structure of a case occurs twice", where=path, found=twice[CASE_COLUMNS].iloc[0].to_dict(),
                        fix="delete the run folder and run again")


def gaps(scores: pd.DataFrame) -> list[str]:
    """Sentences on rows that should be there: every case has a row for every structure seen in its dataset up to that step, and every
    structure has both stages once any row is merged."""
    found = []
    for (dataset, stage), part in scores.groupby(["dataset", "stage"], sort=False):
        cases = part["case"].unique()
        for step, rows in part.groupby("step"):
            structures = part.loc[part["step"] <= step, "structure"].unique()
            expected, present = len(cases) * len(structures), len(rows)
            if present < expected:
                have = set(zip(rows["case"], rows["structure"], strict=True))
                first = next((case, name) for case in cases for name in structures if (case, name) not in have)
                found.append(f"{dataset}, S{step}, {stage}: {expected - present} of {expected} score rows are missing "
                             f"(first: case {first[0]}, {first[1]}); the means below are over fewer cases")
    return found + _one_stage_only(scores)


def _one_stage_only(scores: pd.DataFrame) -> list[str]:
    if scores["stage"].nunique() < 2:
        return []
    groups = scores.groupby(["dataset", "step", "structure"], sort=False)["stage"].agg(["nunique", "first"]).query("nunique == 1")
    return [f"{dataset}, S{step}: {len(rows)} structure(s) have {stage} scores alone (first: {rows.index[0][2]}); tables of the other "
            "stage leave them out" for (dataset, step, stage), rows in groups.groupby(["dataset", "step", "first"], sort=False)]
