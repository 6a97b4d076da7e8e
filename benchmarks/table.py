"""Results as a Markdown table, with the machine that they were measured on."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.contest import Result

HEADINGS = ("", "workload", "ours", "against", "ours, s", "against, s", "ratio", "goal", "met", "compared")


def table(results: Sequence[Result]) -> str:
    """One row a result, and below it each note that is not empty."""
    rows = [HEADINGS, ("---",) * len(HEADINGS), *(_row(result) for result in results)]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    notes = dict.fromkeys(f"- {result.key}, {result.ours}: {result.note}" for result in results if result.note)
    return "\n".join([*lines, "", *notes] if notes else lines)


def page(results: Sequence[Result], command: str) -> str:
    """The whole file: what was measured, by which command, on what, and the table."""
    return f"""# Speed and memory, side by side

Written by `{command}` on {machine()}. Both sides of a row take turns in one process; times are medians, a ratio of times is the median
over the rounds. 32-bit floats, random weights unless a row says otherwise; `compared` is what was checked to be equal. Where a rival is
not a dependency of this project, the operation that it does is written out in `benchmarks/`, and the row's note says so.

{table(results)}
"""


def machine() -> str:
    """Processor, cores, threads and versions, in one line."""
    return (f"{_processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, Python {platform.python_version()}, "
            f"torch {torch.__version__}")


def _row(result: Result) -> tuple[str, ...]:
    seconds = ["" if value is None else f"{value:.3g}" for value in (result.ours_s, result.rival_s)]
    sign = "≥" if result.higher_is_better else "≤"
    return (result.key, result.workload, result.ours, result.rival, *seconds, f"{result.ratio:.3g}", f"{sign} {result.goal:g}",
            "yes" if result.met else "no", result.equal)


def _processor() -> str:
    """The processor's own name where the system tells it (Linux), else its architecture."""
    listing = Path("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in listing.read_text().splitlines() if line.startswith("model name")] \
        if listing.exists() else []
    return names[0] if names else platform.processor() or platform.machine()
