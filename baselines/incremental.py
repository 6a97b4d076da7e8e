"""A single U-Net that learns dataset after dataset: what fine-tuning, LwF, ILT, MiB and PLOP have in common."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from baselines.method import STEP_COST, LearnedNetwork, UNetMethod
from baselines.prediction import Outputs, parts_of, predictor_of
from clnet.infer.predict import ScanPredictor
from clnet.types import Footprint, Part, Task

NETWORK = "network"


class Incremental(UNetMethod):
    """Learns each dataset from the network that the one before left, whose head grows by the new structures.

    Source: CL-Net A7 (one nnU-Net fine-tuned dataset by dataset, learning rate 0.005 after the first); NOTES.md 24 (each order starts
    from its own first dataset).
    """

    learned: LearnedNetwork | None = None

    def announce(self, tasks: Sequence[Task], together: bool = False) -> None:
        """Tell the progress line what lies ahead."""
        if together and len(tasks) > 1:
            self.shop.progress.plan(f"network on {len(tasks)} datasets", STEP_COST * self.together.training.steps)
            return
        for number, task in enumerate(tasks):
            self.shop.progress.plan(f"network on {task.dataset}", STEP_COST * (self.later if number else self.first).training.steps)

    def learn(self, task: Task) -> None:
        """Train the network on a dataset; it sees no other."""
        self._learn([task], self.learned)

    def _learn(self, tasks: Sequence[Task], before: LearnedNetwork | None) -> None:
        self.shop.spent.clear()
        space = before.space if before else self.no_classes
        self.learned, self.updated = self.learned_by(self.curriculum(tasks, space, before)), (NETWORK,)

    @property
    def outputs(self) -> dict[str, Outputs]:
        """What is predicted: name of the part -> labels and channels."""
        return self.learned.space.outputs()

    def parts(self) -> list[Part]:
        """The softmax over all classes, and a part for every structure that has others inside."""
        return parts_of(self.outputs, self.learned.identity, self.shop)

    def predictor(self, parts: Sequence[Part]) -> ScanPredictor:
        """What predicts `parts` of a scan; it has loaded the weights."""
        return predictor_of(self.loaded(self.learned), self.outputs, parts, self.shop)

    def hashes(self) -> dict[str, str]:
        """Content hash of the weights."""
        return self.hashes_of({NETWORK: self.learned})

    def footprint(self) -> Footprint:
        """Of the network."""
        return self.footprint_of([self.learned])

    def save(self, folder: Path) -> None:
        """All that prediction needs."""
        self.save_networks(folder, {NETWORK: self.learned})

    def load(self, folder: Path) -> None:
        """Take over what `save` wrote. Raises DataError where a file is missing or damaged."""
        self.learned = self.load_networks(folder)[NETWORK]


class Distilling(Incremental):
    """As above, held to its teacher by a distillation term. distillation_weight: of that term."""

    def __init__(self, *, distillation_weight: float, **parts):
        super().__init__(**parts)
        self.distillation_weight = distillation_weight

    @property
    def settings_of_own(self) -> dict:
        """The term's weight."""
        return {"distillation_weight": self.distillation_weight}
