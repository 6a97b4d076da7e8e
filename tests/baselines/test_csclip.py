"""CSCLIP's loss and pseudo-labels by hand, and what they teach."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch

from baselines.csclip import CSCLIP, binary_dice_cross_entropy, exclusive_of, with_pseudo_labels
from baselines.prompted import SwinBackbone, UNetBackbone
from baselines.sigmoids import SigmoidSpace
from clnet.errors import UsageError
from clnet.types import Label

OWN = {"backbone": "unet", "backbones": {"unet": UNetBackbone, "swin_unetr": partial(SwinBackbone, feature_size=12)},
       "embedding": "text", "hidden": 16, "pseudo_labels": "hard", "relabelled": "truth"}  # fmt: skip


def volume(*rows) -> torch.Tensor:
    """(1, class, voxel, 1, 1)."""
    return torch.tensor([rows])[..., None, None]


def test_loss_by_hand():
    """Class 0: cross-entropy -ln 0.8, Dice 2 * 0.8 / (1.0 + 1 + 1); class 1: -ln 0.5 and 2 * 0.5 / (1.0 + 1 + 1); class 2 is unknown."""
    logits = volume([0.8, 0.2], [0.5, 0.5], [0.9, 0.9]).logit()
    target = volume([True, False], [False, True], [False, False])
    loss = binary_dice_cross_entropy(logits, target, torch.tensor([[True, True, False]]))
    assert float(loss) == pytest.approx((-math.log(0.8) + 1 - 1.6 / 3 - math.log(0.5) + 1 - 1 / 3) / 2, abs=1e-5)


def test_balanced_loss_by_hand():
    """Class 0 has one voxel of four: its cross-entropy -ln 0.6 counts as much as the mean of the others', -ln 0.9, and its Dice is
    2 * 0.6 / (0.9 + 1 + 1); class 1 has none: the plain mean, -ln 0.5, and no Dice. With half of the balance the voxel weighs 1 and each
    other one over the root of 3."""
    logits = volume([0.6, 0.1, 0.1, 0.1], [0.5, 0.5, 0.5, 0.5]).logit()
    target, valid = volume([True, False, False, False], [False] * 4), torch.tensor([[True, True]])
    inside, outside, dice = -math.log(0.6), -math.log(0.9), 1 - 1.2 / 2.9
    for balance, one in ((1.0, (inside + outside) / 2), (0.5, (inside + 3**0.5 * outside) / (1 + 3**0.5))):
        loss = binary_dice_cross_entropy(logits, target, valid, balance)
        assert float(loss) == pytest.approx((one - math.log(0.5)) / 2 + dice, abs=1e-5)


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("valid", [[True, True], [True, False], [False, False]])
@pytest.mark.parametrize("balance", [0.0, 1.0])
def test_no_nan_without_foreground_or_background_or_new_classes(value, valid, balance):
    logits = volume([3.0, -2.0], [0.0, 1.0]).requires_grad_()
    loss = binary_dice_cross_entropy(logits, torch.full((1, 2, 2, 1, 1), value), torch.tensor([valid]), balance)
    loss.backward()
    assert loss.isfinite() and logits.grad.isfinite().all() and bool(logits.grad.abs().sum() > 0) == any(valid)


TARGET = volume([True, True, True, False], [True, True, True, True], [True, False, False, False])  # two old classes, a new one
TEACHER = volume([0.9, 0.9, 0.2, 0.2], [0.7, 0.3, 0.7, 0.3]).logit()
EXCLUSIVE = torch.tensor([[False, False], [False, False], [True, False]])  # the second old class contains the two others


def test_hard_pseudo_labels_by_hand():
    """The new class takes its voxel from the first old one, not from the second, which contains it; labels of old ones count nothing."""
    target, valid = with_pseudo_labels(TARGET, torch.tensor([[False, True, True]]), TEACHER, EXCLUSIVE, soft=False, truth=False)
    assert target[0, :, :, 0, 0].tolist() == [[False, True, False, False], [True, False, True, False], [True, False, False, False]]
    assert valid.tolist() == [[True, True, True]]


def test_soft_pseudo_labels_by_hand_and_new_classes_that_a_case_does_not_annotate():
    target, valid = with_pseudo_labels(TARGET, torch.tensor([[True, True, False]]), TEACHER, EXCLUSIVE, soft=True, truth=False)
    assert target[0, 0, :, 0, 0].tolist() == pytest.approx([0.9, 0.9, 0.2, 0.2]) and valid.tolist() == [[True, True, False]]


@pytest.mark.parametrize("soft", [False, True])
def test_old_classes_that_the_dataset_labels_by_hand(soft):
    """The first old class is as labelled, its voxel of the new class too; the second one, which is not labelled, as the network before
    sees it, but not where the first one is labelled, if that excludes it."""
    valid = torch.tensor([[True, False, True]])
    for exclusive, kept in ((EXCLUSIVE, [0.7, 0.3, 0.7, 0.3]), (EXCLUSIVE | torch.tensor([[False, True]]), [0, 0, 0, 0.3])):
        target, known = with_pseudo_labels(TARGET, valid, TEACHER, exclusive, soft=soft, truth=True)
        assert known.tolist() == [[True, True, True]] and target[0, 0].flatten().tolist() == [1, 1, 1, 0]
        assert target[0, 1].flatten().tolist() == pytest.approx(kept if soft else [value > 0.5 for value in kept])


@pytest.mark.parametrize("relabelled, learns", [("truth", True), ("pseudo", False)])
def test_a_dataset_that_brings_no_class_teaches_by_its_labels(baseline, tasks, relabelled, learns):
    """Whether the loss depends on what the dataset labels."""
    method = baseline(CSCLIP, **{**OWN, "relabelled": relabelled})
    method.learn(tasks[0])
    given = method.curriculum([tasks[0]], method.learned.space, method.learned)
    targets = method.targets(given)
    (key,) = targets
    network = method.loaded(method.learned).eval()
    seen, loss = network(torch.randn(1, 1, 8, 8, 8)), method.objective(given, targets, {})
    empty, full = (torch.full((1, 2, 8, 8, 8), value) for value in (False, True))
    losses = [loss(seen, seen, {f"target/{key}": mask, f"valid/{key}": torch.tensor([True])}, 0.0) for mask in (empty, full)]
    assert bool(losses[0] != losses[1]) == learns


def test_what_contains_the_other_is_not_exclusive():
    """Old: heart, appendage (which lies in it), aorta; new: its arch, and the liver."""
    body = (Label("Heart", ("Heart",), (2, 3)), Label("LAA", ("LAA",), (3,)), Label("A_Aorta", ("A_Aorta_Arch", "A_Aorta_Ascending"), (4,)))
    space = SigmoidSpace().grown(body).grown((Label("Arch", ("A_Aorta_Arch",), (1,)), Label("Liver", ("Liver",), (2,))))
    assert exclusive_of(space, 3)[3:].tolist() == [[True, True, False], [True, True, True]]
    assert exclusive_of(space, 1).tolist() == [[False], [False], [True], [True], [True]], "the appendage takes nothing from the heart"


@pytest.fixture
def second(baseline, tasks):
    """The method, what it is to learn next, the student and the teacher."""
    method = baseline(CSCLIP, **OWN)
    method.learn(tasks[0])
    given = method.curriculum([tasks[1]], method.learned.space, method.learned)
    teacher = method.loaded(method.learned).eval()
    torch.manual_seed(0)
    student = method._new(given.space)
    method.take_over(teacher, student)
    return method, given, student, teacher


def test_known_classes_keep_their_logits_when_new_ones_come(second):
    _, given, student, teacher = second
    image = torch.randn(1, 1, 8, 8, 8)
    assert [head.label for head in given.space.heads] == ["Liver", "Kidney_L", "Kidney_R", "Kidney_Lesion"]
    assert torch.allclose(student.eval()(image).logits[0][:, :2], teacher(image).logits[0], atol=1e-6)


def test_gradients_reach_old_and_new_heads_of_the_student_and_not_the_teacher(second):
    method, given, student, teacher = second
    targets = method.targets(given)
    (key,) = targets
    mask = torch.zeros(2, 3, 8, 8, 8, dtype=torch.bool)
    mask[:, :, 2:4] = True
    image = torch.randn(2, 1, 8, 8, 8)
    loss = method.objective(given, targets, {})
    loss(student(image), teacher(image), {f"target/{key}": mask, f"valid/{key}": torch.tensor([True, True])}, 0.0).backward()
    assert all(any(p.grad.abs().sum() > 0 for p in generator.parameters()) for generator in student.generators)
    assert student.backbone.encoder.stages[0].conv1.conv.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in teacher.parameters())


def test_footprint_counts_the_generators(baseline, tasks):
    method = baseline(CSCLIP, **OWN)
    method.learn(tasks[0])
    one = (256 + 384) * 16 + 16 + 16 * 153 + 153
    assert method.footprint().nominal_parameters_m == pytest.approx(31.3 + 2 * one / 1e6)


@pytest.mark.parametrize("name", ["backbone", "embedding", "pseudo_labels", "relabelled"])
def test_unknown_words_are_refused(baseline, name):
    with pytest.raises(UsageError, match=name):
        baseline(CSCLIP, **{**OWN, name: "other"})


def test_patches_that_the_transformer_cannot_take_are_refused(baseline):
    with pytest.raises(UsageError, match="multiples of 32"):
        baseline(CSCLIP, **{**OWN, "backbone": "swin_unetr"})
