"""Incremental learning techniques: LwF, and the encoder's deepest features are held as well. Source: Michieli & Zanuttigh 2019."""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor

from baselines.lwf import LwF
from baselines.method import Curriculum
from baselines.training import Objective
from clnet.learn.target import DecoderTarget


class ILT(LwF):
    """feature_weight: of the mean squared difference between the deepest features of student and teacher (their L_D'', section 4.2)."""

    def __init__(self, *, feature_weight: float, **parts):
        super().__init__(**parts)
        self.feature_weight = feature_weight

    @property
    def settings_of_own(self) -> dict:
        return {**super().settings_of_own, "feature_weight": self.feature_weight}

    def objective(self, given: Curriculum, targets: Mapping[str, DecoderTarget], extra: Mapping) -> Objective:
        without = super().objective(given, targets, extra)

        def loss(student, teacher, batch, balance) -> Tensor:
            held = F.mse_loss(student.encoder[-1], teacher.encoder[-1].detach())
            return without(student, teacher, batch, balance) + self.feature_weight * held

        return loss
