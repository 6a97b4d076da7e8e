"""Each job as a SLURM job, by submitit."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path

from clnet import stop
from clnet.errors import HostError, UsageError
from clnet.launch.local import POLL_S, Job, LocalLauncher, Progress, attempt, raise_answer, refuse_ddp, silent

CANCEL_S = 10.0  # to wait at most for jobs that were cancelled, so that they do not go on behind the one that failed

log = logging.getLogger(__name__)


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
        refuse_ddp()
        if "SUBMITIT_EXECUTOR" in os.environ or not jobs:
            return LocalLauncher().run(jobs, progress)
        running = self._submit(jobs)
        try:
            while running:
                time.sleep(POLL_S)
                for label in [label for label, job in running.items() if job.done()]:
                    _answer_of(label, running.pop(label))
                    progress(label, len(jobs) - len(running), len(jobs))
        finally:
            for job in running.values():
                job.cancel(check=False)
            deadline = time.monotonic() + CANCEL_S
            while time.monotonic() < deadline and not all(job.done() for job in running.values()):
                time.sleep(POLL_S)

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
            return attempt(self.job)
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


def _answer_of(label: str, job) -> None:
    """Raise what the finished SLURM job raised, or HostError if it left no answer."""
    from submitit.core.utils import UncompletedJobError

    place = f"{label}, log {job.paths.stdout}"
    try:
        answer = job.result()
    except UncompletedJobError as error:
        raise HostError("a job ended without an answer: killed, or too often at its time limit", where=place, found=f"state {job.state}",
                        fix="see its log; the same command continues it") from error  # fmt: skip
    raise_answer(answer, place)
