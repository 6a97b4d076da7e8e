"""LwF and ILT by hand."""

from __future__ import annotations

import math

import pytest
import torch

from baselines.ilt import ILT
from baselines.lwf import knowledge_distillation


def test_distillation_among_the_old_classes_by_hand():
    """Student 0.2, 0.2 among the old ones of 0.2, 0.2, 0.6: one half each; teacher 0.75, 0.25; divided by two classes."""
    student = torch.tensor([0.2, 0.2, 0.6]).log()[None, :, None, None, None].requires_grad_()
    teacher = torch.tensor([0.75, 0.25]).log()[None, :, None, None, None].requires_grad_()
    loss = knowledge_distillation(student, teacher)
    assert float(loss.detach()) == pytest.approx(math.log(2) / 2)
    loss.backward()
    assert teacher.grad is None and student.grad[0, 0, 0, 0, 0] < 0 < student.grad[0, 1, 0, 0, 0]
    assert student.grad[0, 2].abs().sum() == 0, "the new class is not held"


def test_ilt_holds_the_deepest_features(baseline, tasks):
    own = baseline(ILT, distillation_weight=0.0, feature_weight=2.0)
    own.learn(tasks[0])
    before = own.learned
    given = own.curriculum([tasks[1]], before.space, before)
    targets = given.space.targets({tasks[1].dataset: tasks[1].labels}, given.cases, own.apart(given))
    teacher = own.loaded(before).eval()
    image = torch.randn(1, 1, 8, 8, 8)
    known = teacher(image)
    changed = known._replace(encoder=[*known.encoder[:-1], (known.encoder[-1] + 3.0).detach().requires_grad_()])
    loss = own.objective(given, targets, {})
    nothing = {}
    for key in targets:
        nothing |= {f"target/{key}": torch.zeros(1, 8, 8, 8, dtype=torch.uint8), f"valid/{key}": torch.tensor([False])}
    assert float(loss(changed, known, nothing, 0.0).detach()) == pytest.approx(2.0 * 9.0, rel=1e-4)
