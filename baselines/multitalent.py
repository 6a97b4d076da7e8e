"""MultiTalent: one network, one sigmoid for each label of each dataset, so that datasets need not agree on what a label means.

Source: Ulrich et al. 2023 (MultiTalent).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from torch import Tensor

from baselines.method import Curriculum
from baselines.prediction import Outputs, scored_on
from baselines.sigmoids import SigmoidMethod, SigmoidSpace, balanced_cross_entropy, gathered
from baselines.training import Objective
from baselines.unet import UNet
from clnet.learn.losses import deep_supervision_weights, downsampled
from clnet.learn.target import DecoderTarget

EPSILON = 1e-7  # of the Dice's denominator


def multitalent_loss(logits: Tensor, target: Tensor, valid: Tensor, balance: float = 0.0) -> Tensor:
    """Sum of binary cross-entropies (each the mean over voxels) minus the sum of soft Dice coefficients over heads.

    logits: (batch, head, z, y, x); target: the same, bool; valid: (batch, head) bool, the cross-entropies that count and the samples
    that a head's Dice is taken over; balance: see `balanced_cross_entropy`. A head without a voxel in the batch has a Dice of 0 without
    gradient. Returns a scalar, mostly far below zero.
    Source: Ulrich et al. 2023, section 2 (batch Dice; both terms over annotated classes alone).
    """
    used = valid.any(0)
    logits, target, valid = logits[:, used].float(), target[:, used].float(), valid[:, used].float()
    cross_entropy = balanced_cross_entropy(logits, target, balance)
    over = (0, 2, 3, 4)
    probability = logits.sigmoid() * valid[:, :, None, None, None]
    target = target * valid[:, :, None, None, None]
    dice = 2 * (probability * target).sum(over) / (probability.sum(over) + target.sum(over) + EPSILON)
    return (cross_entropy * valid).sum() - dice.sum()


class MultiTalent(SigmoidMethod):
    """Datasets are drawn by the root of their number of cases.

    One dataset after the other, it only goes on training: nothing teaches the heads of earlier datasets, and nothing holds them.
    Each dataset's heads are scored on that dataset alone. merged: heads of several datasets for the same structures are averaged instead,
    which makes a single output of them.
    """

    heads_by_dataset, taught = True, False

    def __init__(self, *, merged: bool, **parts):
        super().__init__(**parts)
        self.merged = merged

    @property
    def outputs(self) -> dict[str, Outputs]:
        if self.merged:
            return super().outputs
        space = self.learned.space
        owners = dict.fromkeys(head.dataset for head in space.heads)
        return {name: own for dataset in owners for name, own in scored_on(dataset, space.outputs(dataset)).items()}

    def dataset_weights(self, given: Curriculum) -> dict[str, float]:
        return {dataset: count**0.5 for dataset, count in Counter(case.dataset for case in given.cases).items()}

    def objective(self, given: Curriculum, targets: Mapping[str, DecoderTarget], extra: Mapping) -> Objective:
        channels, count = self.channels(given.space, targets), len(given.space.heads)

        def loss(student, teacher, batch, balance) -> Tensor:
            target, valid = gathered(batch, channels, count)
            weights = deep_supervision_weights(len(student.logits))
            return sum(weight * multitalent_loss(level, downsampled(target, level.shape[2:]), valid, balance)
                       for weight, level in zip(weights, student.logits, strict=True) if weight)  # fmt: skip

        return loss

    def _new(self, space: SigmoidSpace) -> UNet:
        return UNet(self.shape, self.shop.intensity.channels, len(space.heads), self.width)
