"""Stopping on request: the first SIGINT, SIGTERM, SIGUSR1 or SIGUSR2 ends the program with exit code 75, from a safe place.

Finished units and atomic writes make almost every place safe. Code that is not (a training batch before its checkpoint) runs inside
`deferred()`, looks at `requested()` and leaves when it is ready; a second signal does not wait for it.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

EXIT_CODE = 75


class Stopped(SystemExit):
    """Leaves through every `except Exception`; run.py turns it into exit code 75."""

    def __init__(self, cause: str):
        super().__init__(EXIT_CODE)
        self.cause = cause


@dataclass
class _State:
    depth: int = 0
    cause: str | None = None


_state = _State()


def install() -> None:
    """Take the signals over, each only where nobody else handles it (a SLURM launcher requeues on its own)."""
    if threading.current_thread() is not threading.main_thread():
        return
    for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _handle)


def requested() -> bool:
    """Whether a signal waits for the end of `deferred()`."""
    return _state.cause is not None


@contextmanager
def deferred() -> Iterator[None]:
    """Let a signal wait until the body has left; then raise Stopped, unless the body itself failed."""
    _state.depth += 1
    try:
        yield
    finally:
        _state.depth -= 1
    if _state.cause is not None and _state.depth == 0:
        _raise(_state.cause)


def _handle(number: int, frame: object) -> None:
    name = signal.Signals(number).name
    if _state.depth and _state.cause is None:
        _state.cause = name
        return
    _raise(name)


def _raise(cause: str) -> None:
    _state.cause = None
    raise Stopped(cause)
