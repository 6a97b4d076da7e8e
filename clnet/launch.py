"""Jobs that do not depend on each other: one after the other here, several at once on this machine, or each as a SLURM job.

A job is a callable without arguments that builds a unit in the shared store (clnet/units.py); what it returns is dropped. So how many
run at a time changes no result, and after a failure or a stop the same jobs continue from what they left.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import shutil
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing import connection
from pathlib import Path
from typing import Protocol

import cloudpickle

from clnet import stop
from clnet.errors import HostError, PreemptedError, UsageError
from clnet.units import rank

log = logging.getLogger(__name__)

Job = Callable[[], object]
Progress = Callable[[str, int, int], object]

_GRACE_S = 60.0  # from the request to stop until a process is killed: a training batch and its checkpoint
_POLL_S = 1.0


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
        _refuse_ddp()
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


class SubmititLauncher:
    """Each job is a SLURM job of its own; one that reaches its time limit is put into the queue again and continues its unit.

    folder: scripts, pickles and logs, where all nodes see it; gpus, cpus, mem_gb, timeout_min: of each job; cluster: "slurm", "local"
    (all at once on this machine) or None for the first of these that is there; max_num_timeout: how often it may be put into the
    queue again; slurm: more of submitit's SLURM parameters by their names, None for unset.
    Inside a job that submitit itself started (a run of `-m`), jobs follow one another there: that job holds the resources already, and
    would keep them idle while it waited for others. Raises UsageError where there is no SLURM.
    """

    def __init__(
        self, folder: Path | str, gpus: int, cpus: int, mem_gb: float, timeout_min: int, cluster: str | None = None,
        max_num_timeout: int = 100, slurm: Mapping[str, object] | None = None,
    ):  # fmt: skip
        if cluster == "slurm" and shutil.which("srun") is None:
            raise UsageError("there is no SLURM on this machine", found="no srun", fix="launcher=joblib or launcher=local")
        self.folder, self.cluster, self.max_num_timeout = Path(folder).absolute(), cluster, max_num_timeout
        self.parameters = {
            "name": "clnet", "gpus_per_node": gpus or None, "cpus_per_task": cpus, "mem_gb": mem_gb, "timeout_min": timeout_min,
            "nodes": 1, "tasks_per_node": 1, "stderr_to_stdout": True, **{f"slurm_{name}": value for name, value in (slurm or {}).items()},
        }  # fmt: skip

    def run(self, jobs: Mapping[str, Job], progress: Progress = silent) -> None:
        """Do all jobs. Raises HostError, naming its log, for one that ended without an answer; UsageError when SLURM refuses them."""
        _refuse_ddp()
        if "SUBMITIT_EXECUTOR" in os.environ or not jobs:
            return LocalLauncher().run(jobs, progress)
        running = self._submit(jobs)
        try:
            while running:
                time.sleep(_POLL_S)
                for label in [label for label, job in running.items() if job.done()]:
                    _answer_of(label, running.pop(label))
                    progress(label, len(jobs) - len(running), len(jobs))
        finally:
            for job in running.values():
                job.cancel(check=False)

    def _submit(self, jobs: Mapping[str, Job]) -> dict:
        import submitit
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        timeouts = {f"{cluster}_max_num_timeout": self.max_num_timeout for cluster in ("slurm", "local")}
        executor = submitit.AutoExecutor(self.folder, cluster=self.cluster, **timeouts)
        try:
            executor.update_parameters(**self.parameters)
            with submitit.helpers.clean_env(), executor.batch():
                submitted = {label: executor.submit(_Requeued(job)) for label, job in jobs.items()}
        except NameError as error:  # submitit's own for an unknown parameter
            raise UsageError("submitit does not know a parameter", where="launcher.slurm", found=str(error).splitlines()[0]) from None
        except (FailedJobError, FailedSubmissionError) as error:
            raise UsageError("SLURM refused the jobs", found=error, fix="launcher.slurm.partition=... and its like") from error
        log.info("%d jobs submitted, logs in %s", len(jobs), self.folder)
        return submitted


class _Requeued:
    """A job under SLURM's time limit: it stops at a safe place, and only then submitit puts it into the queue again."""

    def __init__(self, job: Job):
        self.job = job

    def __call__(self) -> bytes | None:
        theirs = {number: signal.getsignal(number) for number in (signal.SIGUSR1, signal.SIGUSR2)}
        for number in theirs:
            signal.signal(number, signal.SIG_DFL)
        stop.install()
        try:
            return _attempt(self.job)
        except stop.Stopped as stopped:
            number = signal.Signals[stopped.cause]
            if callable(theirs.get(number)):
                theirs[number](number, None)
            raise
        finally:
            for number, handler in theirs.items():
                signal.signal(number, handler)

    def checkpoint(self) -> object:
        """Submitit's protocol: what to submit again."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


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
        _raise(answer, label)
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
    ready = connection.wait([worker.line for worker in busy], timeout=_POLL_S)
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
            line.send_bytes(_attempt(lambda payload=payload: pickle.loads(payload)()) or b"")


def _attempt(job: Job) -> bytes | None:
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


def _raise(answer: bytes | None, where: str) -> None:
    """Raise the exception that `_attempt` answered with, if any, and say whose it is."""
    if answer:
        log.error("failed: %s", where)
        raise pickle.loads(answer)


def _answer_of(label: str, job) -> None:
    """Raise what the finished SLURM job raised, or HostError if it left no answer."""
    from submitit.core.utils import UncompletedJobError

    place = f"{label}, log {job.paths.stdout}"
    try:
        answer = job.result()
    except UncompletedJobError as error:
        raise HostError("a job ended without an answer: killed, or too often at its time limit", where=place, found=f"state {job.state}",
                        fix="see its log; the same command continues it") from error  # fmt: skip
    _raise(answer, place)


def _refuse_ddp() -> None:
    """One process alone hands out jobs."""
    if rank() > 0 or int(os.environ.get("WORLD_SIZE") or 1) > 1:
        raise UsageError("processes that train together cannot build several decoders at a time",
                         found="RANK or WORLD_SIZE (trainer=ddp, torchrun)", fix="launcher=local, or trainer=gpu")  # fmt: skip
