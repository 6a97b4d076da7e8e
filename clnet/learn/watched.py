"""What every training has in common: its settings, its last loss, and that losses which are not finite end it."""

from __future__ import annotations

import math

from lightning import LightningModule
from torch import Tensor

from clnet.errors import ClnetError
from clnet.learn.optim import Training

MAX_BAD_STEPS = 3


class WatchedTraining(LightningModule):
    """A training by `Training`'s plan. `subject`: what learns, as an error names it; `last_loss`: of the last step.

    A step whose loss is not finite is skipped; three in a row raise ClnetError, also across a kill.
    """

    def __init__(self, settings: Training, subject: str):
        super().__init__()
        self.settings, self.subject = settings, subject
        self.bad_steps = 0
        self.last_loss = math.nan

    def observed(self) -> dict[str, float]:
        """What else the record of an epoch holds."""
        return {}

    def watched(self, loss: Tensor, shown: float) -> Tensor | None:
        """The loss, if it is finite. shown: what the progress line says."""
        self.last_loss = shown
        if math.isfinite(shown):
            self.bad_steps = 0
            return loss
        self.bad_steps += 1
        if self.bad_steps >= MAX_BAD_STEPS:
            raise ClnetError(
                f"the loss was not finite in {MAX_BAD_STEPS} steps in a row", where=f"{self.subject}, step {self.global_step}",
                fix="lower the learning rate or look at the data of these steps (`python run.py task=verify`)",
            )  # fmt: skip
        return None  # Lightning skips the step

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["bad_steps"] = self.bad_steps

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        self.bad_steps = checkpoint["bad_steps"]
