"""Pruned decoders without their dead channels: the same logits from a smaller network.

A channel is dead where no computed channel reaches it, or where the weight of its normalisation is zero: it has one value in every
voxel. It leaves the network, and all dead inputs of a convolution become one channel of ones (`split_weight`). What remains computes
what the masked network computes, but for rounding. Training and files keep the masked network; prediction runs this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clnet.model.block import LEAKY_SLOPE
from clnet.model.channels import Channels, joined, split_weight
from clnet.model.decoder import DecoderNetwork, DecoderOutput
from clnet.model.norm import InstanceNorm
from clnet.model.support import Paths
from clnet.model.thin import ThinConv3d
from clnet.model.weights import count_parameters


class CompactDecoder(nn.Module):
    """A `DecoderNetwork` without its dead channels, for inference alone; `DecoderNetwork.forward` says what comes in and goes out, but
    that features, its own and its supporters', are the computed channels alone.

    supporters: for every supporter, the channels of its features, finest first. channels: the same of its own features.
    """

    def __init__(self, network: DecoderNetwork, supporters: Sequence[Sequence[Channels]]):
        super().__init__()
        self.nested, self.summed, self.channels = network.nested, network.summed, []
        ups, blocks, heads, projections = [], [], [], [[] for _ in supporters]
        current = Channels.all_of(network.ups[-1].in_channels)
        for level in reversed(range(len(network.blocks))):
            up, risen = _transposed(network.ups[level], current)
            sources = [risen]
            for own, layers, given in zip(projections, network.projections, supporters, strict=True):
                layer, projected = _pointwise(layers[level], given[level])
                own.insert(0, layer)
                sources.append(projected)
            block = network.blocks[level]
            encoded = block.conv1.conv.in_channels - sum(len(source.constant) for source in sources)
            first, middle = _normalised(block.conv1.conv, block.norm1, joined([risen, Channels.all_of(encoded), *sources[1:]]))
            second, current = _normalised(block.conv2.conv, block.norm2, middle)
            ups.insert(0, up)
            blocks.insert(0, nn.Sequential(first, second))
            heads.insert(0, _pointwise(network.heads[level], current, all_outputs=True)[0])
            self.channels.insert(0, current)
        self.ups, self.blocks, self.heads = nn.ModuleList(ups), nn.ModuleList(blocks), nn.ModuleList(heads)
        self.projections = nn.ModuleList(nn.ModuleList(own) for own in projections)
        self.requires_grad_(False).eval()

    def forward(self, encoded: list[Tensor], supports: Sequence[list[Tensor]] = ()) -> DecoderOutput:
        current, total, features = encoded[-1], None, []
        for level in reversed(range(len(self.blocks))):
            given = [projection[level](support[level]) for projection, support in zip(self.projections, supports, strict=True)]
            current = self.blocks[level](torch.cat((self.ups[level](current), encoded[level], *given), dim=1))
            features.insert(0, current)
            if self.summed or level == 0:
                own = self.heads[level](current)
                if total is not None:  # contiguous, as is fast for few channels
                    own = own + F.interpolate(total.contiguous(), own.shape[2:], mode="trilinear")
                total = own
        return DecoderOutput([total], features)


class _Reading(nn.Module):
    """A convolution that reads computed channels and, behind them, one channel of ones where constants reach it."""

    def __init__(self, convolution: nn.Conv3d | nn.ConvTranspose3d, read: int):
        super().__init__()
        self.convolution, self.with_ones = convolution, convolution.in_channels > read

    def forward(self, x: Tensor) -> Tensor:
        return self.convolution(torch.cat((x, torch.ones_like(x[:, :1])), dim=1) if self.with_ones else x)


def compact_paths(paths: Paths) -> Paths:
    """The same paths with compact decoders, supporters before those that read them.

    A decoder in which every channel is alive, and that reads none of which some are dead, stays as it is.
    """
    decoders, channels = dict(paths.decoders), {}

    def visit(key: str) -> None:
        supporters = paths.routes[key].features
        for supporter in supporters:
            if supporter not in channels:
                visit(supporter)
        made = CompactDecoder(paths.decoders[key], [channels[supporter] for supporter in supporters])
        channels[key] = made.channels
        if count_parameters(made)[0] < count_parameters(paths.decoders[key])[0]:
            decoders[key] = made

    for key in paths.decoders:
        if key not in channels:
            visit(key)
    return replace(paths, decoders=decoders)


def _transposed(layer: nn.ConvTranspose3d, given: Channels) -> tuple[nn.Module, Channels]:
    """A transposed convolution whose stride is its kernel: what constants add differs inside a cell of the kernel, not between cells."""
    weight, ones = split_weight(layer.weight.transpose(0, 1), given)
    bias = layer.bias.detach().double()
    inside = ones.flatten(1)
    out = Channels.where((weight == 0).flatten(1).all(1) & (inside == inside[:, :1]).all(1), bias + inside[:, 0])
    weight = _with_ones(weight[out.kept], ones[out.kept])
    small = nn.ConvTranspose3d(weight.shape[1], len(out.kept), layer.kernel_size, layer.stride)
    _fill(small, weight.transpose(0, 1), bias[out.kept])
    return _Reading(small, len(given.kept)), out


def _pointwise(layer: nn.Conv3d, given: Channels, all_outputs: bool = False) -> tuple[nn.Module, Channels]:
    """A 1x1x1 convolution; constants go into its bias. all_outputs: also those that nothing reaches (logits)."""
    weight, ones = split_weight(layer.weight, given)
    bias = layer.bias.detach().double() + ones.flatten(1)[:, 0]
    out = Channels.all_of(len(bias)) if all_outputs else Channels.where((weight == 0).flatten(1).all(1), bias)
    small = nn.Conv3d(weight.shape[1], len(out.kept), 1)
    _fill(small, weight[out.kept], bias[out.kept])
    return small, out


def _normalised(layer: nn.Conv3d, norm: nn.GroupNorm, given: Channels) -> tuple[nn.Module, Channels]:
    """A convolution without bias, an instance normalisation and a leaky ReLU."""
    weight, ones = split_weight(layer.weight, given)
    scale, shift = norm.weight.detach(), norm.bias.detach()
    unreached = (weight == 0).flatten(1).all(1) & (ones == 0).flatten(1).all(1)  # ones end at the border: no constant after a kernel
    out = Channels.where(unreached | (scale == 0), F.leaky_relu(shift.double(), LEAKY_SLOPE))
    weight, count = _with_ones(weight[out.kept], ones[out.kept]), len(out.kept)
    small = ThinConv3d(weight.shape[1], count, layer.kernel_size, layer.stride, layer.padding, bias=False)
    _fill(small, weight)
    smaller = InstanceNorm(count, eps=norm.eps)
    _fill(smaller, scale[out.kept], shift[out.kept])
    return nn.Sequential(_Reading(small, len(given.kept)), smaller, nn.LeakyReLU(LEAKY_SLOPE, inplace=True)), out


def _with_ones(weight: Tensor, ones: Tensor) -> Tensor:
    return torch.cat((weight, ones[:, None]), dim=1) if bool((ones != 0).any()) else weight


@torch.no_grad()
def _fill(layer: nn.Module, weight: Tensor, bias: Tensor | None = None) -> None:
    layer.weight.copy_(weight)
    if bias is not None:
        layer.bias.copy_(bias)
