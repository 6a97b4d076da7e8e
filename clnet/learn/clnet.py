"""CL-Net: one general encoder, trained on the first dataset and frozen, and one decoder per anatomy, learned dataset by dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from clnet.anatomy.registry import Registry
from clnet.data.augment import Augmentation
from clnet.data.intensity import Intensity
from clnet.data.store import PreparedCase
from clnet.infer.predict import PartNetwork, predict_parts
from clnet.infer.window import Windows
from clnet.learn.batches import Sampling, TrainingBatches
from clnet.learn.bundle import LearnedDecoder, LearnedEncoder, load_bundle, save_bundle
from clnet.learn.fit import TrainerSettings, fit
from clnet.learn.joint import JOINT, complete, decoder_of_joint, joint_target
from clnet.learn.optim import Training
from clnet.learn.progress import RunProgress
from clnet.learn.target import DecoderTarget, decoder_targets, output_channels, probabilities
from clnet.learn.training import SegmentationTraining
from clnet.model.bank import SeparateDecoders, copy_trunk
from clnet.model.block import with_fast_layout
from clnet.model.decoder import DecoderNetwork
from clnet.model.encoder import Encoder
from clnet.model.shape import NetworkShape
from clnet.model.weights import count_parameters, load_weights, save_weights, weights_sha256
from clnet.types import Decoder, Footprint, Part, Task
from clnet.units import UnitStore, key_of, rank


@dataclass(frozen=True)
class Lesson:
    """How one training is sampled and how long it lasts; `joint`: one decoder of all labels stands in for those of each anatomy."""

    sampling: Sampling
    training: Training
    joint: bool = False


def lesson(sampling: Mapping, training: Mapping, optimizer: Callable, joint: bool = False) -> Lesson:
    """A lesson out of plain values, as YAML gives them."""
    return Lesson(Sampling(**sampling), Training(optimizer=optimizer, **training), joint)


@dataclass(frozen=True)
class DecoderPlan:
    """Width of the decoders and their lessons: new ones, the encoder's own ones after the freeze, and known ones that a later
    dataset annotates again. `refine` may be None: the decoders trained with the encoder are then used as they are."""

    width: int | None
    new: Lesson
    update: Lesson
    refine: Lesson | None = None


class CLNet:
    """The method of the paper, without pruning, EMA, supporting and merging, which stand beside it.

    registry: decoders and structures; shape, encoder, decoder: networks and lessons; augmentation, intensity, windows: how scans
    are read; settings: the plain configuration of all these, which identifies the units; store: where units are kept.
    Source: CL-Net 4.2 (general encoder), 4.3 (decoders), 2.1 (continual protocol).
    """

    def __init__(
        self, *, registry: Registry, shape: NetworkShape, encoder: Lesson, decoder: DecoderPlan, augmentation: Augmentation,
        intensity: Intensity, windows: Windows, settings: Mapping, store: UnitStore, trainer: TrainerSettings, progress: RunProgress,
        seed: int, name: str = "clnet",
    ):  # fmt: skip
        self.registry, self.shape, self.encoder_lesson, self.plan = registry, shape, encoder, decoder
        self.augmentation, self.intensity, self.windows = augmentation, intensity, windows
        self.name = name
        self.settings, self.store, self.trainer, self.progress, self.seed = dict(settings), store, trainer, progress, seed
        self.encoder: LearnedEncoder | None = None
        self.learned: dict[str, LearnedDecoder] = {}
        self.trunk: LearnedDecoder | None = None  # out of a joint training; new decoders begin with its weights, but for the heads
        self.updated: tuple[str, ...] = ()  # decoders that the last task trained
        self.seconds = 0.0  # spent on building what the last task needed, in this run or in an earlier one

    def announce(self, tasks: Sequence[Task]) -> None:
        """Tell the progress line what lies ahead."""
        known: set[str] = set()
        for position, task in enumerate(tasks):
            targets = decoder_targets(self.registry.decoders.values(), task.labels)
            if position == 0:
                self.progress.plan(f"encoder on {task.dataset}", self._encoder_cost(len(targets)) * self.encoder_lesson.training.steps)
            for name in targets:
                lesson = self.plan.refine if position == 0 else self.plan.update if name in known else self.plan.new
                if lesson:
                    self.progress.plan(f"decoder {name} on {task.dataset}", lesson.training.steps)
            known |= set(targets)

    def learn(self, task: Task) -> None:
        """Train what this dataset can teach; every decoder without a label in it stays as it is."""
        targets = decoder_targets(self.registry.decoders.values(), task.labels)
        self.seconds = 0.0
        first = self.encoder is None
        if first:
            self._learn_encoder(task, targets)
        for name, target in targets.items():
            lesson = self.plan.refine if first else self.plan.update if name in self.learned else self.plan.new
            if lesson is not None:
                self._learn_decoder(task, target, lesson)
        self.updated = tuple(targets)

    def _encoder_cost(self, decoders: int) -> float:
        return 2.0 if self.encoder_lesson.joint else 1.0 + min(self.encoder_lesson.sampling.decoders_per_step or decoders, decoders)

    def _learn_encoder(self, task: Task, targets: Mapping[str, DecoderTarget]) -> None:
        wanted = ("network", "encoder", "decoder_width", "augment", "intensity", "precision")
        identity = self._identity(wanted, task, decoders=[(t.decoder.name, t.labels) for t in targets.values()])
        name = f"encoder on {task.dataset}"

        def build(folder: Path) -> None:
            encoder = self._made(lambda: Encoder(self.shape, self.intensity.channels), "encoder")
            lesson, cases = self.encoder_lesson, task.cases
            joint = None
            if lesson.joint:
                cases = complete(task.labels, cases)
                joint = joint_target(task.labels, cases)
            trained = {JOINT: joint} if joint else targets
            decoders = SeparateDecoders({n: self._made(partial(self._network, t.decoder), n) for n, t in trained.items()})
            module = SegmentationTraining(encoder, decoders, trained, lesson.training, frozen=False)
            batches = self._batches(cases, trained, lesson, "encoder")
            fit(module, batches, self.trainer, folder, self.progress, name, self._encoder_cost(len(targets)))
            if rank() > 0:
                return
            save_weights(encoder, folder / "encoder.safetensors")
            for decoder_name, target in targets.items():
                network = (decoder_of_joint(decoders.network(JOINT), joint, target, self.shape, self.plan.width) if joint
                           else decoders.network(decoder_name))  # fmt: skip
                save_weights(network, folder / f"{decoder_name}.safetensors")

        folder = self._built("encoder", identity, build, name)
        self.encoder = LearnedEncoder(folder / "encoder.safetensors", folder.name)
        for decoder_name, target in targets.items():
            file = folder / f"{decoder_name}.safetensors"
            self.learned[decoder_name] = LearnedDecoder(target.decoder, file, f"{folder.name}/{decoder_name}", target.labels)
        self.trunk = next(iter(self.learned.values())) if self.encoder_lesson.joint else None

    def _learn_decoder(self, task: Task, target: DecoderTarget, lesson: Lesson) -> None:
        decoder = target.decoder
        before = self.learned.get(decoder.name)
        kind = "new" if before is None else "refine" if lesson is self.plan.refine else "update"
        wanted = ("network", "decoder_width", f"decoder_{kind}", "augment", "intensity", "precision")
        identity = self._identity(wanted, task, encoder=self.encoder.identity, decoder=decoder, labels=target.labels,
                                  start=before.identity if before else "fresh")  # fmt: skip
        name = f"decoder {decoder.name} on {task.dataset}"

        def build(folder: Path) -> None:
            network = self._made(partial(self._network, decoder), decoder.name)
            if before is not None:
                load_weights(network, before.file)
            elif self.trunk is not None:
                copy_trunk(self._loaded(self.trunk), network)
            bank = SeparateDecoders({decoder.name: network})
            module = SegmentationTraining(self.load_encoder(), bank, {decoder.name: target}, lesson.training, frozen=True)
            batches = self._batches(task.cases, {decoder.name: target}, lesson, decoder.name)
            fit(module, batches, self.trainer, folder, self.progress, name, 1.0)
            if rank() == 0:
                save_weights(network, folder / "decoder.safetensors")

        folder = self._built("decoder", identity, build, name)
        taught = target.labels if before is None else tuple(dict.fromkeys((*before.labels, *target.labels)))
        self.learned[decoder.name] = LearnedDecoder(decoder, folder / "decoder.safetensors", folder.name, taught)

    def _identity(self, settings: Sequence[str], task: Task, **more) -> dict:
        return {"settings": {name: self.settings[name] for name in settings}, "seed": self.seed, "data": task.identity, **more}

    def _built(self, kind: str, identity: dict, build: Callable[[Path], None], name: str) -> Path:
        if self.store.finished(kind, identity):
            self.progress.skip(name)
        folder = self.store.build(kind, identity, build, collective=True)
        self.seconds += self.store.seconds(kind, identity)
        return folder

    def _batches(
        self, cases: Sequence[PreparedCase], targets: Mapping[str, DecoderTarget], lesson: Lesson, purpose: str
    ) -> TrainingBatches:
        return TrainingBatches(cases, targets, lesson.sampling, self.intensity, self.augmentation, [self.seed, _number(purpose)])

    def _made(self, make: Callable, purpose: str):
        """A network whose initial weights depend on the seed and its name alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_number(f"{self.seed} {purpose}"))
            return make()

    def _loaded(self, state: LearnedDecoder) -> DecoderNetwork:
        network = self._network(state.decoder)
        load_weights(network, state.file)
        return network

    def _network(self, decoder: Decoder) -> DecoderNetwork:
        return DecoderNetwork(self.shape, output_channels(decoder), self.plan.width)

    def load_encoder(self) -> Encoder:
        """The frozen encoder, from its file."""
        encoder = Encoder(self.shape, self.intensity.channels)
        load_weights(encoder, self.encoder.file)
        return encoder

    def load_decoder(self, name: str) -> DecoderNetwork:
        """A decoder as it stands, from its file."""
        return self._loaded(self.learned[name])

    def parts(self) -> list[Part]:
        """One part per decoder."""
        how = key_of({"windows": self.settings["windows"], "intensity": self.settings["intensity"]})
        return [
            Part(name, state.target.labels, key_of([self.encoder.identity, state.identity, state.target.labels, how]), state.decoder.nested)
            for name, state in self.learned.items()
        ]

    def predictor(self, parts: Sequence[Part]) -> Callable[[PreparedCase], Iterator[tuple[Part, np.ndarray]]]:
        """Load the weights of `parts` once; the result predicts a case: pairs of a part and its (z, y, x) label map, native LPS grid."""
        device = torch.device("cuda" if self.trainer.accelerator in ("gpu", "cuda") else "cpu")
        networks = {}
        for part in parts:
            target = self.learned[part.name].target
            network = with_fast_layout(self.load_decoder(part.name).eval(), device)
            networks[part.name] = PartNetwork(part, lambda encoded, n=network, t=target: probabilities(n(encoded).logits[0], t))
        encoder = with_fast_layout(self.load_encoder().eval(), device)
        self.trainer.use_threads()
        return partial(predict_parts, encoder=encoder, networks=list(networks.values()), windows=self.windows, intensity=self.intensity,
                       device=device)  # fmt: skip

    def hashes(self) -> dict[str, str]:
        """Content hash of the encoder's and of every decoder's weights, read anew from their files."""
        return {"encoder": weights_sha256(self.load_encoder()), **{name: weights_sha256(self.load_decoder(name)) for name in self.learned}}

    def decoder_rows(self) -> list[dict]:
        """One row per decoder for decoders.csv."""
        full = count_parameters(DecoderNetwork(self.shape, 2, None))[0]
        rows = []
        for name, state in self.learned.items():
            network = self.load_decoder(name)
            parameters, nonzero = count_parameters(network)
            rows.append({
                "decoder": name, "group": state.decoder.group, "structures": " ".join(label.name for label in state.target.labels),
                "parameters": parameters, "nonzero_parameters": nonzero, "nominal_share": nonzero / full, "pruning_rate_percent": 0.0,
                "rounds": 0,
                "validation_dsc_before": None, "validation_dsc_after": None, "updated": name in self.updated,
                "weights_sha256": weights_sha256(network),
            })  # fmt: skip
        return rows

    def footprint(self) -> Footprint:
        """Parameters and bytes of the encoder and all decoders."""
        counts = [count_parameters(self.load_encoder()), *(count_parameters(self.load_decoder(name)) for name in self.learned)]
        parameters, nonzero = (sum(column) for column in zip(*counts, strict=True))
        files = [self.encoder.file, *(state.file for state in self.learned.values())]
        size = sum(file.stat().st_size for file in files)
        return Footprint(parameters, nonzero, size, size)

    def save(self, folder: Path) -> None:
        """Everything that prediction needs, in one folder: `method.json` and the weight files."""
        save_bundle(folder, self.encoder, self.learned)

    def load(self, folder: Path) -> None:
        """Take over what `save` wrote. Raises DataError where a file is missing or damaged."""
        self.encoder, self.learned = load_bundle(folder, self.registry)


def _number(text: str) -> int:
    """A stable 31-bit number for a name."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) >> 1
