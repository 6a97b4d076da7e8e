"""Masks over whole channels of a decoder: what lets a smaller network take its place (`clnet.model.compact`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clnet.model.decoder import DecoderNetwork
from clnet.model.mask import Masks, prunable


@dataclass(frozen=True)
class Slices:
    """Elements of one parameter by channel: index `first` + channel of dimension `dim`."""

    name: str
    dim: int
    first: int = 0

    def of(self, tensor: Tensor, count: int) -> Tensor:
        """(channel, ...): a view of the parameter, or of its mask."""
        return tensor.narrow(self.dim, self.first, count).movedim(self.dim, 0)


@dataclass(frozen=True)
class Layer:
    """The output channels of one convolution. own: what computes them; read: where later convolutions of the decoder read them."""

    count: int
    own: tuple[Slices, ...]
    read: tuple[Slices, ...]


def channel_layers(network: DecoderNetwork) -> list[Layer]:
    """Every convolution of a decoder but the heads, whose channels are the structures."""
    layers = []
    for level, (up, block) in enumerate(zip(network.ups, network.blocks, strict=True)):
        entry = f"blocks.{level}.conv1.conv.weight"
        layers.append(Layer(up.out_channels, _parameters(f"ups.{level}", 1), (Slices(entry, 1),)))
        first = block.conv1.conv.in_channels - sum(own[level].out_channels for own in network.projections)
        for index, own in enumerate(network.projections):
            layers.append(Layer(own[level].out_channels, _parameters(f"projections.{index}.{level}", 0), (Slices(entry, 1, first),)))
            first += own[level].out_channels
        readers = [Slices(f"heads.{level}.weight", 1), *([Slices(f"ups.{level - 1}.weight", 0)] if level else [])]
        for number, read in ((1, [Slices(f"blocks.{level}.conv2.conv.weight", 1)]), (2, readers)):
            convolution, norm = (f"blocks.{level}.{kind}{number}" for kind in ("conv", "norm"))
            own = (Slices(f"{convolution}.conv.weight", 0), *_parameters(norm, 0))
            layers.append(Layer(block.conv1.conv.out_channels, own, tuple(read)))
    return layers


def _parameters(layer: str, dim: int) -> tuple[Slices, Slices]:
    return Slices(f"{layer}.weight", dim), Slices(f"{layer}.bias", 0)


@dataclass(frozen=True)
class WholeChannels:
    """Removes output channels of convolutions, those of every layer in step, in each the one whose filter has the smallest norm first.

    power: 1 or 2, of the norm. With a channel go the weight and bias of its normalisation, and what later convolutions read it by.
    Every layer keeps one channel. Norms are ranked inside a layer, not across: a normalisation follows most convolutions, so that the
    scale of a filter means nothing beside another layer's, and a ranking across would empty whole layers before it touched others.
    Source: Li et al. 2017, 3.1 and 3.2 (filters by their L1 norm in their layer, with the weights that read them).
    """

    power: int = 1

    def __call__(self, network: DecoderNetwork, rate: float, within: Mapping[str, Tensor] | None = None) -> Masks:
        """Masks of all convolutions and normalisations, True = kept, with the fewest channels removed that make up `rate`.

        rate: share of the weights and biases of all convolutions that is to go, 0 to 1; where the layers' last channels stand against
        it, less goes. within: masks of an earlier round; what they removed stays removed, and channels without a weight go first.
        """
        layers, parameters = channel_layers(network), dict(network.named_parameters())
        parameters = {name: parameter.detach() for name, parameter in parameters.items()}
        order = [(index, channel) for _, index, channel in sorted(self._ranked(layers, parameters))]
        counted = prunable(network)
        total = sum(parameter.numel() for parameter in counted.values())

        def masks(removed: int) -> Masks:
            kept = {name: torch.ones_like(parameter, dtype=torch.bool) for name, parameter in parameters.items()}
            if within:
                kept |= {name: mask.clone() for name, mask in within.items()}
            for index, channel in order[:removed]:
                for part in (*layers[index].own, *layers[index].read):
                    part.of(kept[part.name], layers[index].count)[channel] = False
            return kept

        def falls_short(removed: int) -> bool:
            kept = masks(removed)
            return sum(int((~kept[name]).sum()) for name in counted) < rate * total

        return masks(_first(falls_short, len(order)))

    def _ranked(self, layers: Sequence[Layer], parameters: Mapping[str, Tensor]) -> Iterator[tuple[float, int, int]]:
        """(share of the layer that is gone with the channel, layer, channel) of all channels but the most important one of each layer."""
        for index, layer in enumerate(layers):
            filters = layer.own[0].of(parameters[layer.own[0].name], layer.count)
            ranked = filters.flatten(1).double().norm(self.power, dim=1).argsort(stable=True).tolist()
            yield from (((place + 1) / layer.count, index, channel) for place, channel in enumerate(ranked[:-1]))


def _first(falls_short: Callable[[int], bool], most: int) -> int:
    """The smallest number from 0 to `most` that does not fall short, `most` where all do; what falls short does so below it too."""
    low, high = 0, most
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if falls_short(middle) else (low, middle)
    return low
