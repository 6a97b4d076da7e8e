"""What a network costs: multiply-adds of its convolutions, all of them and those by weights that are not zero."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from clnet.model.compact import CompactDecoder
from clnet.model.decoder import DecoderNetwork
from clnet.model.shape import NetworkShape


def multiply_adds(network: nn.Module, *inputs) -> tuple[int, int]:
    """Multiply-adds of one call, and those that a zero weight is no part of; normalisations and additions do not count.

    inputs: as the network takes them, on any device: nothing is computed but shapes. A convolution multiplies each weight once per
    voxel of its output and sample, a transposed one once per voxel of its input.
    """
    nonzero = {name: int((module.weight != 0).sum()) for name, module in _convolutions(network)}
    shapes, counted = copy.deepcopy(network).to("meta"), []

    def count(module: nn.Module, given: tuple[Tensor], out: Tensor, name: str) -> None:
        grid = given[0] if isinstance(module, nn.ConvTranspose3d) else out
        voxels = len(grid) * prod(grid.shape[2:])
        counted.append((module.weight.numel() * voxels, nonzero[name] * voxels))

    for name, module in _convolutions(shapes):
        module.register_forward_hook(lambda *call, name=name: count(*call, name))
    with torch.no_grad():
        shapes(*_on_meta(inputs))
    return tuple(sum(column) for column in zip(*counted, strict=True))


def decoder_inputs(
    network: DecoderNetwork | CompactDecoder, shape: NetworkShape, patch_zyx: Sequence[int], batch: int = 1, device: str = "cpu"
) -> tuple[list[Tensor], list[list[Tensor]]]:
    """What an encoder and a decoder's supporters give for windows of a size, random: features, finest first, of each."""
    sizes, strides = [], (1, 1, 1)
    for stride in shape.strides:
        strides = tuple(a * b for a, b in zip(strides, stride, strict=True))
        sizes.append(tuple(a // b for a, b in zip(patch_zyx, strides, strict=True)))

    def features(widths: Sequence[int]) -> list[Tensor]:
        return [torch.randn(batch, width, *size, device=device) for width, size in zip(widths, sizes, strict=False)]

    return features(shape.features), [features([layer.in_channels for layer in own]) for own in network.projections]


def _convolutions(network: nn.Module):
    return [(name, module) for name, module in network.named_modules() if isinstance(module, nn.Conv3d | nn.ConvTranspose3d)]


def _on_meta(value):
    if isinstance(value, Tensor):
        return value.to("meta")
    return [_on_meta(item) for item in value]
