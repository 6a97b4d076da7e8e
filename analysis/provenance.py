"""Where a page's numbers come from: the runs, how each stands, and links to its folder, tables and manifest."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from analysis.aggregate import final_mean
from analysis.groups import Group
from analysis.load import Run
from analysis.render import Table, number
from clnet.errors import DataError

REPORT = "report/report.html"
FILES = ("config.yaml", "manifest.json", "scores.csv", "decoders.csv", "footprint.csv", "merging.csv", "weights.csv")
FINISHED = "finished"


def labels(groups: Sequence[Group]) -> dict[str, Run]:
    """Each run under its group's name, with the seed where the group has several."""
    return {group.name if len(group.runs) == 1 else f"{group.name}, seed {run.identity['seed']}": run
            for group in groups for run in group.runs}


def state(run: Run) -> str:
    """How the run ended, as its status.json says; raises DataError for a damaged one."""
    path = run.folder / "status.json"
    if not path.is_file():
        return "unknown: no status.json"
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["state"])
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise DataError("status.json cannot be read", where=path, found=error, fix="run the same command again") from error


def warnings(groups: Sequence[Group]) -> list[str]:
    """Sentences on runs that are not finished, or whose tables lack rows."""
    found = []
    for label, run in labels(groups).items():
        found += [] if state(run) == FINISHED else [f"{label}: the run is not finished (state: {state(run)})"]
        found += [f"{label}: {note}" for note in run.notes]
    return found


def runs_table(groups: Sequence[Group]) -> Table:
    """One row per run: what it is, how it stands, its headline and the revision of the code that made it."""
    data = []
    for group in groups:
        for run in group.runs:
            final, git = final_mean(run.scores), run.manifest.get("git") or {}
            data.append({"name": group.name, **run.identity, "scenario": group.scenario, "steps": len(run.trained_on), "stage": run.stage,
                         "state": state(run), "dsc": final["dsc"], "dsc_n": final["dsc_n"], "pairs": final["structures"],
                         "missed": final["missed"], "false_positive": final["false_positive"], "revision": git.get("revision"),
                         "dirty": git.get("dirty"), "folder": str(run.folder)})
    header = ("name", "experiment", "order", "method", "seed", "steps", "stage", "state", "final mean DSC", "missed", "fp", "revision")
    rows = tuple((line["name"], f"{line['experiment']}, {line['scenario']}", line["order"], line["method"], line["seed"],
                  str(line["steps"]), line["stage"], line["state"], f"{number(line['dsc'])} (n={int(line['dsc_n'])})",
                  str(int(line["missed"])), str(int(line["false_positive"])), _revision(line)) for line in data)
    notes = ("final mean DSC: after the last step, over the n (dataset, structure) pairs that have a value. missed, fp: counts of "
             "case-structure pairs. revision: of the code; +: with changes that were not committed.",)
    return Table("runs", "Runs", header, rows, pd.DataFrame(data), notes)


def anchor(word: str) -> str:
    """`Table S12` -> `table-s12`: an identifier for links within a page."""
    return re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-")


def name_links(names: Iterable[str]) -> dict[str, str]:
    """Name of a group -> where the page tells of its runs."""
    return {name: f"#run-{anchor(name)}" for name in names}


def file_links(folder: Path, page_folder: Path) -> str:
    """Links from a page in `page_folder` to a run folder, to its report and to the tables in it."""
    relative = quote(Path(os.path.relpath(folder.resolve(), page_folder.resolve())).as_posix())
    names = FILES if page_folder.parent == folder else (REPORT, *FILES)  # a report does not lead to itself
    present = [(name, f"{relative}/{name}") for name in names if (folder / name).is_file()]
    return ", ".join(f"<a href='{escape(address)}'>{escape(text)}</a>" for text, address in [("run folder", f"{relative}/"), *present])


def manifest(run: Run) -> str:
    """The run's manifest, folded."""
    text = json.dumps(run.manifest, indent=1, ensure_ascii=False) if run.manifest else "no manifest"
    return f"<details><summary>manifest.json</summary><pre>{escape(text)}</pre></details>"


def folders(groups: Sequence[Group], page_folder: Path) -> str:
    """Each group's runs: links to folder and files, and the manifest."""
    parts = []
    for group in groups:
        runs = labels([group])
        parts.append(f"<div id=run-{anchor(group.name)}>" + "".join(
            f"<p><b>{escape(label)}</b> ({escape(state(run))}): {file_links(run.folder, page_folder)}</p>{manifest(run)}"
            for label, run in runs.items()) + "</div>")
    return "\n".join(parts)


def _revision(line: dict) -> str:
    return f"{str(line['revision'])[:8]}{'+' if line['dirty'] else ''}" if line["revision"] else ""
