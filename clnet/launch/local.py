"""What all launchers share: what a job is, how its outcome travels, and doing jobs in this process."""

from __future__ import annotations

import logging
import os
import pickle
import traceback
from collections.abc import Callable, Mapping
from typing import Protocol

import cloudpickle

from clnet.errors import UsageError
from clnet.units import rank

log = logging.getLogger(__name__)

Job = Callable[[], object]
Progress = Callable[[str, int, int], object]
POLL_S = 1.0


def silent(label: str, done: int, total: int) -> None:
    """Progress that nobody looks at."""


class Launcher(Protocol):
    """What all of them do."""

    def run(self, jobs: Mapping[str, Job], progress: Progress = silent) -> None:
        """Do all jobs, label -> job; `progress(label, done, total)` is called in this process after each.

        Raises what the first failing job raised, as if it had run here, or HostError naming the job whose process was killed. Then,
        and when this process is stopped, the other jobs are stopped too.
        """


class LocalLauncher:
    """One job after the other in this process."""

    def run(self, jobs: Mapping[str, Job], progress: Progress = silent) -> None:
        """Do all jobs; the first that raises ends it."""
        for done, (label, job) in enumerate(jobs.items(), start=1):
            job()
            progress(label, done, len(jobs))


def attempt(job: Job) -> bytes | None:
    """Do the job; the exception that it raised, pickled, or None. A request to stop passes through."""
    try:
        job()
    except Exception as error:
        text = traceback.format_exc()
        error.add_note(f"in process {os.getpid()}:\n{text}")
        try:
            pickled = cloudpickle.dumps(error)
            pickle.loads(pickled)
        except Exception:
            return cloudpickle.dumps(RuntimeError(text))
        return pickled
    return None


def raise_answer(answer: bytes | None, where: str) -> None:
    """Raise the exception that `attempt` answered with, if any, and say whose it is."""
    if answer:
        log.error("failed: %s", where)
        raise pickle.loads(answer)


def refuse_ddp() -> None:
    """One process alone hands out jobs."""
    if rank() > 0 or int(os.environ.get("WORLD_SIZE") or 1) > 1:
        raise UsageError("processes that train together cannot build several decoders at a time",
                         found="RANK or WORLD_SIZE (trainer=ddp, torchrun)", fix="launcher=local, or trainer=gpu")  # fmt: skip
