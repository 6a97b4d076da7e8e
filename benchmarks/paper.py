"""The paper's network as conf/scale/paper.yaml has it, and a small one of the same form. D16 is a decoder of width 16."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from clnet.model.block import with_fast_layout
from clnet.model.shape import NetworkShape

SCALES = Path(__file__).resolve().parents[1] / "conf" / "scale"
PATCH_ZYX = (112, 96, 128)
SMALL = NetworkShape((4, 8, 8), ((1, 3, 3), (3, 3, 3), (3, 3, 3)), ((1, 1, 1), (1, 2, 2), (2, 2, 2)))


def paper_shape() -> NetworkShape:
    """Six stages of 32 to 320 features."""
    return instantiate(OmegaConf.load(SCALES / "paper.yaml").network, _convert_="all")


def ready(module: nn.Module) -> nn.Module:
    """In the memory layout that the project trains and predicts with."""
    return with_fast_layout(module, "cpu")


def as_in_nnunet(module: nn.Module) -> nn.Module:
    """A copy with nnU-Net's own layers and memory layout: `InstanceNorm3d` where the project has the same function as a group norm."""
    copy = deepcopy(module).to(memory_format=torch.contiguous_format)
    for parent in list(copy.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.GroupNorm):
                norm = nn.InstanceNorm3d(child.num_channels, eps=child.eps, affine=True)
                norm.load_state_dict(child.state_dict())
                setattr(parent, name, norm)
    return copy


def operations(work: Callable[[], object]) -> int:
    """Multiplications and additions of the convolutions in `work`, forward and backward."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def with_seed(make, seed: int = 0):
    """What `make` returns, with random weights that depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()
