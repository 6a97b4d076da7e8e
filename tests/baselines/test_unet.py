"""A head that grows: old classes keep their weights; balanced new ones share what was background."""

from __future__ import annotations

import pytest
import torch

from baselines.unet import UNet, take_over
from clnet.model.shape import NetworkShape

KERNELS, STRIDES = ((3, 3, 3),) * 3, ((1, 1, 1), (2, 2, 2), (2, 2, 2))


def networks(summed: bool) -> tuple[UNet, UNet, torch.Tensor]:
    torch.manual_seed(0)
    shape = NetworkShape((4, 8, 8), KERNELS, STRIDES, summed_logits=summed)
    old, new = UNet(shape, 1, 3, 4), UNet(shape, 1, 5, 4)
    for head in old.decoder.heads:
        torch.nn.init.normal_(head.weight)
        torch.nn.init.normal_(head.bias)
    return old.eval(), new.eval(), torch.randn(1, 1, 8, 8, 8)


@pytest.mark.parametrize("summed", [False, True])
def test_balanced_rows_divide_the_background(summed):
    """Source: MiB eq. 10: the background's probability is the same for the background and the two new classes, the others' unchanged."""
    old, new, image = networks(summed)
    take_over(old, new, balanced=True)
    before, after = (network(image).logits[0].softmax(1) for network in (old, new))
    assert torch.allclose(after[:, 1:3], before[:, 1:], atol=1e-5)
    for channel in (0, 3, 4):
        assert torch.allclose(after[:, channel], before[:, 0] / 3, atol=1e-5)


def test_old_classes_keep_their_logits():
    old, new, image = networks(False)
    take_over(old, new, balanced=False)
    assert torch.allclose(new(image).logits[0][:, :3], old(image).logits[0], atol=1e-6)


@pytest.mark.parametrize("balanced", [False, True])
def test_without_new_classes_nothing_changes(balanced):
    old, _, image = networks(True)
    again = UNet(old.encoder.shape, 1, 3, 4).eval()
    take_over(old, again, balanced)
    assert torch.equal(again(image).logits[0], old(image).logits[0])
