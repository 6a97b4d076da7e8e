"""H1: as P1, on a GPU in bfloat16, with windows of the paper's size."""

from __future__ import annotations

from benchmarks.contest import Result
from benchmarks.p1_encode_once import contest
from benchmarks.paper import PATCH_ZYX, SMALL, Place, paper_shape

# windows, their size, decoders, repeats, goal by width
SIZES = {"full": (4, PATCH_ZYX, 10, 7, {16: 2.5}), "small": (2, (16, 16, 16), 2, 1, {4: 2.5})}
TOLERANCE = 1e-2  # of logits in bfloat16


def run(size: str = "full") -> list[Result]:
    """One result."""
    windows, patch, count, repeats, goals = SIZES[size]
    shape = paper_shape() if size == "full" else SMALL
    workload = f"{windows} windows of {' x '.join(map(str, patch))}"
    return contest("H1", workload, shape, (windows, 1, *patch), count, repeats, goals, Place.best(), TOLERANCE)
