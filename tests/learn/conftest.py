"""A dataset in memory and a network of a few thousand weights, so that whole trainings take a fraction of a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from clnet.anatomy import registry
from clnet.data.augment import Augmentation
from clnet.data.intensity import Intensity
from clnet.infer.window import Windows
from clnet.launch import LocalLauncher
from clnet.learn.batches import Sampling, TrainingBatches
from clnet.learn.clnet import CLNet
from clnet.learn.encoder import Supervised
from clnet.learn.fit import TrainerSettings, fit
from clnet.learn.general import EncoderPlan
from clnet.learn.muon import Muon
from clnet.learn.optim import Training
from clnet.learn.plan import DecoderPlan, Lesson
from clnet.learn.progress import RunProgress
from clnet.learn.target import Variants, decoder_targets, output_channels
from clnet.learn.training import SegmentationTraining, averages
from clnet.model.bank import SeparateDecoders
from clnet.model.decoder import DecoderNetwork
from clnet.model.encoder import Encoder
from clnet.model.mask import apply_masks, choose_masks, prunable
from clnet.model.shape import NetworkShape
from clnet.model.support import Paths, Route
from clnet.model.width import Same
from clnet.types import Decoder, Geometry, Label, Task
from clnet.units import UnitStore

SHAPE = NetworkShape((4, 8, 8), ((3, 3, 3),) * 3, ((1, 1, 1), (1, 2, 2), (2, 2, 2)))
DECODERS = (
    Decoder("Liver", "Abdomen", ("Liver",)),
    Decoder("Kidney", "Abdomen", ("Kidney_L", "Kidney_R")),
    Decoder("Larynx", "Head & Neck", ("Larynx", "Larynx_Glottic"), nested=True),
)
LABELS = (
    Label("Liver", ("Liver",), (1,)),
    Label("Kidney_L", ("Kidney_L",), (2,)),
    Label("Kidney_R", ("Kidney_R",), (3,)),
    Label("Larynx", ("Larynx",), (4, 5)),
    Label("Larynx_Glottic", ("Larynx_Glottic",), (5,)),
)
SAMPLING = Sampling((8, 8, 8), batch_size=2, foreground_share=0.5, decoders_per_step=2)


@dataclass
class Case:
    """What training asks of a `PreparedCase`, in memory: every label is a small box at a place of its own."""

    case: str
    seed: int
    absent: tuple[str, ...] = ()
    dataset: str = "memory"
    annotated: frozenset[str] = frozenset(label.name for label in LABELS)
    shape_zyx: tuple[int, int, int] = (12, 16, 20)
    label_table: dict = field(default_factory=lambda: {label.name: (0, label.values) for label in LABELS})

    def __post_init__(self):
        rng = np.random.default_rng(self.seed)
        self._layers = np.zeros((1, *self.shape_zyx), np.uint8)
        for label in LABELS:
            if label.name not in self.absent:
                z, y, x = (int(rng.integers(0, n - 3)) for n in self.shape_zyx)
                self._layers[0, z : z + 3, y : y + 3, x : x + 3] = label.values[0]
        if not {"Larynx", "Larynx_Glottic"} & set(self.absent):
            self._layers[0, :2, :2, :2], self._layers[0, 0, 0, :2] = 4, 5
        self._image = (100 * self._layers[0] + rng.normal(0, 40, self.shape_zyx)).astype(np.int16)

    def image_hu(self, box=None) -> np.ndarray:
        return self._image[tuple(box) if box is not None else slice(None)]

    def layers(self, box=None) -> np.ndarray:
        return self._layers[(slice(None), *box) if box is not None else slice(None)]

    def locations(self, label: str) -> np.ndarray:
        return np.argwhere(self.mask(label)).astype(np.int32)

    def mask(self, label: str) -> np.ndarray:
        return np.isin(self._layers[0], self.label_table[label][1])

    reference_mask = mask  # the native grid is that of training

    @property
    def geometry(self) -> Geometry:
        return Geometry(self.shape_zyx, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))

    @property
    def crop_zyx(self) -> list[list[int]]:
        return [[0, length] for length in self.shape_zyx]

    @property
    def voxels(self) -> dict[str, int]:
        return {name: int(self.mask(name).sum()) for name in self.label_table}

    @property
    def folder(self) -> Path:
        return Path("/memory") / self.dataset / self.case


def batches(cases=None, sampling: Sampling = SAMPLING, seed: int = 0, augmentation: Augmentation | None = None) -> TrainingBatches:
    cases = cases if cases is not None else [Case("a", 1), Case("b", 2)]
    intensity = Intensity([{"center_hu": 0.0, "scale_hu": 250.0}])
    return TrainingBatches(cases, decoder_targets(DECODERS, LABELS), sampling, intensity, augmentation or Augmentation([]), [seed, 7])


def adamw() -> Callable:
    return partial(torch.optim.AdamW, weight_decay=1e-2)


def sgd(optimizer: type = torch.optim.SGD) -> Callable:
    return partial(optimizer, momentum=0.99, nesterov=True, weight_decay=3e-5)


def muon() -> Callable:
    return partial(Muon, adam_lr=1e-2)


def module(optimizer: Callable, *, frozen: bool = False, pruned: float = 0.0, alpha: float | None = None, rewind: Path | None = None,
           **training) -> SegmentationTraining:  # fmt: skip
    """A training of three epochs of two steps, the first epoch a warm-up; always the same initial weights.

    pruned: share of the decoders' weights that is masked; alpha: decay of an average that starts with the decoders.
    """
    targets = decoder_targets(DECODERS, LABELS)
    channels = {name: output_channels(target.decoder) for name, target in targets.items()}
    settings = Training(**{"optimizer": optimizer, "lr": 0.01, "epochs": 2, "steps_per_epoch": 2, "warm_up_epochs": 1, "warm_up_lr": 1e-3,
                           "balance": (1.0, 0.0)} | training)  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        bank = SeparateDecoders({name: DecoderNetwork(SHAPE, n, 4) for name, n in channels.items()})
        encoder = Encoder(SHAPE)
    masks = {name: choose_masks(prunable(bank.network(name)), pruned) for name in channels} if pruned else {}
    for name, own in masks.items():
        apply_masks(bank.network(name), own)
    variants = {name: Variants({name: target}) for name, target in targets.items()}
    given = {"frozen": Paths({"encoder": encoder}, {}, {})} if frozen else {"encoder": encoder}
    return SegmentationTraining(bank, variants, {name: Route("encoder") for name in channels}, settings, masks=masks, rewind=rewind,
                                ema=None if alpha is None else averages(bank, None, alpha), **given)  # fmt: skip


def train(model: SegmentationTraining, items: object, folder: Path) -> SegmentationTraining:
    folder.mkdir(parents=True, exist_ok=True)
    fit(model, items, TrainerSettings(threads=1), folder, RunProgress(interval_s=1e9), "training", 1.0)
    return model


@pytest.fixture
def tiny() -> Iterator[SimpleNamespace]:
    """The pieces above; what a Trainer sets for the whole process is put back."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield SimpleNamespace(SAMPLING=SAMPLING, Case=Case, batches=batches, adamw=adamw, sgd=sgd, muon=muon, module=module, train=train)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


