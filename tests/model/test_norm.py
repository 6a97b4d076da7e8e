"""Instance normalisation is the same function wherever it is computed."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from clnet.model.block import conv_block
from clnet.model.norm import InstanceNorm, Normalised

GPU = pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"))


@pytest.fixture
def layers():
    """Ours and torch's, with the same weights."""
    torch.manual_seed(0)
    own, other = InstanceNorm(3), nn.InstanceNorm3d(3, affine=True)
    with torch.no_grad():
        own.weight.copy_(torch.rand(3))
        own.bias.copy_(torch.randn(3))
    other.load_state_dict(own.state_dict())
    return own, other


def image() -> torch.Tensor:
    return torch.randn(2, 3, 5, 6, 7, generator=torch.Generator().manual_seed(0)) * 3 + 1


@pytest.mark.parametrize("device", ["cpu", GPU])
def test_values_and_gradients_are_those_of_torch(layers, device):
    results = []
    for layer in layers:
        layer.to(device)
        given = image().to(device).requires_grad_()
        result = layer(given)
        (result**3).sum().backward()
        results.append((result.detach(), given.grad, layer.weight.grad, layer.bias.grad))
    for mine, theirs in zip(*results, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-4, atol=1e-3)


def test_blocks_are_normalised_so():
    block = conv_block(2, 4, (3, 3, 3), (1, 1, 1))
    assert type(block.norm1) is type(block.norm2) is InstanceNorm
    given = torch.randn(2, 4, 6, 6, 6)
    assert torch.allclose(block.norm1(given), nn.functional.instance_norm(given), atol=1e-6)


def test_what_a_gpu_computes_is_the_same_function(layers):
    own, other = layers
    assert torch.allclose(Normalised.apply(image(), own.weight, own.bias, own.eps), other(image()), atol=1e-5)


def test_its_gradients_are_those_of_its_values(layers):
    given = [value.detach().double().requires_grad_() for value in (image(), layers[0].weight, layers[0].bias)]
    assert torch.autograd.gradcheck(lambda *values: Normalised.apply(*values, 1e-5), given)


def test_in_half_precision_it_keeps_that_and_sums_in_more(layers):
    own, other = layers
    wide = torch.randn(1, 3, 40, 64, 64, generator=torch.Generator().manual_seed(1)) + 3  # sums of 163,840 voxels overflow 16 bits
    half = Normalised.apply(wide.half(), own.weight, own.bias, own.eps)
    assert half.dtype == torch.float16 and torch.allclose(half.float(), other(wide), atol=2e-2)


def test_its_gradients_in_half_precision(layers):
    own, _ = layers
    values, gradients = image() + 5, torch.randn(2, 3, 5, 6, 7, generator=torch.Generator().manual_seed(2))
    found = []
    for dtype in (torch.float32, torch.float16):
        given = [values.to(dtype).requires_grad_(), own.weight, own.bias]
        found.append(torch.autograd.grad(Normalised.apply(*given, own.eps), given, gradients.to(dtype)))
    for exact, half in zip(*found, strict=True):
        assert (half.float() - exact).norm() < 1e-2 * exact.norm()


def test_a_channel_without_contrast_becomes_its_bias(layers):
    own, _ = layers
    flat = Normalised.apply(torch.full((1, 3, 2, 2, 2), 7.0), own.weight, own.bias, own.eps)
    assert torch.allclose(flat, own.bias.view(1, 3, 1, 1, 1).expand_as(flat), atol=1e-2)
