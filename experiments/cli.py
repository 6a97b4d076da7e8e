"""The command line: help, exit codes, and one job of Hydra's. Nothing here imports torch before the command is known to be right."""

from __future__ import annotations

import importlib
import logging
import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from clnet import stop
from clnet.atomic import host_error
from clnet.errors import ClnetError, HostError, PreemptedError, UsageError
from clnet.learn.progress import clock
from clnet.units import rank
from experiments import overrides, reading, runfolder, sweep

_LISTED = ("experiment", "order", "data", "dataset", "method", "encoder", "scale")
_OTHER_CONFIGURATION = {"--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd"}
_PASSED_ON = {"--hydra-help", "--cfg", "-c", "--info", "-i", "--version", "--shell-completion", "-sc", *_OTHER_CONFIGURATION}
AGAIN = "run the same command again: it continues where this one stopped"


def help_text(conf: Path) -> str:
    """Tasks, experiments, orders, data, methods ... with one line each, from the first comment of each YAML."""
    lines = ["python run.py [experiment=NAME] [KEY=VALUE ...]      a continual segmentation benchmark around CL-Net", ""]
    lines += ["Examples", "  python run.py                                         order 1 on the built-in phantom, tiny, on a CPU",
              "  python run.py experiment=openkbp data.root=FOLDER     real head-and-neck CT",
              "  python run.py experiment=order1 data=public scale=paper trainer=gpu",
              "  python run.py -m experiment=order1,order2 seed=0,1    a sweep; launcher=joblib runs it in parallel",
              "  python run.py experiment=fig4 task=plan               the runs of a sweep that has a name; without task=plan: do them",
              "  python run.py task=verify data=public                 check every file of the datasets",
              "  python run.py task=status                             how all runs stand",
              "  python run.py task=report runs='outputs/runs/*' output=FOLDER   the paper's tables and figures, from these runs", ""]
    lines += _section("task=", overrides.TASKS)
    for group in _LISTED:
        lines += _section(f"{group}=", {name: _first_comment(conf / group / f"{name}.yaml") for name in overrides.choices(conf, group)})
    lines.append("Also")
    for group in overrides.groups(conf):
        if group not in _LISTED:
            lines.append(f"  {group + '=':<14}{' | '.join(overrides.choices(conf, group))}")
    lines += ["", "The same command continues an interrupted run. --cfg job prints the whole configuration; conf/config.yaml explains it.",
              "Exit codes: 0 ok, 1 a bug, 2 usage, 3 invalid data, 4 disk, permission or memory, 75 stopped: run it again."]
    return "\n".join(lines)


def spelled(argv: Sequence[str]) -> list[str]:
    """The command line with `runs=A,B` as Hydra's list of texts; as it stands Hydra takes commas for a sweep and refuses some paths."""
    return [_as_list(argument) if argument.startswith("runs=") else argument for argument in argv]


def check(argv: Sequence[str], conf: Path) -> sweep.Sweep | None:
    """Raise UsageError for a command line that would fail later; leaves alone what is a question to Hydra itself.

    Returns the sweep that it asks for, if it does.
    """
    asked, flagged = sweep.sweep_of(argv, conf), {argument.partition("=")[0] for argument in argv}
    if asked and flagged & _OTHER_CONFIGURATION:
        raise UsageError("a sweep cannot have a configuration from elsewhere", where=f"experiment={asked.name}",
                         fix=f"give its commands one by one; experiment={asked.name} task=plan lists them")
    if _PASSED_ON & flagged:
        return None
    flags = [argument for argument in argv if argument.startswith("-")]
    for flag in flags:
        if flag not in ("-m", "--multirun"):
            name = flag.lstrip("-").partition("=")[0]
            raise UsageError(f"unknown option: {flag}", expected="KEY=VALUE without dashes, -m, --help", fix=f"did you mean {name}=...?")
    for line in asked.samples if asked else [[argument for argument in argv if argument not in flags]]:
        overrides.check(line, conf, multirun=bool(flags or asked))
    return asked


