"""One training of a whole U-Net, with or without the network of the step before as its teacher."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from baselines.unet import UNet, UNetOutput
from clnet.learn.optim import Training
from clnet.learn.watched import WatchedTraining
from clnet.model.block import with_fast_layout

# student, teacher (None in the first step), batch, exponent of the class weights -> loss
Objective = Callable[[UNetOutput, UNetOutput | None, Mapping[str, Tensor], float], Tensor]


class UNetTraining(WatchedTraining):
    """Trains `network` by `objective`; `teacher` is in evaluation mode, and no gradient reaches it. In steps that leave the finest
    decoder block out it does too, and the two are compared at the level that remains."""

    def __init__(self, network: UNet, objective: Objective, training: Training, teacher: UNet | None = None):
        super().__init__(training, "the network")
        self.network, self.objective = network, objective
        self.teachers = [] if teacher is None else [teacher.eval().requires_grad_(False)]  # in a list: no part of checkpoints

    def on_fit_start(self) -> None:
        for module in (self, *self.teachers):
            with_fast_layout(module, self.device)

    def configure_optimizers(self):
        encoder = list(self.network.encoder.parameters())
        own = {id(parameter) for parameter in encoder}
        others = [parameter for parameter in self.network.parameters() if id(parameter) not in own]
        optimizer, schedule = self.settings.build(others, encoder, self.network.own_lr)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_epoch_start(self) -> None:
        if self.settings.warm_up_epochs and self.current_epoch == self.settings.warm_up_epochs:
            self.optimizers().optimizer.state.clear()  # as CL-Net's decoders have it (A4)

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor | None:
        step, taught = self.global_step, None
        finest = self.settings.finest_at(step)
        if self.teachers:
            with torch.no_grad():
                taught = self.teachers[0](batch["image"], finest)
        student = self.network(batch["image"], finest)
        loss = self.objective(student, taught, batch, self.settings.balance_at(step))
        return self.watched(loss, float(loss.detach()))
