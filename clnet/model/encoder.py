"""The general encoder: trained once, frozen, shared by every decoder."""

from __future__ import annotations

from torch import Tensor, nn

from clnet.model.block import conv_block, initialise
from clnet.model.shape import NetworkShape


class Encoder(nn.Module):
    """A stack of strided convolution blocks that returns the features of every stage.

    Input (batch, in_channels, z, y, x), each axis a multiple of `shape.total_stride`; output: one tensor a stage, finest first.
    Source: CL-Net 4.5, A4 (6 blocks of 2 convolutions, 32 to 320 features, strided convolutions).
    """

    def __init__(self, shape: NetworkShape, in_channels: int = 1):
        super().__init__()
        self.shape = shape
        widths = (in_channels, *shape.features)
        self.stages = nn.ModuleList(
            conv_block(widths[i], widths[i + 1], kernel, stride)
            for i, (kernel, stride) in enumerate(zip(shape.kernels, shape.strides, strict=True))
        )
        initialise(self)

    def forward(self, image: Tensor) -> list[Tensor]:
        features = []
        for stage in self.stages:
            image = stage(image)
            features.append(image)
        return features
