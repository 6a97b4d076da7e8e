"""Several jobs at a time on this machine, in processes of our own."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing import connection

import cloudpickle

from clnet import stop
from clnet.errors import HostError, PreemptedError, UsageError
from clnet.launch.local import POLL_S, Job, LocalLauncher, Progress, attempt, raise_answer, refuse_ddp, silent

_GRACE_S = 60.0  # from the request to stop until a process is killed: a training batch and its checkpoint


class JoblibLauncher:
    """`jobs` at a time on this machine: what launcher=joblib is to the runs of a sweep, this is to the decoders of a run.

    The processes are our own, not joblib's: where one is killed, joblib and ProcessPoolExecutor end the others as well and cannot
    tell whose job it was. Each is spawned, as forking a process with threads can deadlock, and does one job after the other.
    Raises UsageError for fewer than one.
    """

    def __init__(self, jobs: int):
        if jobs < 1:
            raise UsageError("no job could ever run", found=f"launcher.jobs={jobs}", expected="1 or more")
        self.jobs = jobs

    def run(self, jobs: Mapping[str, Job], progress: Progress = silent) -> None:
        """Do all jobs. Raises PreemptedError when a process is asked to stop, UsageError under DDP."""
        refuse_ddp()
        if min(self.jobs, len(jobs)) < 2:
            return LocalLauncher().run(jobs, progress)
        waiting, done = iter(jobs.items()), 0
        with _workers(min(self.jobs, len(jobs))) as workers:
            while done < len(jobs):
                for worker, (label, job) in zip([worker for worker in workers if worker.label is None], waiting):
                    worker.begin(label, job)
                for worker in _ready(workers):
                    label, done = worker.finish(), done + 1
                    progress(label, done, len(jobs))


class _Worker:
    """A process that does one job after the other."""

    def __init__(self):
        context = multiprocessing.get_context("spawn")
        self.line, far = context.Pipe()
        self.process = context.Process(target=_serve, args=(far,))
        self.process.start()
        far.close()
        self.label: str | None = None

    def begin(self, label: str, job: Job) -> None:
        self.label = label
        payload = cloudpickle.dumps(job)
        with suppress(ConnectionError):  # it is dead: `finish` says so
            self.line.send_bytes(payload)

    def finish(self) -> str:
        """The label of the job that is done. Raises what the job raised, or names the job that ended with its process."""
        try:
            if not self.line.poll():  # dead, but a child of it holds the line open
                raise EOFError
            answer = self.line.recv_bytes()
        except (EOFError, ConnectionError):
            self.process.join()
            raise self._death() from None
        label, self.label = self.label, None
        raise_answer(answer, label)
        return label

    def _death(self) -> Exception:
        code = self.process.exitcode
        if code == stop.EXIT_CODE:
            return PreemptedError("a process was asked to stop", where=self.label)
        found = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return HostError("the process of a job has died: most likely out of memory", where=self.label, found=found,
                         fix="fewer at a time (launcher.jobs=...), then run the same command again: what is finished is kept")  # fmt: skip


@contextmanager
def _workers(count: int) -> Iterator[list[_Worker]]:
    """Processes that do not outlive the body: idle ones leave by themselves, busy ones are asked to stop, and killed after a while."""
    if multiprocessing.get_start_method(allow_none=True) == "loky":  # in a run of `-m launcher=joblib`; spawned processes do not know it
        multiprocessing.set_start_method(None, force=True)
    workers: list[_Worker] = []
    try:
        for _ in range(count):
            workers.append(_Worker())
        yield workers
    finally:
        try:
            for worker in workers:
                if worker.label is not None:
                    worker.process.terminate()
                worker.line.close()
            deadline = time.monotonic() + _GRACE_S
            for worker in workers:
                worker.process.join(max(deadline - time.monotonic(), 0))
        finally:  # also when a second signal ends the waiting
            for worker in workers:
                worker.process.kill()
                worker.process.join()
                worker.process.close()


def _ready(workers: list[_Worker]) -> list[_Worker]:
    """Busy workers that answered or died."""
    busy = [worker for worker in workers if worker.label is not None]
    ready = connection.wait([worker.line for worker in busy], timeout=POLL_S)
    return [worker for worker in busy if worker.line in ready or not worker.process.is_alive()]


def _serve(line: connection.Connection) -> None:
    """What a worker does: jobs until its line is closed. It stops at a safe place when it is asked to, or when its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches everyone in the terminal; the parent passes it on as SIGTERM
    stop.install()
    handle = signal.getsignal(signal.SIGTERM)
    numbers = [number for number in signal.valid_signals() if signal.getsignal(number) is handle]

    def once(number: int, frame: object) -> None:  # SLURM signals everyone as well, and a second signal would not wait for safety
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        handle(number, frame)

    for number in numbers:
        signal.signal(number, once)

    def follow_parent() -> None:
        connection.wait([multiprocessing.parent_process().sentinel])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=follow_parent, daemon=True).start()
    with suppress(EOFError, ConnectionError):
        while True:
            payload = line.recv_bytes()
            line.send_bytes(attempt(lambda payload=payload: pickle.loads(payload)()) or b"")
