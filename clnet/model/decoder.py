"""One decoding path for one anatomy; it reads the encoder's features and owns no encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
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
    supporter_widths: the width of every decoder that supports this one. Each block gets, beside the upsampled features and the
    encoder's, the features that each supporter's block of the same size puts out, after a 1x1x1 projection that keeps their number.
    nested: structures contain each other; the network is the same, its logits are those of sigmoids.
    With `shape.summed_logits` the heads start at zero and every block corrects the one below.
    Source: CL-Net 4.3 (supporting), 4.5, A4 (5 blocks of 2 convolutions, transposed convolutions, side supervision).
    """

    def __init__(
        self, shape: NetworkShape, channels: int, width: int | None = None, supporter_widths: Sequence[int | None] = (),
        nested: bool = False,
    ):  # fmt: skip
        super().__init__()
        self.nested = nested
        features = shape.decoder_features(width)
        given = [shape.decoder_features(supporter) for supporter in supporter_widths]
        below = (*features[1:], shape.features[-1])
        self.ups = nn.ModuleList(
            nn.ConvTranspose3d(below[i], features[i], shape.strides[i + 1], shape.strides[i + 1]) for i in range(len(features))
        )
        self.blocks = nn.ModuleList(
            conv_block(own + shape.features[i] + sum(g[i] for g in given), own, shape.kernels[i], (1, 1, 1))
            for i, own in enumerate(features)
        )
        self.projections = nn.ModuleList(nn.ModuleList(nn.Conv3d(g, g, 1) for g in widths) for widths in given)
        self.heads = nn.ModuleList(nn.Conv3d(width_, channels, 1) for width_ in features)
        self.summed = shape.summed_logits
        initialise(self)
        if self.summed:
            for head in self.heads:
                nn.init.zeros_(head.weight)

    def forward(self, encoded: list[Tensor], supports: Sequence[list[Tensor]] = (), finest: int = 0) -> DecoderOutput:
        """encoded: the encoder's features; supports: those of each supporter's blocks; both finest first.

        finest: the last block to compute, 0 for all of them.
        """
        current = encoded[-1]
        logits, features, total = [], [], None
        for level in reversed(range(finest, len(self.blocks))):
            given = [projection[level](support[level]) for projection, support in zip(self.projections, supports, strict=True)]
            current = self.blocks[level](torch.cat((self.ups[level](current), encoded[level], *given), dim=1))
            features.insert(0, current)
            if self.summed:
                own = self.heads[level](current)
                total = own if total is None else own + F.interpolate(total, own.shape[2:], mode="trilinear")
            elif self.training or level == finest:
                total = self.heads[level](current)
            if self.training or level == finest:
                logits.insert(0, total)
        return DecoderOutput(logits, features)
