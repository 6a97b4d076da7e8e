"""How a method meets its tasks: a generator that yields a snapshot after every step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clnet.errors import ClnetError, UsageError
from clnet.types import Snapshot, Task


def continual(method, tasks: Sequence[Task]) -> Iterator[Snapshot]:
    """One dataset after the other; a method sees the training cases of the current one alone.

    Raises ClnetError when a step changed weights that it had no right to: the encoder after the first step, or a decoder without
    a label in the step's dataset.
    Source: CL-Net A2 (CSS setting).
    """
    method.announce(tasks)
    hashes: dict[str, str] = {}
    for step, task in enumerate(tasks):
        method.learn(task)
        now = method.hashes()
        changed = {name for name, value in hashes.items() if now.get(name) != value} - set(method.updated)
        if changed:
            raise ClnetError("frozen weights changed", where=f"step {step}, {task.dataset}", found=", ".join(sorted(changed)))
        hashes = now
        yield Snapshot(step, tuple(t.dataset for t in tasks[: step + 1]), task.dataset, method, method.seconds, now)


def universal(method, tasks: Sequence[Task]) -> Iterator[Snapshot]:
    """All datasets at once, in a single step that the tables call `all`.

    Raises UsageError for a method that has no `learn_together(tasks)`.
    Source: CL-Net A2 (universal setting).
    """
    if not hasattr(method, "learn_together"):
        raise UsageError("this method cannot learn datasets together", where=f"method={method.name}", fix="scenario=continual")
    method.announce(tasks, together=True)
    method.learn_together(tasks)
    yield Snapshot(0, tuple(task.dataset for task in tasks), "all", method, method.seconds, method.hashes())
