"""Two ways to the same result, timed in turns in one process, so that a machine that slows down slows both."""

from __future__ import annotations

import ctypes
import gc
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

Times = dict[str, list[float]]  # side -> seconds of each turn, all sides' turns in step


@dataclass(frozen=True)
class Result:
    """One line of the table.

    key: the goal's name, "P1"; workload, ours, rival: in words; ratio: the figure that `goal` is about, at least the goal where
    `higher_is_better`, else at most; equal: what was compared between the two sides, and how far apart it was; ours_s, rival_s: median
    seconds, None where the ratio is not one of times.
    """

    key: str
    workload: str
    ours: str
    rival: str
    ratio: float
    goal: float
    higher_is_better: bool
    equal: str
    note: str = ""
    ours_s: float | None = None
    rival_s: float | None = None

    @property
    def met(self) -> bool:
        """Whether the ratio is on the right side of the goal; a ratio that is not finite never is."""
        return math.isfinite(self.ratio) and (self.ratio >= self.goal if self.higher_is_better else self.ratio <= self.goal)


def alternate(sides: Mapping[str, Callable[[], object]], repeats: int) -> Times:
    """Wall seconds of each side: one call each to warm up, then `repeats` rounds in which every side has its turn.

    Garbage is collected before each turn. Raises ValueError for fewer than one round.
    """
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, found {repeats}")
    times: Times = {name: [] for name in sides}
    for side in sides.values():
        side()
    for _ in range(repeats):
        for name, side in sides.items():
            gc.collect()
            begin = time.perf_counter()
            side()
            times[name].append(time.perf_counter() - begin)
    return times


def give_back_memory() -> None:
    """Collect garbage, and let the C library return what it keeps, so that this process's memory is what it uses."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


def process_bytes(name: str) -> int:
    """This process's memory: `VmRSS`, what it has in RAM, or `VmHWM`, the most that it ever had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))


def speedup(times: Times, ours: str, rival: str) -> float:
    """How many times as fast `ours` is as `rival`: the median over rounds of the two neighbouring turns' ratio."""
    return median(slow / fast for fast, slow in zip(times[ours], times[rival], strict=True))


def agreement(what: str, apart: float, at_most: float) -> str:
    """How far apart the sides' results are, in words. Raises AssertionError where that is more than allowed: a ratio would mean nothing."""
    if not apart <= at_most:
        raise AssertionError(f"the sides differ in {what}: found {apart:.3g}, expected at most {at_most:g}")
    return f"{what}: {'equal' if apart == 0 else f'within {apart:.0e}'}"
