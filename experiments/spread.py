"""Scans spread over processes: one a GPU, or several on a CPU; each loads the model once and takes one scan after the other."""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from filelock import FileLock, Timeout

from clnet.data.pool import each
from clnet.errors import DataError, UsageError
from experiments.outputs import Outputs
from experiments.scans import Scan
from experiments.trained import TrainedModel


@dataclass(frozen=True)
class Outcome:
    """Of one scan: the structures found, or why it is refused, and the seconds it took."""

    found: tuple[str, ...]
    refused: DataError | None
    seconds: float


@dataclass(frozen=True)
class Settings:
    """All that a process needs to load the model. hardware: the trainer's settings as JSON text, so that these can be a key."""

    run: Path
    hardware: str
    outputs: Outputs

    def model(self) -> TrainedModel:
        """The model, without its weights."""
        return TrainedModel(self.run, json.loads(self.hardware), self.outputs)


def workers_of(hardware: Mapping, wanted: int) -> int:
    """How many processes: the trainer's devices on GPUs, `wanted` on a CPU. Raises UsageError for GPUs that are not there."""
    if hardware.get("accelerator") not in ("gpu", "cuda"):
        return wanted
    import torch

    devices, there = int(hardware.get("devices") or 1), torch.cuda.device_count()
    if devices > there:
        raise UsageError("fewer GPUs than asked for", where="trainer.devices", found=f"{there} GPU(s)", expected=devices,
                         fix=f"trainer.devices={there}" if there else "trainer=cpu")  # fmt: skip
    return devices


def shared_out(hardware: Mapping, workers: int) -> dict:
    """The trainer's settings of one of several processes: without a number of threads each gets its share of the cores."""
    threads = hardware.get("threads") or (max(1, (os.cpu_count() or 1) // workers) if workers > 1 else None)
    return {**hardware, "threads": threads}


def labelled(model: TrainedModel, settings: Settings, scans: Sequence[Scan], workers: int) -> Iterator[tuple[Scan, Outcome]]:
    """Each scan with what came of it, as they are done: in this process with `model`, or in `workers` others, one scan at a time each.

    Which process takes a scan changes nothing of what is written. Raises HostError naming scans whose process is killed twice.
    """
    if not scans:
        return
    if min(workers, len(scans)) < 2:
        predictor = model.predictor()
        yield from ((scan, _outcome(model, predictor, scan)) for scan in scans)
        return
    with TemporaryDirectory(prefix="clnet-predict-") as places:
        yield from each(partial(_label, settings, workers, Path(places)), scans, workers, lambda scan: str(scan.image))


def _label(settings: Settings, workers: int, places: Path, scan: Scan) -> Outcome:
    return _outcome(*_loaded(settings, workers, places), scan)


@functools.cache
def _loaded(settings: Settings, workers: int, places: Path) -> tuple[TrainedModel, Callable]:
    """The model with its weights, once a process, on a GPU of its own."""
    model = settings.model()
    if model.method.shop.device.type == "cuda":
        import torch

        torch.cuda.set_device(_own_place(workers, places))
    return model, model.predictor()


_HELD: list[FileLock] = []  # until the process ends, however it ends


def _own_place(count: int, places: Path) -> int:
    """The first number below `count` that no other process has. Raises UsageError where all are taken."""
    for number in range(count):
        lock = FileLock(places / f"{number}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        _HELD.append(lock)
        return number
    raise UsageError("more processes than GPUs", found=count, fix="trainer.devices=NUMBER")


def _outcome(model: TrainedModel, predictor: Callable, scan: Scan) -> Outcome:
    began = time.monotonic()
    try:
        return Outcome(tuple(model.label(scan, predictor)), None, time.monotonic() - began)
    except DataError as error:
        return Outcome((), error, time.monotonic() - began)
