"""P10: how much of a training step passes in waiting for its batch: one decoder on the frozen encoder, as `trainer=cpu` runs it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

import numpy as np
import SimpleITK as sitk
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from benchmarks.contest import Result, agreement
from benchmarks.paper import SCALES
from benchmarks.scans import image_hu, label_map
from clnet.anatomy import registry
from clnet.data.casework import prepare_case
from clnet.data.dataset import DatasetSpec, dataset_spec
from clnet.data.layout import NnunetRaw
from clnet.data.store import PreparedCase
from clnet.learn.batches import TrainingBatches, batch_loader
from clnet.learn.plan import Lesson
from clnet.learn.target import Variants, decoder_targets, output_channels
from clnet.learn.training import SegmentationTraining
from clnet.model.bank import SeparateDecoders
from clnet.model.decoder import DecoderNetwork
from clnet.model.encoder import Encoder
from clnet.model.support import Paths, Route
from clnet.types import RawCase
from experiments.pipeline import made

LABELS = {"Liver": 1, "Spleen": 2, "Stomach": 3}
TINY, PAPER = ((66, 80, 80), 20), ((260, 300, 320), 4)  # shape of the scan on the prepared grid, measured steps
SIZES = {"full": {"tiny": TINY, "paper": PAPER}, "small": {"tiny": (TINY[0], 2)}}
ON_A_GPU = ("batches are made in the training process itself, none beside it; where a GPU makes the step short, they are made by "
            "`trainer.workers` processes: divide the seconds of a batch by their number")  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """A scale's own: everything that a decoder's training is made of, and the number of processes that make batches."""

    config: dict
    lesson: Lesson
    batches: TrainingBatches
    workers: int

    def trained(self, name: str) -> SegmentationTraining:
        """A decoder with random weights on an encoder with random weights, ready for its first step."""
        shape, intensity = made(self.config["scale"]["network"]), self.batches.intensity
        target = self.batches.targets[name]
        decoder = DecoderNetwork(shape, output_channels(target.decoder), self.config["scale"]["decoder_width"])
        frozen = Paths({"encoder": Encoder(shape, intensity.channels)}, {}, {})
        module = SegmentationTraining(SeparateDecoders({name: decoder}), {name: Variants({name: target})}, {name: Route("encoder")},
                                      self.lesson.training, frozen=frozen)  # fmt: skip
        module.on_fit_start()
        return module


def run(size: str = "full") -> list[Result]:
    """A result for each scale: the share is the goal's, seconds are those of a batch and of the step that it is for."""
    results = []
    for scale, (shape, steps) in SIZES[size].items():
        with TemporaryDirectory() as folder:
            settings = _settings(scale, shape, Path(folder))
            first = next(iter(batch_loader(settings.batches, 1, settings.workers)))
            again = settings.batches[0]
            apart = max(float((first[key].float() - again[key].float()).abs().max()) for key in again)
            waiting, working = _seconds(settings, steps)
        patch = settings.lesson.sampling
        workload = f"scale={scale}, {patch.batch_size} patches of {' x '.join(map(str, patch.patch_zyx))}, {steps} steps"
        results.append(Result("P10", workload, "a batch", "the step", waiting / (waiting + working), 0.1, False,
                              agreement("a batch made again", apart, 0.0), ON_A_GPU, waiting, working))  # fmt: skip
    return results


def _settings(scale: str, shape_zyx: tuple[int, ...], folder: Path) -> Settings:
    with initialize_config_dir(str(SCALES.parent), version_base="1.3"):
        config = OmegaConf.to_container(compose("config", [f"scale={scale}"]), resolve=True)
    lesson = made(config["decoder"]["new"])
    spec = dataset_spec(name="belly", root=folder, layout=NnunetRaw(), labels=LABELS, body_group="abdomen")
    case = _case(folder, spec, made(config["scale"]["recipe"]), shape_zyx)
    targets = decoder_targets(registry.load().decoders.values(), spec.labels[:1])
    batches = TrainingBatches([case], targets, lesson.sampling, made(config["scale"]["intensity"]), made(config["augment"]), [0])
    return Settings(config, lesson, batches, config["trainer"]["workers"])


def _case(folder: Path, spec: DatasetSpec, recipe, shape_zyx: tuple[int, ...]) -> PreparedCase:
    """A synthetic scan on the recipe's grid, which goes the way of every other one from its file."""
    arrays = {"image": image_hu(shape_zyx), "label": label_map(shape_zyx, len(LABELS))}
    for name, array in arrays.items():
        image = sitk.GetImageFromArray(np.ascontiguousarray(array))
        image.SetSpacing(recipe.spacing_mm[::-1])
        sitk.WriteImage(image, str(folder / f"{name}.nii.gz"))
    raw = RawCase(spec.name, "one", folder / "image.nii.gz", folder / "label.nii.gz", frozenset(LABELS))
    prepare_case(raw, spec, recipe, folder / "one")
    return PreparedCase.open(folder / "one")


def _seconds(settings: Settings, steps: int) -> tuple[float, float]:
    """Mean seconds of a batch and of a step, after one of each to warm up."""
    name = next(iter(settings.batches.targets))
    module = settings.trained(name)
    optimizer = module.configure_optimizers()["optimizer"]
    times = []
    stream = iter(batch_loader(settings.batches, steps + 1, settings.workers))
    while True:
        begin = time.perf_counter()
        batch = next(stream, None)
        if batch is None:
            break
        arrived = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        module.training_step(batch, 0).backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), module.settings.gradient_clip_norm)
        optimizer.step()
        times.append((arrived - begin, time.perf_counter() - arrived))
    waits, works = zip(*islice(times, 1, None))
    return mean(waits), mean(works)
