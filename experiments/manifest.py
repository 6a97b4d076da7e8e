"""What a run was made with: code, versions, machine, seed, data and command, so that a number can be traced and repeated."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

from clnet.atomic import write_json
from clnet.types import Task
from clnet.units import versions

ROOT = Path(__file__).resolve().parent.parent


def collect(cfg: Mapping, data_identities: Mapping[str, str] | None = None, datasets: Iterable[Mapping] = ()) -> dict:
    """Everything that is known about this call; what cannot be found out is null, never an error.

    data_identities: dataset -> identity of its preparation; datasets: what `described` says of them.
    """
    return {
        "command": shlex.join([Path(sys.executable).name, *sys.argv]),
        "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seed": cfg.get("seed"),
        "git": _git(),
        "versions": versions() | {"clnet-bench": _own_version()},
        "hardware": _hardware(),
        "data": dict(data_identities or {}),
        "datasets": [dict(dataset) for dataset in datasets],
    }


def described(tasks: Iterable[Task], test_cases: Mapping[str, int]) -> list[dict]:
    """Each dataset of the order, in the order learned: its name, numbers of training and test cases, and the names of its labels.

    `labelled_cases` are the training cases that keep at least one label. test_cases: dataset -> number of its test cases.
    """
    return [{"name": task.dataset, "training_cases": len(task.cases), "labelled_cases": sum(bool(case.annotated) for case in task.cases),
             "test_cases": test_cases[task.dataset], "labels": [label.name for label in task.labels]} for task in tasks]


def write(folder: Path | str, record: Mapping) -> None:
    """manifest.json of a run folder; the calls that went before are kept in short under `earlier`."""
    path, record = Path(folder) / "manifest.json", dict(record)
    try:
        before = json.loads(path.read_text())
        earlier = before.pop("earlier", [])
        record["earlier"] = [*earlier, {name: before.get(name) for name in ("started", "command", "git")}]
    except (OSError, ValueError):
        record["earlier"] = []
    write_json(path, record)


def _git() -> dict:
    """Revision of the code and whether it was edited since; nulls where there is no git or no repository."""
    revision = _output("git", "-C", str(ROOT), "rev-parse", "HEAD")
    changes = _output("git", "-C", str(ROOT), "status", "--porcelain") if revision else None
    return {"revision": revision, "dirty": None if changes is None else bool(changes)}


def _hardware() -> dict:
    return {
        "host": platform.node(),
        "system": platform.platform(),
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": _memory_gib(),
        "gpus": (_output("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader") or "").splitlines(),
    }


def _cpu_model() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or None


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    except (ValueError, OSError, AttributeError):
        return None


def _own_version() -> str | None:
    try:
        return metadata.version("clnet-bench")
    except metadata.PackageNotFoundError:
        return None


def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
