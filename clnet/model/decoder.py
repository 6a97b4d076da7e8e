"""One decoding path for one anatomy; it reads the encoder's features and owns no encoder."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from clnet.model.block import conv_block, initialise
from clnet.model.shape import NetworkShape


class DecoderOutput(NamedTuple):
    """logits and features of the decoder blocks, finest first.

    logits: (batch, channel, z, y, x) each; all blocks in training (deep supervision), the finest alone otherwise.
    features: (batch, width, z, y, x) of every block: what feature-level supporting hands to another decoder.
    """

    logits: list[Tensor]
    features: list[Tensor]


class DecoderNetwork(nn.Module):
    """Transposed convolutions and convolution blocks that mirror the encoder, with one 1x1x1 head a block.

    channels: structures plus one for the background, or structures alone where they are nested.
    width: features of the finest block (None: as wide as the encoder).
    Source: CL-Net 4.3, 4.5, A4 (5 blocks of 2 convolutions, transposed convolutions, side supervision).
    """

    def __init__(self, shape: NetworkShape, channels: int, width: int | None = None):
        super().__init__()
        features = shape.decoder_features(width)
        below = (*features[1:], shape.features[-1])
        self.ups = nn.ModuleList(
            nn.ConvTranspose3d(below[i], features[i], shape.strides[i + 1], shape.strides[i + 1]) for i in range(len(features))
        )
        self.blocks = nn.ModuleList(
            conv_block(features[i] + shape.features[i], features[i], shape.kernels[i], (1, 1, 1)) for i in range(len(features))
        )
        self.heads = nn.ModuleList(nn.Conv3d(width_, channels, 1) for width_ in features)
        initialise(self)

    def forward(self, encoded: list[Tensor]) -> DecoderOutput:
        """encoded: the encoder's features, finest first."""
        current = encoded[-1]
        logits, features = [], []
        for level in reversed(range(len(self.blocks))):
            current = self.blocks[level](torch.cat((self.ups[level](current), encoded[level]), dim=1))
            features.insert(0, current)
            if self.training or level == 0:
                logits.insert(0, self.heads[level](current))
        return DecoderOutput(logits, features)
