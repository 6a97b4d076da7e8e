"""One training: an encoder and decoders together, or decoders on a frozen encoder."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping

import torch
from lightning import LightningModule
from torch import Tensor, nn

from clnet.errors import ClnetError
from clnet.learn.optim import Training
from clnet.learn.target import DecoderTarget
from clnet.model.bank import SeparateDecoders
from clnet.model.block import with_fast_layout

MAX_BAD_STEPS = 3


class SegmentationTraining(LightningModule):
    """Sum of the decoders' losses, each as if the decoder trained alone; the encoder learns only when it is not frozen.

    Source: CL-Net 4.2 (encoder updated together with all decoders, then frozen) and 4.3 (decoders on the frozen encoder).
    """

    def __init__(
        self, encoder: nn.Module, decoders: SeparateDecoders, targets: Mapping[str, DecoderTarget], training: Training,
        frozen: bool,
    ):
        super().__init__()
        self.decoders = decoders
        self.targets, self.settings, self.frozen = dict(targets), training, frozen
        self.trained_encoder = None if frozen else encoder
        self.frozen_encoder = (encoder.eval().requires_grad_(False),) if frozen else ()  # a tuple hides it from checkpoints
        self.bad_steps = 0
        self.last_loss = math.nan

    def on_fit_start(self) -> None:
        for module in (*self.frozen_encoder, self):
            with_fast_layout(module, self.device)

    def on_train_epoch_start(self) -> None:
        if self.settings.warm_up_epochs and self.current_epoch == self.settings.warm_up_epochs:
            self.optimizers().optimizer.state.clear()  # CL-Net A4: momentum is reset after the warm-up

    def configure_optimizers(self):
        optimizer, schedule = self.settings.build(p for p in self.parameters() if p.requires_grad)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor | None:
        encoder = self.frozen_encoder[0] if self.frozen else self.trained_encoder
        with torch.no_grad() if self.frozen else contextlib.nullcontext():
            encoded = encoder(batch["image"])
        names = [name for name in self.targets if f"target/{name}" in batch]
        logits = self.decoders(encoded, names, self.settings.finest_at(self.global_step))
        balance = self.settings.balance_at(self.global_step)
        losses = [self.targets[name].loss(logits[name], batch[f"target/{name}"], batch[f"valid/{name}"], balance) for name in names]
        loss = torch.stack(losses).sum()
        self.last_loss = float(loss.detach()) / len(losses)
        if not math.isfinite(self.last_loss):
            return self._bad_step()
        self.bad_steps = 0
        return loss

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        checkpoint["bad_steps"] = self.bad_steps

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        self.bad_steps = checkpoint["bad_steps"]

    def _bad_step(self) -> None:
        self.bad_steps += 1
        if self.bad_steps >= MAX_BAD_STEPS:
            raise ClnetError(
                f"the loss was not finite in {MAX_BAD_STEPS} steps in a row",
                where=f"decoders {', '.join(self.targets)}, step {self.global_step}",
                fix="lower the learning rate or look at the data of these steps (`python run.py task=verify`)",
            )
        return None  # Lightning skips the step
