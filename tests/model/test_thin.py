"""Convolutions of few outputs: the same as torch's, borders included."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from clnet.model.thin import FEW, ThinConv3d


@pytest.mark.parametrize("kernel", [(3, 3, 3), (1, 3, 3), (5, 3, 1)])
@pytest.mark.parametrize("outputs,bias", [(1, True), (3, False), (FEW, True), (FEW + 1, False)])
@pytest.mark.parametrize("channels_last", [True, False])
def test_the_same_as_a_plain_convolution(kernel, outputs, bias, channels_last):
    torch.manual_seed(0)
    padding = tuple(size // 2 for size in kernel)
    layer = ThinConv3d(7, outputs, kernel, padding=padding, bias=bias)
    image = torch.randn(2, 7, 6, 5, 4)
    image = image.to(memory_format=torch.channels_last_3d) if channels_last else image
    with torch.inference_mode():
        expected = F.conv3d(image, layer.weight, layer.bias, padding=padding)
        assert torch.allclose(layer(image), expected, atol=1e-5)
        if outputs <= FEW and kernel[0] > 1:
            assert layer(image).is_contiguous() and not torch.equal(layer(image), expected), "another order of the same sum"


@pytest.mark.parametrize("more", [{"stride": (2, 1, 1), "padding": 1}, {"padding": 0}])
def test_what_the_taps_do_not_fit_is_left_to_torch(more):
    torch.manual_seed(0)
    layer, image = ThinConv3d(2, 2, 3, **more), torch.randn(1, 2, 6, 5, 4)
    assert torch.equal(layer(image), F.conv3d(image, layer.weight, layer.bias, more.get("stride", 1), more["padding"]))
