"""Several decoders trained together, each with weights of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from clnet.model.decoder import DecoderNetwork

Logits = dict[str, list[Tensor]]  # decoder -> logits of its blocks, finest first


class SeparateDecoders(nn.Module):
    """Decoders with weights of their own."""

    def __init__(self, decoders: Mapping[str, nn.Module]):
        super().__init__()
        self.decoders = nn.ModuleDict(decoders)

    def forward(self, encoded: list[Tensor], names: Sequence[str], finest: int = 0) -> Logits:
        """encoded: the encoder's features, finest first; names: the decoders to run; finest: see `DecoderNetwork.forward`."""
        return {name: self.decoders[name](encoded, finest).logits for name in names}

    def network(self, name: str) -> nn.Module:
        """One decoder on its own."""
        return self.decoders[name]


def copy_trunk(source: DecoderNetwork, target: DecoderNetwork) -> None:
    """Give a new decoder all weights of another but the heads'."""
    trunk = {name: value for name, value in source.state_dict().items() if not name.startswith("heads.")}
    target.load_state_dict({**target.state_dict(), **trunk})
