"""H3: as P6, on a GPU in bfloat16, with a batch of the paper's size; and what the training loop adds to a plain one."""

from __future__ import annotations

import io
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from torch import Tensor
from torch.utils.data import Dataset

from baselines.method import segmentation
from baselines.training import UNetTraining
from baselines.unet import UNet
from benchmarks.contest import Result, speedup
from benchmarks.p6_training_step import LR, SGD, STRUCTURES, TARGET, contest, step
from benchmarks.paper import PATCH_ZYX, SMALL, Place, paper_shape, with_seed
from clnet.learn.fit import TrainerSettings, fit
from clnet.learn.optim import Training
from clnet.learn.progress import RunProgress

# patches of a batch, their size, width of the narrow decoder, repeats, steps of the loops, rounds
SIZES = {"full": (2, PATCH_ZYX, 16, 7, 8, 3), "small": (1, (8, 8, 8), 2, 1, 1, 1)}
TOLERANCE = 2e-2  # of losses in bfloat16
TRIES = 5
KEY = "H3"


def run(size: str = "full") -> list[Result]:
    """Two results."""
    batch, patch, narrow, repeats, steps, rounds = SIZES[size]
    shape, place = paper_shape() if size == "full" else SMALL, Place.best()
    workload = f"{batch} patches of {' x '.join(map(str, patch))}"
    goals = [("frozen", f"frozen encoder + D{narrow}", 4.0, "")]
    results = contest(KEY, workload, shape, (batch, 1, *patch), narrow, repeats, goals, place, TOLERANCE)
    network = place.ready(with_seed(lambda: UNet(shape, 1, 1 + len(STRUCTURES), None))).train()
    loops = Loops(network, _Same(batch, patch), place)
    times: dict[str, list[float]] = {"fit": [], "plain": []}
    for _ in range(1 + rounds):
        for name, loop in (("fit", loops.fitted), ("plain", loops.plain)):
            times[name].append(loops.seconds(loop, steps))
    times = {name: own[1:] for name, own in times.items()}
    note = "difference of a loop of so many steps and one of three times as many: what a training begins and ends with is in neither"
    return [*results, Result(KEY, f"steps a second of a whole U-Net, {workload}, {2 * steps} steps{place.words}", "the project's training",
                             "a plain loop", speedup(times, "fit", "plain"), 0.95, True, "the same batches, network and optimiser", note,
                             median(times["fit"]), median(times["plain"]))]  # fmt: skip


class _Same(Dataset):
    """One batch, made anew at every step."""

    def __init__(self, batch: int, patch: tuple[int, ...]):
        self.image = with_seed(lambda: torch.randn(batch, 1, *patch))
        self.labels = with_seed(lambda: torch.randint(0, 1 + len(STRUCTURES), (batch, *patch)).to(torch.uint8))

    def __getitem__(self, _: int) -> dict[str, Tensor]:
        return {"image": self.image.clone(), "target/all": self.labels.clone(), "valid/all": torch.ones(len(self.image), dtype=torch.bool)}


class Loops:
    """The same training by `clnet.learn.fit` and by a loop of a few lines."""

    def __init__(self, network: UNet, batches: _Same, place: Place):
        self.network, self.batches, self.place = network, batches, place

    def seconds(self, loop, steps: int) -> float:
        """Of a step; measured again where the longer loop took less time, as a few short steps may beside other programs."""
        for _ in range(TRIES):
            spent = []
            for count in (steps, 3 * steps):
                begin = time.perf_counter()
                loop(count)
                self.place.finished(lambda: None)
                spent.append(time.perf_counter() - begin)
            if spent[1] > spent[0]:
                break
        return (spent[1] - spent[0]) / (2 * steps)

    def fitted(self, steps: int) -> None:
        """As every method trains."""
        if self.place.device == "cuda":
            settings = TrainerSettings("gpu", precision="bf16-mixed", deterministic=False)
        else:
            settings = TrainerSettings(threads=torch.get_num_threads())
        module = UNetTraining(self.network, segmentation({"all": TARGET}), Training(SGD, LR, 1, steps))
        with TemporaryDirectory() as folder:
            fit(module, self.batches, settings, Path(folder), RunProgress(stream=io.StringIO()), "loop", 1.0)

    def plain(self, steps: int) -> None:
        """A step after the other."""
        self.place.ready(self.network)
        optimizer = SGD(self.network.parameters(), lr=LR)
        for number in range(steps):
            batch = {key: value.to(self.place.device) for key, value in self.batches[number].items()}
            step(lambda image=batch["image"]: self.network(image).logits, optimizer, batch["target/all"], self.place)
