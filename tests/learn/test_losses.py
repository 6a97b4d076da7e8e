"""Losses: values against plain formulas, and gradients where they should and should not be."""

import pytest
import torch
import torch.nn.functional as F

from clnet.learn.losses import (
    deep_supervision_weights,
    downsampled,
    marginal_dice_cross_entropy,
    marginal_log_probability,
    nested_dice_cross_entropy,
)


@pytest.fixture
def logits():
    torch.manual_seed(0)
    return torch.randn(2, 4, 3, 4, 5, requires_grad=True)


def test_union_probability_is_the_sum_of_its_members(logits):
    probability = logits.softmax(1)
    marginal = marginal_log_probability(logits, ((0, 3), (1, 2))).exp()
    assert torch.allclose(marginal[:, 0], probability[:, 0] + probability[:, 3], atol=1e-6)
    assert torch.allclose(marginal[:, 1], probability[:, 1] + probability[:, 2], atol=1e-6)
    assert torch.allclose(marginal.sum(1), torch.ones_like(marginal[:, 0]), atol=1e-6)


def test_loss_equals_dice_plus_cross_entropy_by_hand(logits):
    target = torch.randint(0, 4, (2, 3, 4, 5))
    groups = ((0,), (1,), (2,), (3,))
    probability = logits.softmax(1)
    one_hot = F.one_hot(target, 4).movedim(-1, 1)
    overlap = (probability * one_hot).sum((0, 2, 3, 4))[1:]
    total = (probability.sum((0, 2, 3, 4)) + one_hot.sum((0, 2, 3, 4)))[1:]
    expected = 1 - ((2 * overlap + 1e-5) / (total + 1e-5)).mean() + F.cross_entropy(logits, target)
    assert marginal_dice_cross_entropy(logits, target, groups).item() == pytest.approx(expected.item(), abs=1e-6)


def test_unlabelled_structure_is_not_pushed_down(logits):
    """Channel 3 is unknown to the dataset: moving probability between it and the background changes nothing."""
    target = torch.zeros(2, 3, 4, 5, dtype=torch.uint8)
    target[:, 0] = 1
    groups = ((0, 3), (1,), (2,))
    before = marginal_dice_cross_entropy(logits, target, groups)
    swapped = logits[:, [3, 1, 2, 0]]
    assert marginal_dice_cross_entropy(swapped, target, groups).item() == pytest.approx(before.item(), abs=1e-6)
    before.backward()
    assert logits.grad.abs().sum((0, 2, 3, 4)).min() > 0


@pytest.mark.parametrize("value", [0, 1])
def test_no_nan_without_foreground_or_background(logits, value):
    loss = marginal_dice_cross_entropy(logits, torch.full((2, 3, 4, 5), value), ((0,), (1,), (2,), (3,)))
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(logits.grad).all()


def test_nested_loss_teaches_annotated_channels_only(logits):
    target = torch.zeros(2, 1, 3, 4, 5, dtype=torch.bool)
    target[:, :, 1] = True
    nested_dice_cross_entropy(logits, target, [2]).backward()
    touched = logits.grad.abs().sum((0, 2, 3, 4)) > 0
    assert touched.tolist() == [False, False, True, False]


def test_deep_supervision_weights_as_nnunet():
    assert deep_supervision_weights(3) == pytest.approx([2 / 3, 1 / 3, 0])
    assert deep_supervision_weights(1) == [1.0]


def test_downsampling_keeps_label_values():
    target = torch.zeros(1, 4, 4, 4, dtype=torch.uint8)
    target[:, 2:] = 7
    coarse = downsampled(target, (2, 2, 2))
    assert coarse.dtype == torch.uint8 and coarse[0, 0].unique().tolist() == [0] and coarse[0, 1].unique().tolist() == [7]
    assert downsampled(target[:, None].bool(), (2, 2, 2)).shape == (1, 1, 2, 2, 2)


@pytest.mark.parametrize("groups", [((0, 3), (1,), (2,)), ((0,), (2, 1), (3,)), ((2,), (0,), (3, 1))])
def test_groups_in_any_order_are_the_sums_of_their_channels_and_so_is_their_gradient(groups):
    logits = torch.randn(2, 4, 2, 3, 2, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(2, len(groups), 2, 3, 2, dtype=torch.float64)
    found = marginal_log_probability(logits, groups)
    probability = logits.softmax(1)
    expected = torch.stack([sum(probability[:, channel] for channel in group) for group in groups], dim=1).log()
    torch.testing.assert_close(found, expected)
    gradients = [torch.autograd.grad((value * weights).sum(), logits, retain_graph=True)[0] for value in (found, expected)]
    torch.testing.assert_close(*gradients)
