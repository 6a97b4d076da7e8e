"""What all methods of whole U-Nets have in common: how a network is trained, kept, saved and sized."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from baselines.classes import Channels, ClassSpace
from baselines.training import Objective, UNetTraining
from baselines.unet import UNet, take_over
from clnet.anatomy.registry import Registry
from clnet.atomic import write_json
from clnet.data.augment import Augmentation
from clnet.data.intensity import Intensity
from clnet.data.store import PreparedCase
from clnet.errors import DataError
from clnet.infer.window import Windows
from clnet.launch import Launcher
from clnet.learn.batches import TrainingBatches
from clnet.learn.fit import TrainerSettings, fit
from clnet.learn.plan import Lesson
from clnet.learn.progress import RunProgress
from clnet.learn.size import HALF_NNUNET_M, dense_footprint
from clnet.learn.target import DecoderTarget, Variants
from clnet.learn.workshop import Workshop, number_of
from clnet.model.shape import NetworkShape
from clnet.model.weights import load_weights, save_weights, weights_sha256
from clnet.types import Footprint, Task
from clnet.units import UnitStore, rank

STEP_COST = 3.0  # of a training step, in those of a decoder on a frozen encoder, which the progress line counts in
COMMON = ("shape", "width", "augmentation", "intensity", "validation_share")  # of `method`: what every network depends on


@dataclass(frozen=True)
class LearnedNetwork:
    """A network: its weights, the unit that made it, and its classes."""

    file: Path
    identity: str
    space: ClassSpace


@dataclass(frozen=True)
class Curriculum:
    """What a network is to learn: from which tasks, with which classes. before: the network that it goes on from, its teacher."""

    tasks: tuple[Task, ...]
    cases: tuple[PreparedCase, ...]
    space: ClassSpace
    before: LearnedNetwork | None = None

    @property
    def title(self) -> str:
        """As the progress line has it."""
        return f"network on {self.tasks[0].dataset if len(self.tasks) == 1 else f'{len(self.tasks)} datasets'}"

    @property
    def lesson(self) -> str:
        """Which of a method's lessons it is taught by: `first`, `together` or `later`."""
        return "later" if self.before else "together" if len(self.tasks) > 1 else "first"

    @property
    def evenly(self) -> dict[str, float]:
        """Weights of the datasets, each drawn as often as any other."""
        return {task.dataset: 1.0 for task in self.tasks}

    @property
    def old(self) -> Channels:
        """Channels of earlier classes, without the background."""
        return tuple(range(1, len(self.before.space.structures) + 1)) if self.before else ()

    @property
    def labelled(self) -> Channels:
        """Channels that the datasets have labels for, old ones among them."""
        shown = [self.space.shown_by(label, task.labels) for task in self.tasks for label in task.labels]
        return tuple(sorted({channel for structures in shown for channel in self.space.channels(structures)}))


