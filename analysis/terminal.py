"""What a finished run says on the terminal, in at most 120 columns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from textwrap import fill

from analysis import render
from analysis.aggregate import final_mean
from analysis.continual import BASIC_METRICS
from analysis.decoders import frozen_by_step
from analysis.load import Run, is_validation, read_any
from analysis.merging import before_after_table, voxel_table
from analysis.pruning import pruning_table
from analysis.tables import continual_table, dataset_order, final_table, structure_table

WIDTH = 120
VALIDATION = "These are scores of validation cases, to choose settings by; they are no results."


def print_summary(run_folder: Path) -> bool:
    """Print the tables of `run_folder` and return whether they are results, not scores of validation cases.

    Raises what `analysis.load.read_run` raises.
    """
    print(summary(read_any(run_folder)) + (f"\n{VALIDATION}" if is_validation(run_folder) else ""))
    return not is_validation(run_folder)


def final_dsc(run_folder: Path) -> float:
    """The mean DSC that `summary` ends with, of test or of validation cases."""
    return float(final_mean(read_any(run_folder).scores)["dsc"])


def summary(run: Run) -> str:
    """One table per dataset, the final means, the continual metrics, what merging and pruning did, what stayed frozen, what is
    incomplete, and the headline."""
    names = dataset_order(run)
    shown = [structure_table(run, name) for name in names]
    if max(map(render.text_width, shown)) > WIDTH:
        shown = [structure_table(run, name, compact=True, width=WIDTH) for name in names]
    parts = [render.text(replace(table, notes=table.notes[1:]), WIDTH) for table in shown]  # the legend once, below the last
    parts += [fill(shown[0].notes[0], WIDTH)]
    parts += [render.text(table, WIDTH) for table in (final_table(run), continual_table(run, BASIC_METRICS))]
    parts += [_if_it_fits(table) for table in (before_after_table(run), voxel_table(run), pruning_table(run)) if table is not None]
    for title, lines in (("Networks", map(str, frozen_by_step(run.networks))), ("Incomplete", run.notes)):
        wrapped = [fill(line, WIDTH, initial_indent="  ", subsequent_indent="    ") for line in lines]
        parts += ["\n".join([title, *wrapped])] if wrapped else []
    return "\n\n".join([*parts, headline(run)])


def _if_it_fits(table: render.Table) -> str:
    if max(map(len, render.text(replace(table, notes=()), WIDTH).splitlines())) > WIDTH:
        return f"{table.title}: too wide for a terminal, see the report"
    return render.text(table, WIDTH)


def headline(run: Run) -> str:
    """`final mean DSC 0.853 after S4: mean over 77 of 78 (dataset, structure) pairs; missed 3, false positives 5`."""
    mean, last = final_mean(run.scores), max(run.trained_on)
    return (f"final mean DSC {render.number(mean['dsc'])} after S{last}: mean over {int(mean['dsc_n'])} of "
            f"{int(mean['structures'])} (dataset, structure) pairs; missed {int(mean['missed'])}, "
            f"false positives {int(mean['false_positive'])}{'; after merging' if run.stage == 'merged' else ''}")
