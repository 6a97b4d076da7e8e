"""The report of one run: tables as Markdown, LaTeX and CSV, figures as PNG and SVG, and one self-contained HTML page."""

from __future__ import annotations

import base64
import json
import os
import shutil
from html import escape
from pathlib import Path

from analysis import figures, render, tables
from analysis.aggregate import by_structure
from analysis.decoders import decoder_table, footprint_table
from analysis.load import Run, read_run
from analysis.terminal import headline

CSS = """
body { font: 15px/1.45 system-ui, sans-serif; color: #222; max-width: 1200px; margin: 2em auto; padding: 0 1em }
h1 { font-size: 1.5em } h2 { margin-top: 2em; border-bottom: 1px solid #ccc } h3 { font-size: 1em; margin: 1.6em 0 .4em }
.scroll { overflow-x: auto } table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums }
th, td { padding: .15em .7em; text-align: right; white-space: nowrap } th:first-child, td:first-child { text-align: left }
thead tr { border-top: 2px solid #222; border-bottom: 1px solid #222 } tbody { border-bottom: 2px solid #222 }
tr.summary { font-weight: 600; border-top: 1px solid #888 } tbody tr:hover { background: #f2f6fa }
.note { font-size: 12.5px; color: #555; margin: .3em 0 } .headline { font-size: 1.15em; font-weight: 600 }
.warning { background: #fff3e0; border-left: 4px solid #d55e00; padding: .4em .8em }
img { max-width: 100% } pre { overflow-x: auto; font-size: 12px }
"""


def build(run_folder: Path) -> Path:
    """Write `run_folder`/report afresh and return its path; the old report stays until the new one is complete.

    Raises UsageError for a folder that is no run folder, DataError for tables that break the contract.
    """
    run = read_run(Path(run_folder))
    final, draft, old = (run.folder / name for name in ("report", f".report.{os.getpid()}.draft", f".report.{os.getpid()}.old"))
    shutil.rmtree(draft, ignore_errors=True)
    try:
        _fill(run, draft)
        if final.exists():
            final.rename(old)
        draft.rename(final)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
    return final


def _fill(run: Run, folder: Path) -> None:
    (folder / "tables").mkdir(parents=True)
    (folder / "figures").mkdir()
    datasets = tables.dataset_order(run)
    sections = {
        "Results after the last step": [tables.final_table(run), tables.status_table(run)],
        "Continual learning": [tables.continual_table(run)],
        "DSC by structure and step": [tables.structure_table(run, dataset) for dataset in datasets],
        "ASD by structure and step": [tables.structure_table(run, dataset, "asd_mm") for dataset in datasets],
        "Decoders and size": [table for table in (decoder_table(run), footprint_table(run)) if table],
    }
    for table in (table for group in sections.values() for table in group):
        render.write(table, folder / "tables")
    by_structure(run.scores).reset_index().to_csv(folder / "tables" / "structures.csv", index=False)
    pictures = {
        "Results after the last step": (figures.structure_scores(run.scores), "structure_scores",
                                         "DSC of every structure after the last step; fp: predicted where the reference is empty"),
        "Continual learning": (figures.forgetting_curves({run.identity["method"]: run.scores}), "forgetting_curves",
                               "Forgetting curves (as Fig. 4 of the paper): DSC on each dataset from the step that learned it"),
    }
    body = []
    for title, group in sections.items():
        body.append(f"<h2>{escape(title)}</h2>")
        if title in pictures:
            figure, name, caption = pictures[title]
            body.append(_picture(figures.save(figure, folder / "figures", name), caption))
        body += [render.html(table) for table in group]
    (folder / "report.html").write_text(_page(run, "\n".join(body)), encoding="utf-8")


def _picture(png: Path, caption: str) -> str:
    code = base64.b64encode(png.read_bytes()).decode("ascii")
    return (f'<figure><img alt="{escape(caption)}" src="data:image/png;base64,{code}">'
            f"<figcaption class=note>{escape(caption)}</figcaption></figure>")


def _page(run: Run, body: str) -> str:
    title = ", ".join(f"{name} {value}" for name, value in run.identity.items())
    steps = " \N{RIGHTWARDS ARROW} ".join(f"S{step} {name}" for step, name in run.trained_on.items())
    warnings = "".join(f"<p class=warning>{escape(note)}</p>" for note in run.notes)
    manifest = escape(json.dumps(run.manifest, indent=1, ensure_ascii=False)) if run.manifest else "no manifest"
    return (f"<!doctype html>\n<html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
            f"<title>{escape(title)}</title>\n<style>{CSS}</style>\n"
            f"<h1>{escape(title)}</h1>\n<p>{escape(steps)}</p>\n<p class=headline>{escape(headline(run))}</p>\n{warnings}\n"
            f"{body}\n<h2>What was run</h2>\n<details><summary>manifest.json</summary><pre>{manifest}</pre></details>\n</html>\n")
