"""The report of one run: tables as Markdown, LaTeX and CSV, figures as PNG and SVG, and one self-contained HTML page."""

from __future__ import annotations

from html import escape
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from analysis import browser, figures, provenance, pruning, render, tables
from analysis.aggregate import by_structure
from analysis.decoders import decoder_table, footprint_table
from analysis.frozen import broken, frozen_table
from analysis.load import Run, read_run
from analysis.merging import before_after_table, voxel_table
from analysis.page import page, picture, publish
from analysis.pruning_figure import pruning_effect
from analysis.terminal import headline


def build(run_folder: Path) -> Path:
    """Write `run_folder`/report afresh and return its path; the old report stays until the new one is complete.

    Raises UsageError for a folder that is no run folder, DataError for tables that break the contract, HostError for a full disk.
    """
    run = read_run(Path(run_folder))
    publish(run.folder / "report", lambda folder: _fill(run, folder))
    return run.folder / "report"


def _fill(run: Run, folder: Path) -> None:
    datasets = tables.dataset_order(run)
    sections = {
        "Results after the last step": [tables.final_table(run), tables.status_table(run)],
        "Continual learning": [tables.continual_table(run)],
        "Merging": [before_after_table(run), voxel_table(run)],
        "DSC by structure and step": [tables.structure_table(run, dataset) for dataset in datasets],
        "ASD by structure and step": [tables.structure_table(run, dataset, "asd_mm") for dataset in datasets],
        "Pruning": [pruning.pruning_table(run)],
        "What stayed frozen": [frozen_table({_name(run): run})],
        "Decoders and size": [decoder_table(run), footprint_table(run)],
    }
    pictures, body = _pictures(run), []
    for title, group in sections.items():
        present = [table for table in group if table is not None]
        if not present:
            continue
        body.append(f"<h2>{escape(title)}</h2>")
        if title in pictures:
            figure, name, caption = pictures[title]
            body.append(picture(figures.save(figure, folder / "figures", name), caption))
        for table in present:
            render.write(table, folder / "tables")
            body.append(render.html(table))
        if title == "Results after the last step":
            body.append(f"<h2>Test cases</h2>\n{browser.case_browser({_name(run): run})}")
    every = {stage: by_structure(run.scores, stage).reset_index() for stage in run.stages}
    pd.concat(every, names=["stage", None]).reset_index("stage").to_csv(folder / "tables" / "structures.csv", index=False)
    (folder / "report.html").write_text(_page(run, "\n".join(body)), encoding="utf-8")


def _pictures(run: Run) -> dict[str, tuple[Figure, str, str]]:
    """Section -> figure, its name and its caption."""
    found = {"Results after the last step": (
        figures.structure_scores(run.scores), "structure_scores",
        f"DSC of every structure after the last step, {run.stage}; fp: predicted where the reference is empty")}
    if len(run.trained_on) > 1:
        found["Continual learning"] = (
            figures.forgetting_curves({run.identity["method"]: run.scores}), "forgetting_curves",
            f"Forgetting curves (as Fig. 4 of the paper): DSC on each dataset from the step that learned it, {run.stage}")
    effect = pruning.effect_within(run)
    if pruning.is_pruned(run) and effect["difference_points"].notna().any():
        found["Pruning"] = (
            pruning_effect(effect, "validation DSC difference (points)"), "pruning_effect",
            "Pruning (as Fig. 3 of the paper): validation DSC after pruning minus before, and pruning rate of each decoder; "
            f"{pruning.effect_in_words(effect)}. A bar that is cut bears its value")
    return found


def _page(run: Run, body: str) -> str:
    steps = " \N{RIGHTWARDS ARROW} ".join(f"S{step} {name}" for step, name in run.trained_on.items())
    notes = [*run.notes, *broken({_name(run): run})]
    warnings = "".join(f"<p class=warning>{escape(note)}</p>" for note in notes)
    links = provenance.file_links(run.folder, run.folder / "report")
    return page(", ".join(f"{name} {value}" for name, value in run.identity.items()),
                f"<p>{escape(steps)}</p>\n<p class=headline>{escape(headline(run))}</p>\n{warnings}\n{body}\n<h2>What was run</h2>\n"
                f"<p>{links}</p>\n{provenance.manifest(run)}")


def _name(run: Run) -> str:
    return run.folder.resolve().name