class UNetMethod:
    """Trains whole U-Nets of CL-Net's shape; what it makes of them is up to subclasses.

    first: lesson of a network that begins with random weights, on one dataset; together: the same on several at once; later: of one that
    goes on from another; width: features of the finest decoder block (None: as many as the encoder's); validation_share: of each dataset's
    training cases, which nothing learns from, as in CL-Net; settings: plain configuration that identifies units. Subclasses say by
    `objective` what a later lesson minimises, and by `settings_of_own` which of their arguments change that; a first lesson is the same for
    all of them, and so is its unit, but for those with a first lesson `of_own`.
    """

    balanced = False  # how rows of new classes begin, see `take_over`
    of_own = False  # whether the first lesson minimises `objective` too
    taught = True  # whether later lessons ask the network before
    no_classes = ClassSpace()

    def __init__(
        self, *, registry: Registry, shape: NetworkShape, width: int | None, first: Lesson, together: Lesson, later: Lesson,
        augmentation: Augmentation, intensity: Intensity, windows: Windows, settings: Mapping, store: UnitStore, trainer: TrainerSettings,
        progress: RunProgress, launcher: Launcher, seed: int, name: str, validation_share: float = 0.0,
    ):  # fmt: skip
        self.registry, self.shape, self.width, self.name = registry, shape, width, name
        self.first, self.together, self.later, self.launcher = first, together, later, launcher
        self.shop = Workshop(augmentation, intensity, windows, dict(settings), store, trainer, progress, seed, validation_share)
        self.updated: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Spent on building what the last task needed, in this run or in an earlier one."""
        return sum(self.shop.spent.values())

    @property
    def settings_of_own(self) -> dict:
        """Arguments that change what a later lesson teaches."""
        return {}

    def objective(self, given: Curriculum, targets: Mapping[str, DecoderTarget], extra: Mapping) -> Objective:
        """What a later lesson minimises: the segmentation loss, and in subclasses what holds the network to its teacher.

        targets: batch key -> target; extra: what `studied` found.
        """
        return segmentation(targets)

    def grown(self, space: ClassSpace, task: Task) -> ClassSpace:
        """The classes with those of a task."""
        return space.grown(task.labels)

    def targets(self, given: Curriculum) -> dict[str, DecoderTarget]:
        """Batch key -> what the cases teach."""
        return given.space.targets({task.dataset: task.labels for task in given.tasks}, given.cases, self.apart(given))

    def dataset_weights(self, given: Curriculum) -> dict[str, float] | None:
        """How often each dataset is drawn, see `PatchSampler`; None: its targets decide."""
        return None

    def apart(self, given: Curriculum) -> Channels:
        """Channels that are no background where a dataset has no label for them: by default those of earlier classes."""
        labelled = given.labelled
        return tuple(channel for channel in given.old if channel not in labelled)

    def studied(self, given: Curriculum, teacher: UNet, batches: TrainingBatches) -> dict:
        """What a method wants to know of the teacher before the training, as plain JSON; kept with the unit."""
        return {}

    def curriculum(self, tasks: Sequence[Task], space: ClassSpace, before: LearnedNetwork | None = None) -> Curriculum:
        """Over all training cases with a label of their dataset, its classes those of `space` and of the tasks."""
        cases = []
        for task in tasks:
            space, named = self.grown(space, task), {label.name for label in task.labels}
            cases += [case for case in self.shop.cases([task])[0] if case.annotated & named]
        return Curriculum(tuple(tasks), tuple(cases), space, before)

    def learned_by(self, given: Curriculum) -> LearnedNetwork:
        """The network, built where it is not there yet."""
        folder = self.shop.built("network", self.identity(given), lambda place: self._train(given, place), given.title)
        return LearnedNetwork(folder / "network.safetensors", folder.name, given.space)

    def identity(self, given: Curriculum) -> dict:
        """Of the network that a curriculum makes: all that it depends on."""
        plain, before = self.shop.settings["method"], given.before
        own = {"later" if before else "first": plain[given.lesson], **{name: plain[name] for name in COMMON}}
        if before or self.of_own:
            own |= {"method": plain["_target_"], **self.settings_of_own}
        return self.shop.identity((), given.tasks, network=own, start=before.identity if before else None,
                                  structures=given.space.structures, labels=[task.labels for task in given.tasks],
                                  weights=self.dataset_weights(given))  # fmt: skip

    def _train(self, given: Curriculum, folder: Path) -> None:
        network, teacher = self.shop.made(lambda: self._new(given.space), "network"), None
        if given.before:
            teacher = self.loaded(given.before)
            self.take_over(teacher, network)
        lesson: Lesson = getattr(self, given.lesson)
        targets = self.targets(given)
        seed = [self.shop.seed, number_of(given.title)]
        sampling = replace(lesson.sampling, decoders_per_step=None)  # which are targets here, of one network
        weights = self.dataset_weights(given)
        batches = TrainingBatches(given.cases, targets, sampling, self.shop.intensity, self.shop.augmentation, seed, weights)
        if teacher is not None:
            objective = self.objective(given, targets, self._studied(given, teacher, batches, folder))
        else:
            objective = self.objective(given, targets, {}) if self.of_own else segmentation(targets)
        module = UNetTraining(network, objective, lesson.training, teacher if self.taught else None)
        fit(module, batches, self.shop.trainer, folder, self.shop.progress, given.title, STEP_COST)
        if rank() == 0:
            save_weights(network, folder / "network.safetensors")

    def _studied(self, given: Curriculum, teacher: UNet, batches: TrainingBatches, folder: Path) -> dict:
        note = folder / "studied.json"
        if not note.exists():
            write_json(note, self.studied(given, teacher.eval(), batches))
        return json.loads(note.read_text())

    def take_over(self, old: UNet, new: UNet) -> None:
        """Give a network that has just been made the weights of one with fewer classes."""
        take_over(old, new, self.balanced)

    def _new(self, space: ClassSpace) -> UNet:
        return UNet(self.shape, self.shop.intensity.channels, len(space.structures) + 1, self.width)

    def loaded(self, learned: LearnedNetwork) -> UNet:
        """A network from its file. Raises DataError if that is damaged."""
        network = self._new(learned.space)
        load_weights(network, learned.file)
        return network

    def decoder_rows(self) -> list[dict]:
        """None: each network has one decoder, for everything."""
        return []

    def hashes_of(self, networks: Mapping[str, LearnedNetwork]) -> dict[str, str]:
        """Content hash of the weights, read anew from the files."""
        return {name: weights_sha256(self.loaded(learned)) for name, learned in networks.items()}

    def footprint_of(self, networks: Sequence[LearnedNetwork]) -> Footprint:
        """Parameters and bytes; nominally a whole nnU-Net each, as the paper counts them (Fig. 4: 31.3 M)."""
        return dense_footprint([self.loaded(own) for own in networks], [own.file for own in networks], 2 * HALF_NNUNET_M * len(networks))

    def save_networks(self, folder: Path, networks: Mapping[str, LearnedNetwork]) -> None:
        """The weights, and the classes of each network in `method.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, learned in networks.items():
            save_weights(self.loaded(learned), folder / f"{name}.safetensors")
        told = {name: {"identity": learned.identity, **learned.space.described()} for name, learned in networks.items()}
        write_json(folder / "method.json", told)

    def load_networks(self, folder: Path) -> dict[str, LearnedNetwork]:
        """What `save_networks` wrote. Raises DataError where the description is missing or damaged."""
        try:
            told = json.loads((folder / "method.json").read_text())
            spaces = {name: self.no_classes.remembered(own) for name, own in told.items()}
            return {name: LearnedNetwork(folder / f"{name}.safetensors", own["identity"], spaces[name]) for name, own in told.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError("no trained model", where=folder, found=error, fix="name the folder of a finished run: run=PATH") from error


def segmentation(targets: Mapping[str, DecoderTarget]) -> Objective:
    """Deeply supervised Dice (of the labels) and cross-entropy: mean over the samples, each by the target of what its case annotates."""
    variants = Variants(targets)
    return lambda student, teacher, batch, balance: variants.loss(student.logits, batch, balance)
