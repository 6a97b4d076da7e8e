"""What all units of CL-Net are built with: data, seeds, identities, the store."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import torch

from clnet.data.augment import Augmentation
from clnet.data.intensity import Intensity
from clnet.data.store import PreparedCase
from clnet.infer.window import Windows
from clnet.learn.batches import TrainingBatches
from clnet.learn.fit import TrainerSettings
from clnet.learn.plan import Lesson
from clnet.learn.progress import RunProgress
from clnet.learn.target import Variants
from clnet.learn.validate import Memory, held_out
from clnet.types import Task
from clnet.units import UnitStore

Made = TypeVar("Made")


class NotBuilt(Exception):
    """A unit is not there, and nobody asked to build it."""


@dataclass
class Workshop:
    """settings: the plain configuration by name, of which each unit's identity takes what it depends on. validation_share: of each
    dataset's training cases, which nothing is trained on; validation_overlap: of the windows there. spent: unit -> seconds, of those
    asked for so far, in this run or an earlier one. encoded: features of validation cases, kept from one decoder to the next. divided: a
    task's cases to learn from and to validate on.
    """

    augmentation: Augmentation
    intensity: Intensity
    windows: Windows
    settings: dict
    store: UnitStore
    trainer: TrainerSettings
    progress: RunProgress
    seed: int
    validation_share: float = 0.0
    validation_overlap: float = 0.0
    spent: dict[str, float] = field(default_factory=dict)
    encoded: Memory = field(default_factory=Memory)
    looking: bool = False
    divided: dict[str, tuple[list[PreparedCase], list[PreparedCase]]] = field(default_factory=dict)

    def __getstate__(self) -> dict:
        return {**self.__dict__, "encoded": Memory()}  # other processes compute their own

    @property
    def device(self) -> torch.device:
        """Where predictions are made."""
        return torch.device("cuda" if self.trainer.accelerator in ("gpu", "cuda") else "cpu")

    def identity(self, settings: Sequence[str], tasks: Sequence[Task], **more) -> dict:
        """Identity of a unit that depends on these settings, the seed, the tasks' training cases, and more."""
        common = ("network", "decoder_width", "augment", "intensity", "trainer", "validation_share")
        chosen = {name: self.settings[name] for name in (*common, *settings)}
        return {"settings": chosen, "seed": self.seed, "data": [task.identity for task in tasks], **more}

    def built(self, kind: str, identity: Mapping, build: Callable[[Path], None], name: str, collective: bool = True) -> Path:
        """The unit's folder; it is built where it is not there yet. collective: by all processes that train together, not by one alone."""
        if self.store.finished(kind, identity):
            self.progress.skip(name, self.store.finished_at(kind, identity))
            folder = self.store.path(kind, identity)
        elif self.looking:
            raise NotBuilt
        else:
            folder = self.store.build(kind, identity, build, collective=collective)
            self.progress.finish(name)
        self.spent[str(folder)] = self.store.seconds(kind, identity)
        return folder

    def is_done(self, job: Callable[[], object]) -> bool:
        """Whether all units that a job asks for are there already; builds none."""
        self.looking = True
        try:
            job()
        except NotBuilt:
            return False
        finally:
            self.looking = False
        return True

    def cases(self, tasks: Sequence[Task]) -> tuple[list[PreparedCase], list[PreparedCase]]:
        """Cases to learn from and cases to validate on."""
        for task in tasks:
            if task.identity not in self.divided:
                self.divided[task.identity] = held_out(task.cases, self.validation_share)
        parts = [self.divided[task.identity] for task in tasks]
        return [case for part in parts for case in part[0]], [case for part in parts for case in part[1]]

    def batches(
        self, cases: Sequence[PreparedCase], variants: Iterable[Variants], lesson: Lesson, purpose: str
    ) -> TrainingBatches:
        """Batches of a training of decoders; `purpose` names it and decides, with the seed, what is drawn."""
        targets = {key: target for each in variants for key, target in each.targets.items()}
        return TrainingBatches(cases, targets, lesson.sampling, self.intensity, self.augmentation, [self.seed, number_of(purpose)])

    def made(self, make: Callable[[], Made], purpose: str) -> Made:
        """A network whose initial weights depend on the seed and its name alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(number_of(f"{self.seed} {purpose}"))
            return make()


def number_of(text: str) -> int:
    """A stable 31-bit number for a name."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) >> 1
