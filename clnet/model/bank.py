"""Several decoders trained together, each with weights of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

Logits = dict[str, list[Tensor]]  # decoder -> logits of its blocks, finest first


class SeparateDecoders(nn.Module):
    """Decoders with weights of their own."""

    def __init__(self, decoders: Mapping[str, nn.Module]):
        super().__init__()
        self.decoders = nn.ModuleDict(decoders)

    def forward(self, inputs: Mapping[str, tuple[list[Tensor], Sequence[list[Tensor]]]], finest: int = 0) -> Logits:
        """inputs: for each decoder to run, what its encoder and its supporters give; finest: as in `DecoderNetwork.forward`."""
        return {name: self.decoders[name](encoded, supports, finest).logits for name, (encoded, supports) in inputs.items()}

    def network(self, name: str) -> nn.Module:
        """One decoder on its own."""
        return self.decoders[name]
