"""L2 anchor: every weight is pulled back to where the dataset before left it.

Source: Kirkpatrick et al. 2017 (EWC), eq. 3, with all importances equal: what they compare EWC with as L2 regularisation.
"""

from __future__ import annotations

from baselines.incremental import Incremental


class L2Anchor(Incremental):
    """strength: of half the summed squared distance of the weights to the old ones; rows of new classes are free."""

    taught = False  # the network before is not asked about images, its weights are enough

    def __init__(self, *, strength: float, **parts):
        super().__init__(**parts)
        self.strength, self.pairs = strength, []

    @property
    def settings_of_own(self) -> dict:
        return {"strength": self.strength}

    def take_over(self, old, new) -> None:
        super().take_over(old, new)
        before = dict(old.named_parameters())
        self.pairs = [(own, before[name].detach()) for name, own in new.named_parameters() if own.shape == before[name].shape]

    def objective(self, given, targets, extra):
        plain = super().objective(given, targets, extra)

        def loss(student, teacher, batch, balance):
            apart = sum((own - before.to(own.device)).square().sum() for own, before in self.pairs)
            return plain(student, teacher, batch, balance) + self.strength / 2 * apart

        return loss
