"""Specialists: one nnU-Net for each dataset, which knows nothing of the others. The upper bound, at the price of their number.

Source: CL-Net 2.2, A7 (nnU-Net E5: the ensemble of the five, each judged on its own dataset, with their parameters added up).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from baselines.method import STEP_COST, LearnedNetwork, UNetMethod
from baselines.prediction import parts_of, predictor_of, scored_on
from clnet.data.store import PreparedCase
from clnet.infer.predict import ScanPredictor
from clnet.types import Footprint, Part, Task


class NnUNet(UNetMethod):
    """The ensemble of specialists; every one is trained from random weights, by the first lesson."""

    def __init__(self, **parts):
        super().__init__(**parts)
        self.specialists: dict[str, LearnedNetwork] = {}

    def announce(self, tasks: Sequence[Task], together: bool = False) -> None:
        """Tell the progress line what lies ahead."""
        for task in tasks:
            self.shop.progress.plan(f"network on {task.dataset}", STEP_COST * self.first.training.steps)

    def learn(self, task: Task) -> None:
        """Train the dataset's specialist."""
        self.shop.spent.clear()
        self.specialists[task.dataset] = self.learned_by(self.curriculum([task], self.no_classes))
        self.updated = (task.dataset,)

    def learn_together(self, tasks: Sequence[Task]) -> None:
        """The same, one after the other."""
        spent = {}
        for task in tasks:
            self.learn(task)
            spent |= self.shop.spent
        self.shop.spent, self.updated = spent, tuple(self.specialists)

    def parts(self) -> list[Part]:
        """Those of every specialist, to be scored on its own dataset alone."""
        return [part for dataset, own in self.specialists.items()
                for part in parts_of(scored_on(dataset, own.space.outputs()), own.identity, self.shop)]  # fmt: skip

    def predictor(self, parts: Sequence[Part]) -> ScanPredictor:
        """What predicts `parts` of a scan: every specialist concerned, one after the other."""
        predictors = []
        for dataset, own in self.specialists.items():
            wanted = [part for part in parts if dataset in part.datasets]
            if wanted:
                predictors.append(predictor_of(self.loaded(own), scored_on(dataset, own.space.outputs()), wanted, self.shop))

        def run(case: PreparedCase, **how) -> Iterator:
            for predict in predictors:
                yield from predict(case, **how)

        return run

    def hashes(self) -> dict[str, str]:
        """Content hash of each specialist's weights."""
        return self.hashes_of(self.specialists)

    def footprint(self) -> Footprint:
        """Of all specialists together."""
        return self.footprint_of(list(self.specialists.values()))

    def save(self, folder: Path) -> None:
        """All that prediction needs."""
        self.save_networks(folder, self.specialists)

    def load(self, folder: Path) -> None:
        """Take over what `save` wrote. Raises DataError where a file is missing or damaged."""
        self.specialists = self.load_networks(folder)
