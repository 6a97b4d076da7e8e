"""Optimiser and schedule of one training, as plain data."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch.optim.lr_scheduler import LambdaLR

OwnRates = Sequence[tuple[Sequence[torch.nn.Parameter], float]]


@dataclass(frozen=True)
class Training:
    """Length and step size of one training.

    optimizer: called with the parameters and `lr` (a `torch.optim` class with its other arguments bound in YAML).
    warm_up_epochs at warm_up_lr come first; the optimiser's momentum is reset after them.
    balance: exponent of the cross-entropy's weights by class size at the first step and from 70 % of the steps on, linear between:
    equal shares let small structures start early, and what follows makes the probabilities honest again.
    coarse_share: share of the steps, from the first on, that leave the finest decoder block out: most of a step's cost, and little
    of what tells one organ from another.
    encoder_lr_share: learning rate of an encoder that learns with its decoders, as a share of theirs.
    cosine: the learning rate falls by half a cosine instead of the polynomial.
    Source: CL-Net A4 (warm-up of 5 epochs at 1e-3, then 300 epochs at 1e-2; polynomial schedule, nnU-Net's exponent 0.9; cosine
    annealing without labels).
    """

    optimizer: Callable[..., torch.optim.Optimizer]
    lr: float
    epochs: int
    steps_per_epoch: int
    poly_exponent: float = 0.9
    warm_up_epochs: int = 0
    warm_up_lr: float = 0.0
    gradient_clip_norm: float | None = 12.0
    balance: tuple[float, float] = (0.0, 0.0)
    coarse_share: float = 0.0
    encoder_lr_share: float = 1.0
    cosine: bool = False

    @property
    def steps(self) -> int:
        """Optimiser steps in all."""
        return (self.epochs + self.warm_up_epochs) * self.steps_per_epoch

    def build(
        self, parameters: Iterable[torch.nn.Parameter], encoder: Iterable[torch.nn.Parameter] = (), own_lr: OwnRates = ()
    ) -> tuple[torch.optim.Optimizer, LambdaLR]:
        """The optimiser and its schedule, which advances once a step; `encoder`: parameters that learn at `encoder_lr_share`; own_lr: some
        of the parameters and the rate that they learn at, whatever the others' is; all follow the schedule."""
        parameters, encoder = list(parameters), list(encoder)
        optimizer = self.optimizer([*parameters, *encoder], lr=self.lr)
        if self.encoder_lr_share != 1.0:
            _set_apart(optimizer, encoder, lambda lr: lr * self.encoder_lr_share)
        for some, lr in own_lr:
            _set_apart(optimizer, some, lambda _, lr=lr: lr)
        return optimizer, LambdaLR(optimizer, self.factor)

    def balance_at(self, step: int) -> float:
        """The exponent at a step."""
        begin, end = self.balance
        return begin + (end - begin) * min(step / max(0.7 * self.steps, 1), 1.0)

    def finest_at(self, step: int) -> int:
        """The finest decoder block that a step computes: 0, or 1 during the coarse share."""
        return int(step < self.coarse_share * self.steps)

    def factor(self, step: int) -> float:
        """Learning rate of a step as a share of `lr`."""
        warm_up = self.warm_up_epochs * self.steps_per_epoch
        if step < warm_up:
            return self.warm_up_lr / self.lr
        left = max(1.0 - (step - warm_up) / max(self.steps - warm_up, 1), 0.0)
        return 0.5 - 0.5 * math.cos(math.pi * left) if self.cosine else left**self.poly_exponent


def _set_apart(optimizer: torch.optim.Optimizer, parameters: Iterable[torch.nn.Parameter], rate: Callable[[float], float]) -> None:
    """Move parameters out of an optimiser's groups into groups of their own, with another learning rate than that of the group."""
    apart = {id(parameter) for parameter in parameters}
    for group in list(optimizer.param_groups):
        moved = [parameter for parameter in group["params"] if id(parameter) in apart]
        if moved:
            group["params"] = [parameter for parameter in group["params"] if id(parameter) not in apart]
            optimizer.add_param_group({**group, "params": moved, "lr": rate(group["lr"])})
