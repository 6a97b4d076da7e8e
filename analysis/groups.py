"""Finished runs under names: several seeds of one experiment share a name and become one row of a comparison."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from analysis.load import TOGETHER, Run, read_run
from clnet.errors import UsageError


@dataclass(frozen=True)
class Group:
    """A name and its runs, alike in all but their seed."""

    name: str
    runs: tuple[Run, ...]

    @property
    def first(self) -> Run:
        """The run given first."""
        return self.runs[0]

    @property
    def scenario(self) -> str:
        """`universal`: everything in one step; else `continual`."""
        return "universal" if list(self.first.trained_on.values()) == [TOGETHER] else "continual"

    @cached_property
    def scores(self) -> pd.DataFrame:
        """The scores of all runs below each other, so that means over cases are means over seeds too."""
        return pd.concat([run.scores for run in self.runs], ignore_index=True)


def read_groups(folders: Sequence[Path], names: Sequence[str] | None = None) -> list[Group]:
    """Runs by name, in the order given; without `names` a run's is its folder's, less the seed that the folder's name may state.

    Raises UsageError where names and folders differ in number, and where runs of one name differ in more than their seed; DataError
    and UsageError as `read_run` does.
    """
    folders = [Path(folder) for folder in folders]
    if names and len(names) != len(folders):
        raise UsageError("every run needs a name", found=f"{len(names)} name(s) for {len(folders)} run folder(s)",
                         fix="give --names once for each run folder, in the same order, or leave it out")
    runs: dict[str, list[Run]] = {}
    for folder, name in zip(folders, names or map(default_name, folders), strict=True):
        runs.setdefault(name, []).append(read_run(folder))
    for name, same in runs.items():
        _check_alike(name, same)
    return [Group(name, tuple(same)) for name, same in runs.items()]


def default_name(folder: Path) -> str:
    """`order1__ema-none__seed-3` -> `order1__ema-none`."""
    return re.sub(r"__seed-\d+(?=__|$)", "", folder.resolve().name)


def _check_alike(name: str, runs: Sequence[Run]) -> None:
    first = runs[0]
    for other in runs[1:]:
        theirs, ours = other.identity, first.identity
        differences = [f"{key} {ours[key]} and {theirs[key]}" for key in ours if key != "seed" and ours[key] != theirs[key]]
        differences += [] if first.trained_on == other.trained_on else ["steps"]
        differences += [] if first.stage == other.stage else [f"stage {first.stage} and {other.stage}"]
        if differences:
            raise UsageError(f"two runs share the name {name}, but not their experiment", where=f"{first.folder}, {other.folder}",
                             found=", ".join(differences), fix="give them different names by --names")
    seeds = [run.identity["seed"] for run in runs]
    if len(set(seeds)) < len(seeds):
        raise UsageError(f"runs that share the name {name} have the same seed", where=", ".join(str(run.folder) for run in runs),
                         found=f"seeds {', '.join(seeds)}", fix="give each run once, or give them different names by --names")
