"""The tasks that only read run folders: status, report, compare, tuning, claims, plan. What makes tables and figures is handed in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments import runfolder
from experiments.differences import differences
from experiments.results import SCORES_OF
from experiments.runlist import chosen
from experiments.status import describe, overview

_SAYS_NOTHING = ("task", "runs", "paths.outputs", "paths.runs")  # of which run is meant


@dataclass(frozen=True)
class Analyses:
    """What `analysis` makes of run folders; experiments do not import it.

    report: one run's report; book: the paper's tables and figures from runs, in a folder; compare: runs side by side in a folder, with
    their `differences`; tuning: validation runs side by side, likewise, in a folder or none; claims: README's numbers against the runs in
    a folder; final_dsc: a finished run's mean DSC.
    """

    report: Callable[[Path], object]
    book: Callable[[Sequence[Path], Path], object]
    compare: Callable[[Sequence[Path], Path, Mapping[str, Sequence[str]]], object]
    tuning: Callable[[Sequence[Path], Mapping[str, Sequence[str]], Path | None], object]
    claims: Callable[[Path], object]
    final_dsc: Callable[[Path], float]


def status(cfg: Mapping, typed: Sequence[str], analyses: Analyses) -> None:
    """Print how all runs stand, or the one that is meant where the command names one."""
    if cfg["run"] or any(override.partition("=")[0] not in _SAYS_NOTHING for override in typed):
        print(describe(Path(cfg["paths"]["run"])))
        return
    place = Path(cfg["paths"]["runs"])
    folders = chosen(cfg["runs"], place)
    print(overview(folders, analyses.final_dsc) if folders else f"no run in {place} yet")


def report(cfg: Mapping, typed: Sequence[str], analyses: Analyses) -> None:
    """The report of one run, or the page of several."""
    if cfg["runs"]:
        analyses.book(chosen(cfg["runs"], Path(cfg["paths"]["runs"]), finished=True, cases="test"), Path(cfg["output"]))
    else:
        folder = Path(cfg["paths"]["run"])
        runfolder.load(folder)
        analyses.report(folder)


def compare(cfg: Mapping, typed: Sequence[str], analyses: Analyses) -> None:
    """Runs side by side."""
    folders = chosen(cfg["runs"], Path(cfg["paths"]["runs"]), finished=True, cases="test")
    analyses.compare(folders, Path(cfg["output"]), differences([runfolder.load(folder) for folder in folders]))


def tuning(cfg: Mapping, typed: Sequence[str], analyses: Analyses) -> None:
    """Runs that were scored on validation cases, all or those named, side by side."""
    folders = chosen(cfg["runs"], Path(cfg["paths"]["runs"]), finished=True, cases="validation")
    output = Path(cfg["output"]) if cfg["output"] else None
    analyses.tuning(folders, differences([runfolder.load(folder) for folder in folders]), output)


def plan(cfg: Mapping, typed: Sequence[str], analyses: Analyses) -> None:
    """Print the state of a run, its folder, and the command that makes it."""
    folder = Path(cfg["paths"]["run"])
    state = runfolder.read_status(folder).get("state", "not run")
    print(f"{state:<9}{folder}    python run.py {' '.join(word for word in typed if not word.startswith('task='))}")


def finish(folders: Sequence[Path], output: Path, analyses: Analyses, compared: bool) -> None:
    """What is made of a sweep's runs: the page or the comparison, or the table of tuning where they were scored on validation cases."""
    if all((folder / SCORES_OF["validation"]).is_file() for folder in folders):
        analyses.tuning(folders, differences([runfolder.load(folder) for folder in folders]), output)
        print(f"tuning: {output}", flush=True)
    elif compared:
        analyses.compare(folders, output, differences([runfolder.load(folder) for folder in folders]))
    else:
        analyses.book(folders, output)


def claims(cfg: Mapping, typed: Sequence[str], analyses: Analyses) -> None:
    """README's numbers against the runs that are there."""
    analyses.claims(Path(cfg["paths"]["runs"]))


TASKS = {"status": status, "report": report, "compare": compare, "tuning": tuning, "claims": claims, "plan": plan}
