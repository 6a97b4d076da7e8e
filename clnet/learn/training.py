"""One training: an encoder and decoders together, or decoders on a frozen encoder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from clnet.errors import ClnetError
from clnet.learn.momentum_queue import Rehearsal
from clnet.learn.optim import Training
from clnet.learn.target import Variants
from clnet.learn.watched import WatchedTraining
from clnet.model.bank import SeparateDecoders
from clnet.model.block import with_fast_layout
from clnet.model.mask import Masks, apply_masks, hold_masks
from clnet.model.support import Pass, Paths, Route
from clnet.model.weights import save_weights


class SegmentationTraining(WatchedTraining):
    """Sum of the decoders' losses, each as if the decoder trained alone.

    decoders: what learns; targets: what each learns, by decoder; routes: what each reads. encoder: learns with them; None: it is among
    `frozen`, as all supporters are. masks: decoder -> what of it is pruned and stays so. ema, averaged_encoder: weights averaged over
    the steps (see `averages`), of the decoders and of the encoder that learns. rehearsal: what the encoder that learns is held to.
    rewind: where the decoders' weights after the warm-up are kept, to return to when they are pruned.
    Source: CL-Net 4.2 (encoder updated together with all decoders, then frozen), 4.3 (decoders on the frozen encoder).
    """

    def __init__(
        self, decoders: SeparateDecoders, targets: Mapping[str, Variants], routes: Mapping[str, Route], training: Training, *,
        encoder: nn.Module | None = None, frozen: Paths | None = None, masks: Mapping[str, Masks] | None = None,
        ema: AveragedModel | None = None, averaged_encoder: AveragedModel | None = None, rewind: Path | None = None,
        rehearsal: Rehearsal | None = None,
    ):  # fmt: skip
        super().__init__(training, f"decoders {', '.join(targets)}")
        self.decoders, self.trained_encoder, self.ema, self.averaged_encoder = decoders, encoder, ema, averaged_encoder
        self.targets, self.routes = dict(targets), dict(routes)
        self.frozen = frozen or Paths({}, {}, {})
        for network in self.frozen.networks():
            network.eval().requires_grad_(False)
        self.masks = {f"{name}.{tensor}": kept for name, own in (masks or {}).items() for tensor, kept in own.items()}
        self.rewind, self.rehearsal = rewind, rehearsal

    def on_fit_start(self) -> None:
        for module in (*self.frozen.networks(), self):
            with_fast_layout(module, self.device)
        self.masks = {name: kept.to(self.device) for name, kept in self.masks.items()}
        hold_masks(self.decoders.decoders, self.masks)

    def on_train_epoch_start(self) -> None:
        if self.current_epoch != self.settings.warm_up_epochs:
            return
        if self.settings.warm_up_epochs:
            self.optimizers().optimizer.state.clear()  # CL-Net A4: momentum is reset after the warm-up
        if self.rewind is not None and self.global_rank == 0:
            save_weights(self.decoders, self.rewind)

    def configure_optimizers(self):
        encoder = self.trained_encoder.parameters() if self.trained_encoder is not None else ()
        optimizer, schedule = self.settings.build(
            [p for p in self.decoders.parameters() if p.requires_grad], [p for p in encoder if p.requires_grad]
        )
        optimizer.register_step_post_hook(self._after_step)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor | None:
        names = [name for name in self.targets if any(f"target/{key}" in batch for key in self.targets[name].targets)]
        logits = self.decoders(self._inputs(batch["image"], names), self.settings.finest_at(self.global_step))
        balance = self.settings.balance_at(self.global_step)
        losses = [self.targets[name].loss(logits[name], batch, balance) for name in names]
        loss, shown = torch.stack(losses).sum(), float(torch.stack(losses).detach().mean())
        if self.rehearsal is not None:
            held = self.rehearsal.loss(self.trained_encoder, self.global_step)
            loss, shown = loss + held, shown + float(held.detach())
        return self.watched(loss, shown)

    def on_save_checkpoint(self, checkpoint: dict) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["masks"] = self._masks_sha256()

    def on_load_checkpoint(self, checkpoint: dict) -> None:
        super().on_load_checkpoint(checkpoint)
        if checkpoint["masks"] != self._masks_sha256():
            raise ClnetError("a checkpoint belongs to other pruning masks", where=", ".join(self.targets),
                             fix="delete the unfinished unit's folder and run again")  # fmt: skip

    def _inputs(self, image: Tensor, names: list[str]) -> dict[str, tuple[list[Tensor], list[list[Tensor]]]]:
        """What the encoder and the supporters give to each decoder; with gradients only into an encoder that learns."""
        with torch.no_grad():
            known = Pass(self.frozen, image)
            supports = {name: known.supports(self.routes[name]) for name in names}
            if self.trained_encoder is None:
                return {name: (known.encoded(self.routes[name]), given) for name, given in supports.items()}
            images = {self.routes[name].masks: known.input(self.routes[name]) for name in names}
        encoded = {masks: self.trained_encoder(value) for masks, value in images.items()}
        return {name: (encoded[self.routes[name].masks], given) for name, given in supports.items()}

    def _after_step(self, *_) -> None:
        apply_masks(self.decoders.decoders, self.masks)
        if self.ema is not None:
            self.ema.update_parameters(self.decoders)
        if self.averaged_encoder is not None:
            self.averaged_encoder.update_parameters(self.trained_encoder)

    def _masks_sha256(self) -> str:
        digest = hashlib.sha256()
        for name, kept in sorted(self.masks.items()):
            digest.update(name.encode() + kept.cpu().numpy().tobytes())
        return digest.hexdigest()


def averages(network: nn.Module, start: nn.Module | None, alpha: float) -> AveragedModel:
    """The exponential moving average of a network: ema = alpha * ema + (1 - alpha) * weights after every step.

    It begins as `start`, or as the network itself. Weights that are zero in both stay exactly zero.
    Source: CL-Net eq. 4; NOTES.md 13 (from the end of the pruning on).
    """
    averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(alpha))
    if start is not None:
        averaged.module.load_state_dict(start.state_dict())
    averaged.requires_grad_(False)
    averaged.n_averaged += 1  # at zero the first update would copy the weights instead of averaging them
    return averaged
