"""Optimiser and schedule of one training, as plain data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch.optim.lr_scheduler import LambdaLR


@dataclass(frozen=True)
class Training:
    """Length and step size of one training.

    optimizer: called with the parameters and `lr` (a `torch.optim` class with its other arguments bound in YAML).
    warm_up_epochs at warm_up_lr come first; the optimiser's momentum is reset after them.
    balance: exponent of the cross-entropy's weights by class size at the first step and from 70 % of the steps on, linear between:
    equal shares let small structures start early, and what follows makes the probabilities honest again.
    coarse_share: share of the steps, from the first on, that leave the finest decoder block out: most of a step's cost, and little
    of what tells one organ from another.
    Source: CL-Net A4 (warm-up of 5 epochs at 1e-3, then 300 epochs at 1e-2; polynomial schedule, nnU-Net's exponent 0.9).
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

    @property
    def steps(self) -> int:
        """Optimiser steps in all."""
        return (self.epochs + self.warm_up_epochs) * self.steps_per_epoch

    def build(self, parameters: Iterable[torch.nn.Parameter]) -> tuple[torch.optim.Optimizer, LambdaLR]:
        """The optimiser and its schedule, which advances once a step."""
        optimizer = self.optimizer(list(parameters), lr=self.lr)
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
        return max(1.0 - (step - warm_up) / max(self.steps - warm_up, 1), 0.0) ** self.poly_exponent
