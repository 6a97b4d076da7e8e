"""How far the whole run is: one line every few seconds, with the time that is left to its end and not only to the epoch's."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

from clnet.units import rank

Listener = Callable[[float, float, str], object]  # share done (0 to 1), seconds left (NaN: unknown), the piece of work


class RunProgress:
    """Counts planned work in units of cost (about one decoder's training step each) and estimates the time left.

    Work that turns out to be finished before the run began is taken off the plan, so that it does not spoil the estimate.
    listener: told of progress as it is made, at most once in `interval_s`; copies in other processes have none.
    """

    def __init__(self, interval_s: float = 10.0, stream: TextIO | None = None, listener: Listener | None = None):
        self.interval_s, self.stream, self.listener = interval_s, stream, listener
        self.planned: dict[str, float] = {}
        self.done: dict[str, float] = {}
        self.started = self.printed = self.told = time.monotonic()
        self.began_at = time.time()

    def __getstate__(self) -> dict:
        return self.__dict__ | {"listener": None}

    def plan(self, name: str, cost: float) -> None:
        """Announce a piece of work before it begins."""
        self.planned[name] = cost

    def skip(self, name: str, finished_at: float) -> None:
        """The piece has been finished at that time, in seconds since 1970: it counts as done, by another process of this run, or was
        done before and is taken off the plan.
        """
        if self.done.get(name):
            return
        if finished_at >= self.began_at:
            self.done[name] = self.planned.get(name, 0.0)
            self._tell(name)
        else:
            self.planned.pop(name, None)

    def advance(self, name: str, cost: float, note: str = "") -> None:
        """`cost` more of the piece is done; prints when the interval has passed."""
        self.planned.setdefault(name, 0.0)
        self.done[name] = self.done.get(name, 0.0) + cost
        now = time.monotonic()
        if now - self.printed >= self.interval_s:
            self.printed = now
            self.say(f"{name:<44} {note:<22} run {100 * self.share:3.0f} %  time left {clock(self.seconds_left)}")
        self._tell(name)

    def finish(self, name: str) -> None:
        """The piece is complete, whatever was counted."""
        self.planned[name] = self.done.get(name, 0.0)
        self._tell(name)

    def say(self, text: str) -> None:
        """Print a line at once; of several processes that train together the first one does."""
        if rank() > 0:
            return
        print(f"[{clock(time.monotonic() - self.started)}] {text}", file=self.stream or sys.stdout, flush=True)

    @property
    def share(self) -> float:
        """Share of the planned cost that is done, 0 to 1."""
        planned = sum(max(cost, self.done.get(name, 0.0)) for name, cost in self.planned.items())
        return sum(self.done.get(name, 0.0) for name in self.planned) / planned if planned else 0.0

    @property
    def seconds_left(self) -> float:
        """Estimate from the pace so far."""
        share = self.share
        return (time.monotonic() - self.started) * (1 - share) / share if share > 0 else float("nan")

    def _tell(self, name: str) -> None:
        if self.listener is not None and time.monotonic() - self.told >= self.interval_s:
            self.listener(self.share, self.seconds_left, name)
            self.told = time.monotonic()


def clock(seconds: float) -> str:
    """`4:05:59`, `05:59`; `--:--` for NaN."""
    if seconds != seconds:
        return "--:--"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"
