"""Choosing, holding and counting masks."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.utils import prune

from clnet.model.decoder import DecoderNetwork
from clnet.model.mask import apply_masks, choose_masks, hold_masks, prunable, pruning_rate
from clnet.model.shape import NetworkShape

SHAPE = NetworkShape((4, 8, 8), ((3, 3, 3),) * 3, ((1, 1, 1), (1, 2, 2), (2, 2, 2)))


def test_the_smallest_of_all_tensors_together_go():
    tensors = {"a": torch.tensor([0.5, -3.0, 0.1]), "b": torch.tensor([[-0.2, 4.0]])}
    masks = choose_masks(tensors, 0.6)  # by magnitude: 0.1, 0.2, 0.5 | 3, 4
    assert masks["a"].tolist() == [False, True, False] and masks["b"].tolist() == [[False, True]]
    assert masks["a"].dtype == torch.bool and pruning_rate(masks) == pytest.approx(0.6)
    assert all(bool(kept.all()) for kept in choose_masks(tensors, 0.0).values())
    assert not any(bool(kept.any()) for kept in choose_masks(tensors, 1.0).values())


@given(st.floats(0, 1), st.integers(0, 2**16))
def test_exactly_the_rate_is_removed_and_earlier_masks_are_kept_to(rate, seed):
    generator = torch.Generator().manual_seed(seed)
    tensors = {"a": torch.randn(3, 5, generator=generator), "b": torch.zeros(7), "c": torch.randn(2, 2, 2, generator=generator)}
    before = choose_masks(tensors, rate / 2)
    masks = choose_masks(tensors, rate, within=before)
    assert sum(int((~kept).sum()) for kept in masks.values()) == round(rate * 30)
    assert not any(bool((masks[name] & ~before[name]).any()) for name in masks), "what was removed stays removed"


def test_the_same_choice_as_torch():
    torch.manual_seed(0)
    convolutions = [torch.nn.Conv3d(2, 3, 3), torch.nn.ConvTranspose3d(3, 2, 2)]
    tensors = {f"{i}.{name}": p.detach().clone() for i, c in enumerate(convolutions) for name, p in c.named_parameters()}
    prune.global_unstructured([(c, name) for c in convolutions for name in ("weight", "bias")], prune.L1Unstructured, amount=0.83)
    for name, kept in choose_masks(tensors, 0.83).items():
        assert torch.equal(kept, getattr(convolutions[int(name[0])], f"{name[2:]}_mask").bool())


@pytest.mark.parametrize("rate", [-0.1, 1.1, 90])
def test_a_rate_is_a_share(rate):
    with pytest.raises(ValueError, match="share from 0 to 1"):
        choose_masks({"a": torch.ones(3)}, rate)


def test_convolutions_are_pruned_with_biases_and_projections_but_no_norms():
    network = DecoderNetwork(SHAPE, 3, 4, supporter_widths=[4])
    names = set(prunable(network))
    assert {"ups.0.weight", "ups.0.bias", "heads.1.weight", "heads.0.bias", "projections.0.0.weight", "projections.0.1.bias",
            "blocks.0.conv1.conv.weight"} <= names  # fmt: skip
    assert not any("norm" in name for name in names) and names < set(dict(network.named_parameters()))


def test_masks_hold_against_momentum_and_decay():
    """Momentum gathered before pruning and weight decay move a pruned weight unless the mask is applied after each step."""
    for optimiser, holds in ((torch.optim.SGD, {"momentum": 0.99, "nesterov": True}), (torch.optim.AdamW, {})):
        torch.manual_seed(0)
        network = torch.nn.Conv3d(2, 2, 3)
        steps = optimiser(network.parameters(), lr=0.1, weight_decay=0.1, **holds)
        image = torch.randn(2, 2, 5, 5, 5)

        def step(network=network, steps=steps, image=image):
            steps.zero_grad()
            network(image).square().mean().backward()
            steps.step()

        step()
        masks = choose_masks(dict(network.named_parameters()), 0.7)
        hold_masks(network, masks)
        step()
        assert bool(network.weight[~masks["weight"]].any()), "the test would pass without the hook"
        steps.register_step_post_hook(lambda *_, network=network, masks=masks: apply_masks(network, masks))
        for _ in range(10):
            step()
            assert not bool(network.weight[~masks["weight"]].any()) and not bool(network.bias[~masks["bias"]].any())
        assert bool((network.weight[masks["weight"]] != 0).all())