def job(cfg, analyses: reading.Analyses) -> None:
    """What Hydra calls, once or once for each job of a sweep: from the DictConfig to plain values, to the task."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    stop.install()
    multiprocessing.set_start_method(None, force=True)  # in Hydra's joblib jobs it is loky's, which our own processes cannot start by
    logging.basicConfig(format="%(message)s")
    logging.getLogger("clnet").setLevel(logging.INFO)  # for instance that another process builds what this one waits for
    try:
        plain = OmegaConf.to_container(cfg, resolve=True)
        typed = list(HydraConfig.get().overrides.task)
        plain["paths"]["run"] = str(runfolder.place_of(plain, typed))
        _perform(plain, typed, analyses)
    except Exception as error:
        known = as_clnet_error(error) or error
        if isinstance(known, ClnetError):
            print(f"error: {known}", file=sys.stderr, flush=True)
        else:
            traceback.print_exc()
        known.told = True
        raise known from (error.__cause__ if known is error else error)


def _perform(plain: dict, typed: Sequence[str], analyses: reading.Analyses) -> None:
    task, folder = plain["task"], Path(plain["paths"]["run"])
    if task in reading.TASKS:
        reading.TASKS[task](plain, typed, analyses)
    elif task != "run":
        getattr(importlib.import_module("experiments.tasks"), task)(plain)
    else:
        importlib.import_module("experiments.tasks").run(plain)
        if rank() == 0:
            analyses.report(folder)
            print(f"run folder: {folder}", flush=True)


def perform(asked: sweep.Sweep, main: Callable[[], object], conf: Path, analyses: reading.Analyses) -> int:
    """All runs of a sweep by Hydra's `main`, then the page of them, and how long that took. Returns the exit code."""
    began = time.monotonic()

    def multirun(arguments: Sequence[str]) -> int:
        sys.argv[1:] = arguments
        return exit_code_of(main)

    code = sweep.perform(asked, multirun)
    if not any(word.startswith("task=") for word in asked.typed):
        found, page = sweep.folders(asked, conf)
        code = code or exit_code_of(lambda: reading.finish(found, page, analyses, asked.compared))
        done = sum(runfolder.read_status(folder).get("state") == "finished" for folder in found)
        print(f"{asked.name}: {done} of {len(found)} runs are finished, after {clock(time.monotonic() - began)}"
              f"{f'; {AGAIN}' if done < len(found) else ''}", flush=True)
    return code


def exit_code_of(action: Callable[[], object]) -> int:
    """Do it and say how it ended. What a job has printed about its own failure is not printed twice."""
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # exceptions come out of Hydra as they are
    try:
        action()
    except stop.Stopped as stopped:
        print(f"stopped by {stopped.cause}; {AGAIN}", file=sys.stderr, flush=True)
        return stop.EXIT_CODE
    except KeyboardInterrupt:
        print(f"stopped; {AGAIN}", file=sys.stderr, flush=True)
        return stop.EXIT_CODE
    except Exception as error:
        if not getattr(error, "told", False):
            traceback.print_exc()
        return getattr(error, "exit_code", 1)
    return 0


def as_clnet_error(error: Exception) -> ClnetError | None:
    """The error that a user can act on, if the machine or the user caused it; None for a bug."""
    if isinstance(error, PreemptedError) and error.fix is None:
        return PreemptedError(error.what, where=error.where, fix=AGAIN)
    if isinstance(error, ClnetError):
        return error
    if isinstance(error, OSError):
        return host_error(error)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(error):
        return HostError("out of memory", found=str(error).splitlines()[0] if str(error) else type(error).__name__,
                         fix="a smaller scale=, fewer trainer.workers, or a larger machine; then run the same command again")
    return None


def _as_list(argument: str) -> str:
    key, _, value = argument.partition("=")
    if value in ("", "null") or value[0] in "['\"":
        return argument
    names = ["'" + name.replace("'", "\\'") + "'" for name in value.split(",")]
    return f"{key}=[{','.join(names)}]"


def _section(title: str, entries: dict[str, str]) -> list[str]:
    width = max((len(name) for name in entries), default=0) + 2
    return [title, *(f"  {name:<{width}}{line}" for name, line in entries.items()), ""]


def _first_comment(file: Path) -> str:
    for line in file.read_text().splitlines():
        text = line.strip()
        if text and not text.startswith("#"):
            break
        if text.startswith("#") and not text.startswith("# @"):
            return text.lstrip("# ")
    return ""