FIRST = (Label("Liver", ("Liver",), (1,)), Label("Kidney_L", ("Kidney_L",), (2,)))
SECOND = (Label("Kidney_L", ("Kidney_L",), (2,)), Label("Kidney_R", ("Kidney_R",), (3,)), Label("Kidney_Lesion", ("Kidney_Lesion",), (1,)))
THIRD = (Label("HepaticVessel", ("HepaticVessel",), (3,)), Label("Liver", ("Liver",), (1,)))
SETTINGS = ("network", "decoder_width", "augment", "intensity", "trainer", "validation_share", "validation_overlap", "windows",
            "pruning", "decoder_new", "decoder_refine", "decoder_update", "decoder_start", "supporting", "encoder", "encoder_tuning",
            "bpr")  # fmt: skip


@pytest.fixture
def tasks(tiny) -> list[Task]:
    """Three datasets of three cases: two decoders, then one of them again and its lesion, then the other one again and its vessel."""

    def task(step: int, name: str, labels: tuple[Label, ...]) -> Task:
        table = {label.name: (0, label.values) for label in labels}
        cases = tuple(tiny.Case(f"{name}{k}", 10 * step + k, dataset=name, label_table=table, annotated=frozenset(table)) for k in range(3))
        return Task(step, name, labels, cases, f"data of {name}")

    return [task(0, "first", FIRST), task(1, "second", SECOND), task(2, "third", THIRD)]


@pytest.fixture
def method(tiny, tmp_path):
    """Makes methods on them; the encoder by default learns with the first dataset's decoders, which then go on."""

    def make(folder: str = "a", launcher=None, encoder: EncoderPlan | None = None, **parts) -> CLNet:
        training = replace(tiny.module(partial(tiny.sgd(), weight_decay=1e-2)).settings, warm_up_epochs=0, epochs=1)
        lesson = Lesson(replace(tiny.SAMPLING, decoders_per_step=None), training)
        plan = DecoderPlan(Same(4), new=lesson, update=lesson, refine=lesson)
        encoder = encoder or EncoderPlan({"supervised": Supervised(lesson, hand_over=True)})
        settings = dict.fromkeys(SETTINGS) | {name: repr(value) for name, value in parts.items() if name in SETTINGS}
        settings["encoder"] = {"stages": {name: repr(stage) for name, stage in encoder.stages.items()}}
        return CLNet(
            registry=registry.load(), shape=SHAPE, encoder=encoder, decoder=plan, augmentation=Augmentation([]),
            intensity=Intensity([{"center_hu": 0.0, "scale_hu": 250.0}]), windows=Windows((8, 8, 8), 0.25, 2), settings=settings,
            store=UnitStore(tmp_path / folder), trainer=TrainerSettings(threads=1), progress=RunProgress(interval_s=1e9),
            launcher=launcher or LocalLauncher(), seed=0, **parts,
        )  # fmt: skip

    return make
