"""Muon: orthogonal updates for kernels at constant norm, Adam for the rest."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from clnet.learn.muon import Muon, orthogonalised


@pytest.mark.parametrize("shape", [(8, 40), (40, 8), (16, 16)])
def test_singular_values_come_close_to_one(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    matrix = u @ torch.diag(torch.linspace(0.3, 1.0, min(shape))) @ v
    result = orthogonalised(matrix)
    values = torch.linalg.svdvals(result)
    assert values.min() > 0.6 and values.max() < 1.3
    assert (torch.diag(u.T @ result @ v.T) > 0.6).all(), "the singular vectors stay"


def test_a_zero_gradient_moves_no_kernel():
    assert torch.equal(orthogonalised(torch.zeros(4, 9)), torch.zeros(4, 9))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv3d(2, 4, 3, padding=1, bias=False), nn.GroupNorm(4, 4), nn.LeakyReLU(), nn.Conv3d(4, 2, 1))


def test_all_but_kernels_move_as_with_torchs_adam():
    model = network()
    twin = copy.deepcopy(model)
    ours = Muon(model.parameters(), lr=0.0, adam_lr=0.01)
    theirs = torch.optim.Adam([p for name, p in twin.named_parameters() if name != "0.weight"], lr=0.01)
    for step in range(5):
        image = torch.randn(2, 2, 6, 6, 6, generator=torch.Generator().manual_seed(step))
        for net, optimizer in ((model, ours), (twin, theirs)):
            optimizer.zero_grad()
            net(image).square().mean().backward()
            optimizer.step()
    for (name, one), other in zip(model.named_parameters(), twin.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6), name


def test_a_kernel_turns_but_keeps_its_norm():
    model = network()
    kernel, start = model[0].weight, model[0].weight.detach().clone()
    optimizer = Muon(model.parameters(), lr=0.05, adam_lr=0.01)
    target = torch.randn(2, 2, 6, 6, 6, generator=torch.Generator().manual_seed(1))
    image = torch.randn(2, 2, 6, 6, 6, generator=torch.Generator().manual_seed(2))
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = (model(image) - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.95 * losses[0]
    assert not torch.allclose(kernel, start, atol=1e-3)
    assert abs(kernel.norm() / start.norm() - 1) < 0.1


def test_without_a_gradient_nothing_moves():
    model = network()
    before = [p.detach().clone() for p in model.parameters()]
    Muon(model.parameters(), lr=0.1, adam_lr=0.1).step()
    assert all(torch.equal(p, old) for p, old in zip(model.parameters(), before, strict=True))
