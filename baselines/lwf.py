"""Learning without forgetting: the teacher's probabilities of the old classes are kept. Source: Li & Hoiem 2016."""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor

from baselines.incremental import Distilling
from baselines.method import Curriculum
from baselines.training import Objective
from clnet.learn.target import DecoderTarget, Variants


def knowledge_distillation(logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Cross-entropy of the student's probabilities among the old classes under the teacher's, mean over classes and voxels.

    logits: (batch, class, z, y, x), the first of them the teacher's classes (the background first); teacher_logits: those alone.
    Returns a scalar; no gradient reaches the teacher. Source: Li & Hoiem 2016, eq. 2 at temperature 1, as MiB's comparison has it.
    """
    teacher = teacher_logits.detach().softmax(1)
    return -(teacher * F.log_softmax(logits[:, : teacher.shape[1]], dim=1)).mean()


class LwF(Distilling):
    """distillation_weight: of `knowledge_distillation`."""

    def objective(self, given: Curriculum, targets: Mapping[str, DecoderTarget], extra: Mapping) -> Objective:
        variants = Variants(targets)

        def loss(student, teacher, batch, balance) -> Tensor:
            kept = knowledge_distillation(student.logits[0], teacher.logits[0])
            return variants.loss(student.logits, batch, balance) + self.distillation_weight * kept

        return loss
