"""Reading a run folder: scores.csv, decoders.csv, footprint.csv and manifest.json, checked once so that nothing below has to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from clnet.errors import DataError, UsageError

STATUSES = ("ok", "missed", "false_positive", "both_empty", "not_annotated", "out_of_fov")
VALUES = ("dsc", "asd_mm", "hd95_mm", "nsd")
RUN_COLUMNS = ("experiment", "order", "method", "seed", "step", "trained_on")
SCORE_COLUMNS = (*RUN_COLUMNS, "dataset", "case", "structure", "stage", *VALUES, "reference_voxels", "predicted_voxels", "status")
DECODER_COLUMNS = (*RUN_COLUMNS, "decoder", "group", "structures", "pruning_rate_percent", "parameters", "nonzero_parameters",
                   "nominal_share", "validation_dsc_before", "validation_dsc_after", "rounds", "updated", "weights_sha256")
FOOTPRINT_COLUMNS = (*RUN_COLUMNS, "parameters", "nonzero_parameters", "nominal_parameters_m", "dense_bytes", "sparse_bytes", "seconds",
                     "peak_memory_mib")
TEXT_COLUMNS = {"experiment", "order", "method", "trained_on", "dataset", "case", "structure", "stage", "status", "decoder", "group",
                "structures", "updated", "weights_sha256"}
KEY_COLUMNS = ["step", "dataset", "case", "structure", "stage"]


@dataclass(frozen=True)
class Run:
    """One run folder's tables; `decoders` and `footprint` may have no rows (a method without decoders)."""

    folder: Path
    scores: pd.DataFrame
    decoders: pd.DataFrame
    footprint: pd.DataFrame
    manifest: dict
    notes: tuple[str, ...] = ()  # what is missing or incomplete, in words

    @property
    def identity(self) -> dict[str, str]:
        """experiment, order, method and seed, as text."""
        return {name: str(self.scores[name].iloc[0]) for name in ("experiment", "order", "method", "seed")}

    @property
    def trained_on(self) -> dict[int, str]:
        """Step -> dataset learned in it, in order."""
        return learned_order(self.scores)


def learned_order(scores: pd.DataFrame) -> dict[int, str]:
    """Step -> dataset that was learned in it, sorted by step."""
    pairs = scores[["step", "trained_on"]].drop_duplicates().sort_values("step")
    return {int(step): name for step, name in zip(pairs["step"], pairs["trained_on"], strict=True)}


def read_run(folder: Path) -> Run:
    """Read and check a run folder.

    Raises UsageError where the folder is no run folder, DataError where one of its tables breaks the contract.
    """
    folder = Path(folder)
    if not (folder / "scores.csv").is_file():
        raise UsageError("not a run folder: it has no scores.csv", where=folder.resolve(), fix=_hint(folder))
    scores = read_table(folder / "scores.csv", SCORE_COLUMNS)
    if scores.empty:
        raise UsageError("no scores yet", where=folder / "scores.csv", found="0 rows", fix="run the experiment to its first evaluation")
    _check_scores(scores, folder / "scores.csv")
    notes = gaps(scores)
    others = []
    for name, columns in (("decoders.csv", DECODER_COLUMNS), ("footprint.csv", FOOTPRINT_COLUMNS)):
        present = (folder / name).is_file()
        others.append(read_table(folder / name, columns) if present else pd.DataFrame(columns=list(columns)))
        notes += [] if present else [f"{name} is missing: its table is left out"]
    manifest = {}
    if (folder / "manifest.json").is_file():
        try:
            manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise DataError("manifest.json is not valid JSON", where=folder / "manifest.json", found=error) from error
    else:
        notes.append("manifest.json is missing: versions and hardware are not known")
    return Run(folder, scores, others[0], others[1], manifest, tuple(notes))


def read_table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read one CSV of the contract: text stays text (case `0001`, method `none`), empty cells of numbers become NaN."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError("a results table cannot be read", where=path, found=error, expected="comma separated values") from error
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise DataError("a results table lacks columns", where=path, found=list(table.columns), expected=list(columns),
                        fix=f"missing: {', '.join(missing)}; was it written by an older version?")
    for name in columns:
        if name in TEXT_COLUMNS:
            continue
        try:
            table[name] = pd.to_numeric(table[name].replace("", None))
        except ValueError as error:
            raise DataError("a number was expected", where=f"{path}, column {name}", found=error) from error
    if "updated" in columns:
        table["updated"] = table["updated"].str.strip().str.lower().isin(("true", "1", "yes"))
    return table


def gaps(scores: pd.DataFrame) -> list[str]:
    """Sentences on rows that should be there: every case has a row for every structure seen in its dataset up to that step."""
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
    return found


def _check_scores(scores: pd.DataFrame, path: Path) -> None:
    unknown = sorted(set(scores["status"]) - set(STATUSES))
    if unknown:
        raise DataError("unknown status", where=path, found=unknown, expected=list(STATUSES))
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
    outside = scores[(scores["dsc"] < 0) | (scores["dsc"] > 1)]
    if len(outside):
        raise DataError("DSC out of [0, 1]", where=path, found=outside[[*KEY_COLUMNS, "dsc"]].iloc[0].to_dict())


def _hint(folder: Path) -> str:
    if not folder.exists():
        return "the folder does not exist; a finished run prints `run folder: PATH`"
    below = sorted(path.parent for path in folder.glob("*/scores.csv"))[:3]
    above = next((path for path in folder.resolve().parents if (path / "scores.csv").is_file()), None)
    candidates = [above] if above else below
    return f"did you mean {', '.join(map(str, candidates))}?" if candidates else "a finished run prints `run folder: PATH`"
