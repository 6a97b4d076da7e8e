"""MultiTalent's loss by hand, and whom it teaches."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from baselines.method import LearnedNetwork
from baselines.multitalent import MultiTalent, multitalent_loss


def volume(*rows) -> torch.Tensor:
    """(batch, head, voxel, 1, 1)."""
    return torch.tensor(rows)[..., None, None]


LOGITS = volume([[0.8, 0.5]], [[0.2, 0.5]]).logit()
TARGET = volume([[True, False]], [[False, False]])


def test_by_hand():
    """Two samples of two voxels: cross-entropies -(ln 0.8 + ln 0.5) / 2 each, and one Dice over both: 2 * 0.8 / (2.0 + 1)."""
    loss = multitalent_loss(LOGITS, TARGET, torch.tensor([[True], [True]]))
    assert float(loss) == pytest.approx(-(math.log(0.8) + math.log(0.5)) - 1.6 / 3.0, abs=1e-5)


def test_what_a_case_does_not_annotate_counts_in_neither_term():
    """The first sample alone: Dice 2 * 0.8 / (1.3 + 1)."""
    loss = multitalent_loss(LOGITS, TARGET, torch.tensor([[True], [False]]))
    assert float(loss) == pytest.approx(-(math.log(0.8) + math.log(0.5)) / 2 - 1.6 / 2.3, abs=1e-5)


def test_heads_add_up():
    both = multitalent_loss(LOGITS.repeat(1, 2, 1, 1, 1), TARGET.repeat(1, 2, 1, 1, 1), torch.ones(2, 2, dtype=torch.bool))
    assert float(both) == pytest.approx(2 * float(multitalent_loss(LOGITS, TARGET, torch.ones(2, 1, dtype=torch.bool))), rel=1e-5)


def test_an_absent_class_has_no_dice_gradient():
    """All that is left is the cross-entropy's: probability / (voxels of a sample)."""
    logits = LOGITS.clone().requires_grad_()
    multitalent_loss(logits, torch.zeros_like(TARGET), torch.tensor([[True], [True]])).backward()
    assert torch.allclose(logits.grad, LOGITS.sigmoid() / 2, atol=1e-6)


def test_balance_weighs_the_cross_entropies_of_mask_and_rest_alike():
    """-ln 0.8 inside, three times -ln 0.5 outside: half of the sum of the two; the Dice stays, 2 * 0.8 / (0.8 + 1.5 + 1)."""
    logits, target = volume([[0.8, 0.5, 0.5, 0.5]]).logit(), volume([[True, False, False, False]])
    loss = multitalent_loss(logits, target, torch.tensor([[True]]), balance=1.0)
    assert float(loss) == pytest.approx(-(math.log(0.8) + math.log(0.5)) / 2 - 1.6 / 3.3, abs=1e-5)


@pytest.mark.parametrize("filled", [False, True])
def test_no_nan_without_foreground_or_background(filled):
    logits = LOGITS.clone().requires_grad_()
    loss = multitalent_loss(logits, torch.full_like(TARGET, filled), torch.tensor([[True], [False]]))
    loss.backward()
    assert loss.isfinite() and logits.grad.isfinite().all()
    nothing = multitalent_loss(logits, TARGET, torch.tensor([[False], [False]]))
    nothing.backward()
    assert float(nothing.detach()) == 0.0


def test_datasets_are_drawn_by_the_root_of_their_size(baseline, tasks):
    method = baseline(MultiTalent, merged=False)
    given = method.curriculum(tasks[:2], method.no_classes)
    weights = method.dataset_weights(given)
    assert weights == {"first": 3**0.5, "second": 3**0.5}
    assert [(head.label, head.dataset) for head in given.space.heads][1:3] == [("Kidney_L", "first"), ("Kidney_L", "second")]


def test_heads_of_earlier_datasets_get_no_gradient(baseline, tasks):
    method = baseline(MultiTalent, merged=False)
    given = method.curriculum([tasks[1]], method.curriculum([tasks[0]], method.no_classes).space)
    targets = method.targets(given)
    (key,) = targets
    logits = torch.zeros(1, 5, 8, 8, 8, requires_grad=True)
    batch = {f"target/{key}": torch.zeros(1, 3, 8, 8, 8, dtype=torch.bool), f"valid/{key}": torch.tensor([True])}
    student = torch.nn.Module()
    student.logits = [logits]
    method.objective(given, targets, {})(student, None, batch, 0.0).backward()
    assert logits.grad[:, :2].abs().sum() == 0 and (logits.grad[:, 2:] > 0).all()


def test_each_dataset_is_scored_by_its_own_heads(baseline, tasks):
    """The left kidney has a head in two datasets: channels 1 and 2, or the mean of both."""
    method = baseline(MultiTalent, merged=False)
    method.learned = LearnedNetwork(Path("none"), "network", method.curriculum(tasks[:2], method.no_classes).space)
    found = {part.name: ([label.name for label in part.labels], part.datasets) for part in method.parts()}
    assert found == {"all@first": (["Liver", "Kidney_L"], {"first"}), "all@second": (["Kidney_L", "Kidney_R", "Kidney_Lesion"], {"second"})}
    assert [channels for _, channels in method.outputs["all@second"]] == [(2,), (3,), (4,)]
    merged = baseline(MultiTalent, merged=True)
    merged.learned = method.learned
    (part,) = merged.parts()
    assert part.datasets is None and [channels for _, channels in merged.outputs["all"]] == [(0,), (1, 2), (3,), (4,)]
