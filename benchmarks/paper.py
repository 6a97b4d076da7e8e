"""The paper's network as conf/scale/paper.yaml has it, and a small one of the same form. D16 is a decoder of width 16."""

from __future__ import annotations

from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import nn

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


def with_seed(make, seed: int = 0):
    """What `make` returns, with random weights that depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()
