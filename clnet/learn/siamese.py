"""Learning an encoder from two views of a patch, without labels."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from clnet.data.augment import Augmentation
from clnet.data.intensity import Intensity
from clnet.data.sampler import anywhere, read_patch, start_around, with_margin
from clnet.data.store import PreparedCase
from clnet.data.views import view_of
from clnet.errors import UsageError
from clnet.learn.archive import Archive, LearnedEncoder
from clnet.learn.contrast import feature_spread, symmetric_loss
from clnet.learn.fit import fit
from clnet.learn.general import Built
from clnet.learn.optim import Training
from clnet.learn.watched import WatchedTraining
from clnet.learn.workshop import Workshop, number_of
from clnet.model.block import with_fast_layout
from clnet.model.siamese import Siamese
from clnet.model.weights import save_weights
from clnet.types import Decoder, Task
from clnet.units import rank

TITLE = "encoder without labels"


@dataclass(frozen=True)
class ViewSampling:
    """How pairs of views are cut: their patch, and how many pairs a batch has (two at least, for the batch normalisation)."""

    patch_zyx: tuple[int, int, int]
    batch_size: int

    def __post_init__(self):
        object.__setattr__(self, "patch_zyx", tuple(int(v) for v in self.patch_zyx))


class ViewPairs(Dataset):
    """Item i is the batch of step i, a function of the seed and i alone: `first` and `second`, (batch, channel, z, y, x) each.

    A pair shows one patch, from anywhere in a scan, augmented twice; labels are not looked at.
    """

    def __init__(
        self, cases: Sequence[PreparedCase], sampling: ViewSampling, view: Augmentation, intensity: Intensity, seed: Sequence[int]
    ):  # fmt: skip
        self.cases, self.sampling, self.view, self.intensity = list(cases), sampling, view, intensity
        self.seed = [int(value) for value in seed]

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        size, patch = self.view.read_size(self.sampling.patch_zyx), self.sampling.patch_zyx
        views: dict[str, list[Tensor]] = {"first": [], "second": []}
        for sample in range(self.sampling.batch_size):
            seed = [*self.seed, step, sample]
            rng = np.random.default_rng(seed)
            case = self.cases[rng.integers(len(self.cases))]
            start = start_around(anywhere(rng, case.shape_zyx), patch, case.shape_zyx)
            image_hu, _ = read_patch(case, with_margin(start, patch, size), size)
            for number, made in enumerate(views.values()):
                made.append(view_of(image_hu, self.view, self.intensity, [*seed, number]))
        return {name: torch.stack(made) for name, made in views.items()}


class SiameseTraining(WatchedTraining):
    """Both views of every pair through the same network; each predicts the other (`symmetric_loss`).

    The spread of the projections (`feature_spread`) is recorded with the loss: where it falls to nothing, the network has learned to
    answer the same to everything, at a loss of -1.
    Source: CL-Net A4, Algorithm 1; NOTES.md 15; Chen & He 2021.
    """

    def __init__(self, network: Siamese, training: Training):
        super().__init__(training, "the encoder, without labels")
        self.network = network
        self.spread = math.nan

    def on_fit_start(self) -> None:
        with_fast_layout(self, self.device)

    def configure_optimizers(self):
        optimizer, schedule = self.settings.build(self.network.parameters())
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, batch: Mapping[str, Tensor], _: int) -> Tensor | None:
        first, second = self.network(batch["first"]), self.network(batch["second"])
        loss = symmetric_loss((first.prediction, second.prediction), (first.projection, second.projection))
        self.spread = float(torch.stack([feature_spread(view.projection) for view in (first, second)]).mean())
        return self.watched(loss, float(loss.detach()))

    def observed(self) -> dict[str, float]:
        """The spread at the epoch's last step."""
        return {"spread": self.spread}


@dataclass(frozen=True)
class WithoutLabels:
    """The stage: an encoder learns from views of all datasets' training scans together.

    view: the augmentation that makes the views. hidden, bottleneck: see `Siamese`. collapsed_below: a spread of the projections that
    means collapse; a run with less says so, and goes on.
    Source: CL-Net A4 (self-supervised pre-training); NOTES.md 14 to 16.
    """

    sampling: ViewSampling
    training: Training
    view: Augmentation
    hidden: int
    bottleneck: int
    collapsed_below: float
    hand_over: bool = False
    joint_start: bool = False

    @property
    def step_cost(self) -> float:
        """About, in steps of a decoder: two views through the encoder, forward and backward."""
        return 0.5 * self.sampling.batch_size

    def announce(self, shop: Workshop, archive: Archive, decoders: Iterable[Decoder], tasks: Sequence[Task]) -> None:
        """Tell the progress line what lies ahead."""
        shop.progress.plan(TITLE, self.step_cost * self.training.steps)

    def build(
        self, shop: Workshop, archive: Archive, decoders: Iterable[Decoder], tasks: Sequence[Task], start: LearnedEncoder | None,
        settings: object,
    ) -> Built:  # fmt: skip
        """One unit."""
        identity = shop.identity((), tasks, stage=settings, start=start.identity if start else None)
        if not shop.validation_share:  # all scans are seen, so which of them have labels changes nothing
            identity["data"] = [task.scans or task.identity for task in tasks]

        def build(folder: Path) -> None:
            encoder = archive.encoder(start.identity) if start is not None else shop.made(archive.new_encoder, "encoder")
            network = shop.made(lambda: Siamese(encoder, self.hidden, self.bottleneck), "siamese")
            pairs = ViewPairs(shop.cases(tasks)[0], self.sampling, self.view, shop.intensity, [shop.seed, number_of("views")])
            fit(SiameseTraining(network, self.training), pairs, shop.trainer, folder, shop.progress, TITLE, self.step_cost)
            if rank() == 0:
                save_weights(encoder, folder / "encoder.safetensors")

        folder = shop.built("encoder", identity, build, TITLE)
        spread = last_spread(folder / "metrics.jsonl")
        if not spread >= self.collapsed_below:
            shop.progress.say(f"{TITLE}: the features have collapsed, their spread is {spread:.3f} (healthy: near 1, expected: "
                              f"{self.collapsed_below} or more); a lower learning rate, or a larger batch, may help")  # fmt: skip
        return Built(LearnedEncoder(folder / "encoder.safetensors", folder.name))


def without_labels(
    sampling: Mapping, training: Mapping, optimizer: Callable, view: Augmentation, hidden: int, bottleneck: int, collapsed_below: float
) -> WithoutLabels:  # fmt: skip
    """The stage out of plain values, as YAML gives them. Raises UsageError for batches of one pair."""
    if sampling["batch_size"] < 2:
        raise UsageError("a batch of one pair has no batch statistics", where="scale.sampling.view.batch_size",
                         found=sampling["batch_size"], expected="2 or more")  # fmt: skip
    made = Training(optimizer=optimizer, **training)
    return WithoutLabels(ViewSampling(**sampling), made, view, hidden, bottleneck, collapsed_below)


def last_spread(record: Path) -> float:
    """The spread in the last line of a training's record."""
    return float(json.loads(record.read_text().splitlines()[-1])["spread"])
