"""Reading a run folder: its tables, configuration and manifest.json, checked once."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd
import yaml

from analysis.checks import check_merging, check_scores, gaps
from analysis.columns import (
    DECODER_COLUMNS,
    FOOTPRINT_COLUMNS,
    LATER_COLUMNS,
    MERGING_COLUMNS,
    SCORE_COLUMNS,
    TEXT_COLUMNS,
    WEIGHTS_COLUMNS,
)
from clnet.errors import DataError, UsageError

SCORES_OF = {"test": "scores.csv", "validation": "validation_scores.csv"}  # which cases -> the table with their scores
TOGETHER = "all"  # what `trained_on` says of the universal scenario's only step


@dataclass(frozen=True)
class Run:
    """One run folder's tables; all but `scores` may have no rows (a method without decoders, a run without merging)."""

    folder: Path
    scores: pd.DataFrame
    decoders: pd.DataFrame
    footprint: pd.DataFrame
    manifest: dict
    notes: tuple[str, ...] = ()  # what is missing or incomplete, in words
    merging: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(MERGING_COLUMNS)))
    weights: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=list(WEIGHTS_COLUMNS)))

    @cached_property
    def identity(self) -> dict[str, str]:
        """experiment, order, method and seed, as text."""
        return {name: str(self.scores[name].iloc[0]) for name in ("experiment", "order", "method", "seed")}

    @cached_property
    def config(self) -> dict:
        """The run's resolved configuration; empty where the folder has none. Raises DataError for a damaged one."""
        path = self.folder / "config.yaml"
        try:
            return yaml.safe_load(path.read_text(encoding="utf-8")) or {} if path.is_file() else {}
        except yaml.YAMLError as error:
            raise DataError("config.yaml is not valid YAML", where=path, found=error) from error

    @cached_property
    def trained_on(self) -> dict[int, str]:
        """Step -> what was learned in it, in order: a dataset, or `all`."""
        return learned_order(self.scores)

    @cached_property
    def learned_at(self) -> dict[str, int]:
        """Dataset -> the step that learned it first; see `learned_at`."""
        return learned_at(self.scores)

    @cached_property
    def networks(self) -> pd.DataFrame:
        """Per step the hash of each network: encoder, decoders, those that only support; of decoders alone in runs without weights.csv."""
        if self.weights.empty:
            return self.decoders.rename(columns={"decoder": "network"})
        return self.weights

    @cached_property
    def stage(self) -> str:
        """The stage of the run's results; see `main_stage`."""
        return main_stage(self.scores)

    @cached_property
    def stages(self) -> tuple[str, ...]:
        """The stages that the run has, `premerge` first."""
        return tuple(stage for stage in ("premerge", "merged") if (self.scores["stage"] == stage).any())


def learned_order(scores: pd.DataFrame) -> dict[int, str]:
    """Step -> `trained_on` of it, sorted by step."""
    pairs = scores[["step", "trained_on"]].drop_duplicates().sort_values("step")
    return {int(step): name for step, name in zip(pairs["step"], pairs["trained_on"], strict=True)}


def learned_at(scores: pd.DataFrame) -> dict[str, int]:
    """Dataset -> the step that learned it first, in that order; a step `all` learned every dataset that it is scored on."""
    found: dict[str, int] = {}
    evaluated = set(scores["dataset"])
    for step, name in learned_order(scores).items():
        together = name == TOGETHER and name not in evaluated
        for dataset in scores.loc[scores["step"] == step, "dataset"].unique() if together else [name]:
            found.setdefault(dataset, step)
    return found


def main_stage(scores: pd.DataFrame) -> str:
    """The final stage, whose scores are a run's results: `merged` where it has any, else `premerge`."""
    return "merged" if (scores["stage"] == "merged").any() else "premerge"


def is_validation(folder: Path) -> bool:
    """Whether a run was scored on validation cases, to choose settings by: its scores are no results."""
    return (Path(folder) / SCORES_OF["validation"]).is_file()


def read_run(folder: Path, cases: str = "test") -> Run:
    """Read and check a run folder that was scored on these cases, `test` or `validation`.

    Raises UsageError where the folder is no run folder, or one that was scored on the others; DataError where one of its tables breaks the
    contract.
    """
    folder, table = Path(folder), Path(folder) / SCORES_OF[cases]
    if not table.is_file():
        if cases == "test" and is_validation(folder):
            raise UsageError("scores of validation cases are no results", where=folder.resolve(), fix="task=tuning reads such runs; the "
                             "same command without scored_cases=validation scores the test cases")
        raise UsageError(f"not a run folder: it has no {table.name}", where=folder.resolve(), fix=_hint(folder))
    scores = read_table(table, SCORE_COLUMNS)
    if scores.empty:
        raise UsageError("no scores yet", where=table, found="0 rows", fix="run the experiment to its first evaluation")
    check_scores(scores, table)
    notes = gaps(scores)
    others = {}
    for name, columns, expected in (("decoders.csv", DECODER_COLUMNS, True), ("footprint.csv", FOOTPRINT_COLUMNS, True),
                                    ("merging.csv", MERGING_COLUMNS, main_stage(scores) == "merged"),
                                    ("weights.csv", WEIGHTS_COLUMNS, False)):  # fmt: skip
        present = (folder / name).is_file()
        others[name] = read_table(folder / name, columns) if present else pd.DataFrame(columns=list(columns))
        notes += [f"{name} is missing: its table is left out"] if expected and not present else []
    check_merging(others["merging.csv"], folder / "merging.csv")
    manifest = {}
    if (folder / "manifest.json").is_file():
        try:
            manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise DataError("manifest.json is not valid JSON", where=folder / "manifest.json", found=error) from error
    else:
        notes.append("manifest.json is missing: versions and hardware are not known")
    return Run(folder, scores, others["decoders.csv"], others["footprint.csv"], manifest, tuple(notes), others["merging.csv"],
               others["weights.csv"])  # fmt: skip


def read_any(folder: Path) -> Run:
    """A run whichever cases it was scored on, for what says so itself."""
    return read_run(folder, "validation" if is_validation(folder) else "test")


def read_table(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read one CSV of the contract: text stays text (case `0001`, method `none`), empty cells of numbers become NaN."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise DataError("a results table cannot be read", where=path, found=error, expected="comma separated values") from error
    table = table.assign(**{name: "" for name in columns if name in LATER_COLUMNS and name not in table.columns})
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise DataError("a results table lacks columns", where=path, found=list(table.columns), expected=list(columns),
                        fix=f"missing: {', '.join(missing)}; was it written by an older version? Run the same command again")
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


def _hint(folder: Path) -> str:
    if not folder.exists():
        return "the folder does not exist; a finished run prints `run folder: PATH`"
    below = sorted(path.parent for path in folder.glob("*/scores.csv"))[:3]
    above = next((path for path in folder.resolve().parents if (path / "scores.csv").is_file()), None)
    candidates = [above] if above else below
    return f"did you mean {', '.join(map(str, candidates))}?" if candidates else "a finished run prints `run folder: PATH`"
