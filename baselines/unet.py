"""A whole U-Net with one head for all classes, which grows: the network of every method that does not keep its encoder frozen."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from clnet.learn.optim import OwnRates
from clnet.model.decoder import DecoderNetwork
from clnet.model.encoder import Encoder
from clnet.model.shape import NetworkShape


class UNetOutput(NamedTuple):
    """logits of the decoder's blocks, finest first (the finest alone in evaluation mode), and the features of all encoder stages and
    decoder blocks, each (batch, channel, z, y, x)."""

    logits: list[Tensor]
    encoder: list[Tensor]
    decoder: list[Tensor]


class UNet(nn.Module):
    """Encoder and decoder of CL-Net's shape, trained together; `channels` of the head: the background and the classes.

    At the paper's scale it has 31.1 M parameters (paper: 31.3 M for nnU-Net, MiB and PLOP).
    """

    def __init__(self, shape: NetworkShape, image_channels: int, channels: int, width: int | None):
        super().__init__()
        self.encoder = Encoder(shape, image_channels)
        self.decoder = DecoderNetwork(shape, channels, width)

    @property
    def own_lr(self) -> OwnRates:
        """None: all learn at a lesson's rate."""
        return ()

    def forward(self, image: Tensor, finest: int = 0) -> UNetOutput:
        """finest: the last decoder block to compute, 0 for all of them."""
        encoded = self.encoder(image)
        output = self.decoder(encoded, finest=finest)
        return UNetOutput(output.logits, encoded, output.features)


@torch.no_grad()
def take_over(old: UNet, new: UNet, balanced: bool) -> None:
    """Give a network the weights of one with fewer classes; rows of new classes stay as they were initialised.

    balanced: a new class begins with the background's weights in every deep-supervision head, and what the old network took for
    background is divided evenly among the background and the new classes, so that nothing is predicted differently but in their favour.
    Source: Cermelli et al. 2020 (MiB), eq. 10 and 11.
    """
    state, known = new.state_dict(), old.state_dict()
    rows = old.decoder.heads[0].out_channels
    added = new.decoder.heads[0].out_channels - rows
    state |= {name: value for name, value in known.items() if not name.startswith("decoder.heads.")}
    levels = len(new.decoder.heads)
    for level in range(levels):
        weight, bias = (state[f"decoder.heads.{level}.{name}"] for name in ("weight", "bias"))
        weight[:rows], bias[:rows] = known[f"decoder.heads.{level}.weight"], known[f"decoder.heads.{level}.bias"]
        if balanced and added:
            weight[rows:], bias[rows:] = weight[0], bias[0]
            if level == levels - 1 or not new.decoder.summed:  # where logits add up over the levels, once is enough
                bias[[0, *range(rows, rows + added)]] -= math.log(added + 1)
    new.load_state_dict(state)
