"""Instance normalisation is the same function wherever it is computed."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from clnet.model.norm import InstanceNorm

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"))]


@pytest.mark.parametrize("device", DEVICES)
def test_values_and_gradients_are_those_of_torch(device):
    torch.manual_seed(0)
    own, other = InstanceNorm(3).to(device), nn.InstanceNorm3d(3, affine=True).to(device)
    with torch.no_grad():
        own.weight.copy_(torch.rand(3))
        own.bias.copy_(torch.randn(3))
    other.load_state_dict(own.state_dict())
    image = torch.randn(2, 3, 5, 6, 7, device=device) * 3 + 1
    grads = []
    for layer in (own, other):
        given = image.clone().requires_grad_()
        result = layer(given)
        (result**3).sum().backward()
        grads.append((result.detach(), given.grad, layer.weight.grad, layer.bias.grad))
    for mine, theirs in zip(*grads, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-4, atol=1e-3)
