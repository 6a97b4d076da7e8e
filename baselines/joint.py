"""Joint training: one U-Net learns all datasets at once. The upper bound of continual learning with one network."""

from __future__ import annotations

from collections.abc import Sequence

from baselines.incremental import Incremental
from baselines.method import Curriculum
from clnet.errors import UsageError
from clnet.types import Task


class Joint(Incremental):
    """One softmax over the structures of all datasets; those that a sample's dataset does not label count as its background.

    Each dataset is drawn as often as any other. Needs scenario=universal: a continual learner may not see earlier data.
    """

    def dataset_weights(self, given: Curriculum) -> dict[str, float]:
        return given.evenly

    def learn(self, task: Task) -> None:
        """Refused: raises UsageError."""
        raise UsageError("joint training needs all datasets at once", where="method=joint", fix="scenario=universal")

    def learn_together(self, tasks: Sequence[Task]) -> None:
        """Train the network on all of them."""
        self._learn(tasks, None)
