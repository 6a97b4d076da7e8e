"""Several decoders trained together: each with weights of its own, or, to begin with, all on one trunk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from clnet.model.decoder import DecoderNetwork
from clnet.model.shape import NetworkShape

Logits = dict[str, list[Tensor]]  # decoder -> logits of its blocks, finest first


class SeparateDecoders(nn.Module):
    """Decoders with weights of their own."""

    def __init__(self, decoders: Mapping[str, nn.Module]):
        super().__init__()
        self.decoders = nn.ModuleDict(decoders)

    def forward(self, encoded: list[Tensor], names: Sequence[str]) -> Logits:
        """encoded: the encoder's features, finest first; names: the decoders to run."""
        return {name: self.decoders[name](encoded).logits for name in names}

    def network(self, name: str) -> nn.Module:
        """One decoder on its own."""
        return self.decoders[name]


class TiedDecoders(nn.Module):
    """Decoders that share every weight but their heads: one pass trains them all.

    channels: output channels of each decoder. `network` unties one: from then on it learns alone.
    For machines on which a pass per decoder and step takes too long; CL-Net's decoders are separate from the start.
    """

    def __init__(self, shape: NetworkShape, channels: Mapping[str, int], width: int | None):
        super().__init__()
        self.shape, self.width = shape, width
        self.trunk = DecoderNetwork(shape, sum(channels.values()), width)
        stops = torch.tensor(list(channels.values())).cumsum(0).tolist()
        self.places = {name: slice(stop - size, stop) for (name, size), stop in zip(channels.items(), stops, strict=True)}

    def forward(self, encoded: list[Tensor], names: Sequence[str]) -> Logits:
        """As `SeparateDecoders.forward`."""
        levels = self.trunk(encoded).logits
        return {name: [level[:, self.places[name]] for level in levels] for name in names}

    def network(self, name: str) -> DecoderNetwork:
        """A decoder of its own that computes what the tied one does."""
        place = self.places[name]
        state = self.trunk.state_dict()
        heads = {key: value[place] for key, value in state.items() if key.startswith("heads.")}
        network = DecoderNetwork(self.shape, place.stop - place.start, self.width)
        network.load_state_dict({**state, **heads})
        return network


def copy_trunk(source: DecoderNetwork, target: DecoderNetwork) -> None:
    """Give a new decoder all weights of another but the heads'."""
    trunk = {name: value for name, value in source.state_dict().items() if not name.startswith("heads.")}
    target.load_state_dict({**target.state_dict(), **trunk})
