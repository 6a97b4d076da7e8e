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
    """The output channels of one convolution. own: what computes them; read: where later convolutions of the decoder read them; scale:
    what of `own` sets their size, the weight of a normalisation or the filter itself."""

    count: int
    own: tuple[Slices, ...]
    read: tuple[Slices, ...]
    scale: Slices


def channel_layers(network: DecoderNetwork) -> list[Layer]:
    """Every convolution of a decoder but the heads, whose channels are the structures."""
    layers = []
    for level, (up, block) in enumerate(zip(network.ups, network.blocks, strict=True)):
        entry = f"blocks.{level}.conv1.conv.weight"
        own = _parameters(f"ups.{level}", 1)
        layers.append(Layer(up.out_channels, own, (Slices(entry, 1),), own[0]))
        first = block.conv1.conv.in_channels - sum(projection[level].out_channels for projection in network.projections)
        for index, projection in enumerate(network.projections):
            own = _parameters(f"projections.{index}.{level}", 0)
            layers.append(Layer(projection[level].out_channels, own, (Slices(entry, 1, first),), own[0]))
            first += projection[level].out_channels
        readers = [Slices(f"heads.{level}.weight", 1), *([Slices(f"ups.{level - 1}.weight", 0)] if level else [])]
        for number, read in ((1, [Slices(f"blocks.{level}.conv2.conv.weight", 1)]), (2, readers)):
            convolution, norm = (f"blocks.{level}.{kind}{number}" for kind in ("conv", "norm"))
            scale, shift = _parameters(norm, 0)
            layers.append(Layer(block.conv1.conv.out_channels, (Slices(f"{convolution}.conv.weight", 0), scale, shift), tuple(read), scale))
    return layers


def _parameters(layer: str, dim: int) -> tuple[Slices, Slices]:
    return Slices(f"{layer}.weight", dim), Slices(f"{layer}.bias", 0)


@dataclass(frozen=True)
class WholeChannels:
    """Removes output channels of convolutions, those of every layer in step, in each the least important one first.

    Important is what is large and is read: the weight of the channel's normalisation, or the norm of its filter where none follows,
    times the norm of the weights that read it, each reader's over its mean. The norm of a filter that is normalised says nothing. With
    a channel go the weight and bias of its normalisation, and what later convolutions read it by. Every layer keeps one channel.
    Channels are ranked inside a layer: a ranking across empties whole layers before it touches others.
    Source: Liu et al. 2017, 3 (the weight of the normalisation as a channel's importance); Fang et al. 2023, 3.3 (with the norms of all
    that depends on it); Li et al. 2017, 3.1 (the same share of every layer, with the weights that read what goes).
    """

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
            ranked = _importance(layer, parameters).argsort(stable=True).tolist()
            yield from (((place + 1) / layer.count, index, channel) for place, channel in enumerate(ranked[:-1]))


def _importance(layer: Layer, parameters: Mapping[str, Tensor]) -> Tensor:
    """(channel,) float64; 0 for a channel that is removed already."""
    views = [part.of(parameters[part.name], layer.count) for part in (layer.scale, *layer.read)]
    sizes = [view.reshape(layer.count, -1).double().square().sum(1) for view in views]
    return (sizes[0] * sum(size / size.mean().clamp_min(torch.finfo(size.dtype).tiny) for size in sizes[1:])).sqrt()


def _first(falls_short: Callable[[int], bool], most: int) -> int:
    """The smallest number from 0 to `most` that does not fall short, `most` where all do; what falls short does so below it too."""
    low, high = 0, most
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if falls_short(middle) else (low, middle)
    return low
