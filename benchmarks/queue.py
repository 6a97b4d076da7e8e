"""`python -m benchmarks.queue [SIZE ...]`: what a momentum queue takes of memory and time, by its number of entries.

Encoder, patches and queue are a scale's own, with random weights and synthetic scans. One queue is filled further and further, so a row's
memory is what the process has grown by since it was empty; a step is the loss to drawn entries and its gradient, which is what training
with a queue adds to training without.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from tabulate import tabulate

from benchmarks.contest import give_back_memory, process_bytes
from benchmarks.paper import SCALES
from benchmarks.scans import image_hu
from clnet.learn.momentum_queue import FeatureQueue, QueuePlan, Rehearsal
from clnet.model.encoder import Encoder

HEADER = ("entries", "MiB an entry", "GiB, stated", "GiB, measured", "s to fill", "s to save", "s to load", "s a step")
STEPS = 5


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a row for every size."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.queue", description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=[128, 1024, 4096], metavar="SIZE", help="entries (128 1024 4096)")
    parser.add_argument("--scale", default="tiny")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (2)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    with initialize_config_dir(str(SCALES.parent), version_base="1.3"):
        cfg = compose("config", [f"scale={options.scale}", "encoder=momentum_queue"])
    plan, shape = instantiate(cfg.encoder.stages.supervised.queue), instantiate(cfg.scale.network)
    channels = instantiate(cfg.scale.intensity).channels
    rows = list(measured(plan, Encoder(shape, channels), channels, sorted(options.sizes)))
    print(f"scale={options.scale}, patches of {' x '.join(map(str, plan.patch_zyx))}, cells of {plan.pool}^3, "
          f"{options.threads} threads, torch {torch.__version__}\n")
    print(tabulate(rows, HEADER, "github", floatfmt=(".0f", ".2f", ".2f", ".2f", ".0f", ".1f", ".1f", ".3f")))


def measured(plan: QueuePlan, encoder: Encoder, channels: int, sizes: Sequence[int]) -> Iterator[tuple[float, ...]]:
    """A row of HEADER for every size, which ascend. Raises HostError where the largest queue does not fit."""
    plan = replace(plan, size=sizes[-1])
    plan.memory(encoder.shape, channels)
    entry, queue, spent = plan.entry_bytes(encoder.shape, channels), FeatureQueue(plan), 0.0
    image = torch.from_numpy(image_hu(plan.patch_zyx)).float().div(1000).expand(1, channels, *plan.patch_zyx).contiguous()
    with torch.no_grad():
        encoder(image)  # what the process keeps for itself is there before the queue grows
    give_back_memory()
    empty = process_bytes("VmRSS")
    for size in sizes:
        begin = time.perf_counter()
        with torch.no_grad():
            while len(queue) < size:
                queue.add(image, encoder(image))
        spent += time.perf_counter() - begin
        give_back_memory()
        grown = process_bytes("VmRSS") - empty
        with TemporaryDirectory() as folder:
            path = Path(folder, "queue.safetensors")
            saving, loading = seconds(queue.save, path), seconds(FeatureQueue.load, path, plan)
        held = Rehearsal(queue, 0)
        steps = [seconds(_step, held, encoder, number) for number in range(STEPS)]
        yield size, entry / 2**20, size * entry / 2**30, grown / 2**30, spent, saving, loading, median(steps)


def _step(held: Rehearsal, encoder: Encoder, number: int) -> None:
    held.loss(encoder, number).backward()


def seconds(what: Callable, *arguments) -> float:
    """Wall time of one call."""
    begin = time.perf_counter()
    what(*arguments)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
