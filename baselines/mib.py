"""Modeling the background: losses that know what is background now was, or may have been, another class.

Source: Cermelli et al. 2020; CL-Net A7, eq. 12 to 15 (label sets that overlap), with the repairs of NOTES.md 23.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from baselines.classes import Channels
from baselines.incremental import Distilling
from baselines.method import Curriculum
from baselines.training import Objective
from clnet.learn.losses import channels
from clnet.learn.target import DecoderTarget, Variants

BACKGROUND = 0


def unbiased_cross_entropy(logits: Tensor, target: Tensor, old: Collection[int], current: Collection[int]) -> Tensor:
    """Cross-entropy in which the background is the background or any old class that the dataset does not label.

    logits: (batch, class, z, y, x); target: (batch, z, y, x) class indices, those of unlabelled old classes count as background;
    old, current: classes known before and labelled now, 0 (the background) may be in either. Returns the mean over voxels.
    Source: CL-Net eq. 12 and 13, with the overlap of `old` and `current` as an intersection (NOTES.md 23); where they have none,
    Cermelli et al. 2020, eq. 4 and 5.
    """
    merged = sorted({BACKGROUND, *old} - (set(current) - {BACKGROUND}))
    log_probability = F.log_softmax(logits, dim=1)
    background = torch.logsumexp(channels(log_probability, merged), dim=1, keepdim=True)
    log_probability = torch.cat((background, log_probability[:, 1:]), dim=1)
    target = torch.where(torch.isin(target, target.new_tensor(merged)), BACKGROUND, target)
    return F.nll_loss(log_probability, target.long())


def unbiased_distillation(logits: Tensor, teacher_logits: Tensor, old: Collection[int], current: Collection[int]) -> Tensor:
    """Cross-entropy under the teacher's probabilities, in which the student's background is the background or any class labelled now.

    logits: (batch, class, z, y, x); teacher_logits: (batch, old class, z, y, x), the background and the old classes in rising order;
    old, current: as above. Old classes that are labelled now are left out. Returns the sum over classes, mean over voxels; no
    gradient reaches the teacher.
    Source: CL-Net eq. 14 and 15, with the class of the sum in place of the label (NOTES.md 23); where `old` and `current` have nothing in
    common, Cermelli et al. 2020, eq. 8 and 9 (whose code also divides by the number of old classes).
    """
    known = sorted({BACKGROUND, *old})
    kept = [channel for channel in known if channel == BACKGROUND or channel not in current]
    teacher = channels(teacher_logits.detach().softmax(1), [known.index(channel) for channel in kept])
    log_probability = F.log_softmax(logits, dim=1)
    background = torch.logsumexp(channels(log_probability, sorted({BACKGROUND, *current})), dim=1, keepdim=True)
    student = torch.cat((background, channels(log_probability, kept[1:])), dim=1)
    return -(teacher * student).sum(1).mean()


class MiB(Distilling):
    """distillation_weight: of `unbiased_distillation` divided by the number of old classes, as the original code has it.

    The cross-entropy of a step is the unbiased one, and its Dice that of the labels, on the same merged probabilities.
    """

    balanced = True

    def apart(self, given: Curriculum) -> Channels:
        return ()

    def objective(self, given: Curriculum, targets: Mapping[str, DecoderTarget], extra: Mapping) -> Objective:
        variants, old, current = Variants(targets), given.old, given.labelled
        weight = self.distillation_weight / (len(old) + 1)

        def loss(student, teacher, batch, balance) -> Tensor:
            kept = unbiased_distillation(student.logits[0], teacher.logits[0], old, current)
            return variants.loss(student.logits, batch, balance) + weight * kept

        return loss
