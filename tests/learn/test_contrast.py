"""Losses without labels: values by hand, no gradient into the target, and features that have collapsed are seen."""

import pytest
import torch

from clnet.learn.contrast import feature_spread, negative_cosine, symmetric_loss


def test_value_by_hand():
    prediction, target = torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.tensor([[4.0, 3.0], [-2.0, 0.0]])
    assert float(negative_cosine(prediction, target)) == pytest.approx(-(24 / 25 - 1) / 2)


def test_no_gradient_through_the_target():
    prediction, target = (torch.randn(4, 6, requires_grad=True) for _ in range(2))
    negative_cosine(prediction, target).backward()
    assert target.grad is None and float(prediction.grad.abs().sum()) > 0


def test_both_directions_count_half_and_stop_at_the_projections():
    torch.manual_seed(0)
    p1, p2, z1, z2 = (torch.randn(5, 8, requires_grad=True) for _ in range(4))
    loss = symmetric_loss((p1, p2), (z1, z2))
    def halves(first, second):
        return ((negative_cosine(p1, first) + negative_cosine(p2, second)) / 2).item()

    assert loss.item() == pytest.approx(halves(z2, z1)) != pytest.approx(halves(z1, z2))
    loss.backward()
    assert z1.grad is None and z2.grad is None and p1.grad is not None and p2.grad is not None


def test_spread_is_one_for_isotropic_features_and_nothing_for_equal_ones():
    torch.manual_seed(0)
    assert float(feature_spread(torch.randn(2000, 64))) == pytest.approx(1.0, abs=0.02)
    one = torch.randn(1, 64)
    assert float(feature_spread(one * torch.rand(50, 1))) == pytest.approx(0.0, abs=1e-5), "one direction, whatever the length"
    assert torch.isnan(feature_spread(one))
