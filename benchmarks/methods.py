"""`python -m benchmarks.methods [NAME ...]`: what a training step of every method takes of a GPU at scale=paper.

Networks, patches, batches, losses and augmentation are the paper's; the scans are two of the phantom's datasets on a coarse grid, as what
they show makes no difference to a step's time, and the lessons are a few steps long. Seconds are those of a lesson's last epoch.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from tabulate import tabulate

from benchmarks.paper import SCALES
from clnet.learn.progress import RunProgress
from clnet.units import UnitStore
from experiments.pipeline import Preparation, datasets, encoder_datasets, encoder_tasks, method_of, tasks_and_tests

METHODS = {
    "CL-Net": ("method=clnet", "decoder.refine=null"),
    "CL-Net, SimSiam": ("method=clnet", "encoder=simsiam", "order.steps=[chest]", "decoder.refine=null"),
    "CL-Net, momentum queue": ("method=clnet", "encoder=momentum_queue", "encoder.datasets=[whole_body,chest]",
                               "encoder.stages.supervised.queue.size=16", "order.steps=[chest]", "decoder.refine=null"),
    "fine-tuning": ("method=finetune",), "LwF": ("method=lwf",), "ILT": ("method=ilt",), "MiB": ("method=mib",), "PLOP": ("method=plop",),
    "CSCLIP": ("method=csclip",), "CSCLIP, Swin UNETR": ("method=csclip", "method.backbone=swin_unetr"),
}  # fmt: skip
LESSONS = ("encoder", "new", "update", "view", "pair", "first", "later")  # of scale.training
COARSE_MM = [6.0, 5.0, 5.0]


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a row for every training, as each method ends."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.methods", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which methods (all): {', '.join(METHODS)}")
    parser.add_argument("--steps", type=int, default=12, help="of each of the two epochs of a lesson (12)")
    parser.add_argument("--scale", default="paper")
    parser.add_argument("--trainer", default="gpu")
    parser.add_argument("--folder", type=Path, help="for phantom, prepared scans and units; a temporary one")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in METHODS]:
        parser.error(f"no such method: {', '.join(unknown)}; there are {', '.join(METHODS)}")
    rows = []
    with TemporaryDirectory() as temporary:
        for name in options.names or METHODS:
            folder = options.folder or Path(temporary)
            cfg = configuration(METHODS[name], options.scale, options.trainer, options.steps, folder)
            own = [[name, *row] for row in measured(cfg, options.steps, folder)]
            print(*own, sep="\n", file=sys.stderr, flush=True)
            rows += own
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    print(f"{device}, torch {torch.__version__}, trainer={options.trainer}, scale={options.scale}\n")
    print(tabulate(rows, ["method", "training", "seconds a step", "GPU memory, GiB"], "github", floatfmt=(None, None, ".3f", ".1f")))


def configuration(overrides: Sequence[str], scale: str, trainer: str, steps: int, folder: Path) -> dict:
    """A run of two datasets with lessons of two epochs of so many steps, as plain data."""
    lengths = {"epochs": 2, "steps_per_epoch": steps}
    short = [f"scale.training.{name}.{key}={value}" for name in LESSONS for key, value in lengths.items()]
    common = [f"paths.outputs={folder}", f"scale={scale}", f"scale.recipe.spacing_mm={COARSE_MM}", f"trainer={trainer}",
              "order.steps=[whole_body,chest]", "bpr=none", "merging=none",
              "scale.training.new.warm_up_epochs=0", "trainer.checkpoint_every_epochs=10", *short]  # fmt: skip
    with initialize_config_dir(str(SCALES.parent), version_base="1.3"):
        return OmegaConf.to_container(compose("config", [*common, *overrides]), resolve=True)


def measured(cfg: dict, steps: int, folder: Path) -> Iterator[tuple[str, float, float]]:
    """Learn the datasets; a row for every kind of training in it: its name, seconds a step, peak in GiB (NaN where there is no GPU)."""
    store, progress, known = UnitStore(cfg["paths"]["units"]), RunProgress(), set(_records(folder))
    specs, sources, prepare = datasets(cfg), encoder_datasets(cfg), Preparation(cfg, store)
    tasks, _ = tasks_and_tests(specs, prepare, progress)
    method = method_of(cfg, [*specs.values(), *sources.values()], store, progress, encoder_tasks(sources, tasks, prepare))
    method.announce(tasks)
    for task in tasks:
        method.learn(task)
    made: dict[str, list[tuple[float, float]]] = {}
    for path in sorted(set(_records(folder)) - known, key=lambda path: path.stat().st_mtime):
        last = json.loads(path.read_text().splitlines()[-1])
        of_kind = made.setdefault(path.relative_to(folder / "units").parts[0], [])
        of_kind.append((last.get("seconds", math.nan) / steps, last.get("gpu_peak_gib", math.nan)))
    for kind, own in made.items():
        if len(own) > 2:  # decoders: the most expensive one stands for all
            yield f"{kind}, the largest of {len(own)}", *(max(values) for values in zip(*own, strict=True))
        else:
            yield from ((f"{kind} {number}", *values) for number, values in enumerate(own, start=1))


def _records(folder: Path) -> Iterator[Path]:
    return (folder / "units").glob("*/[!.]*/**/metrics.jsonl")


if __name__ == "__main__":
    main()
