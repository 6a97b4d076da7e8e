"""The paper's network as conf/scale/paper.yaml has it, and a small one of the same form. D16 is a decoder of width 16."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Place:
    """Where both sides of a benchmark compute: on a CPU in 32-bit floats, or on a GPU with autocast's choice of bfloat16."""

    device: str = "cpu"

    @classmethod
    def best(cls) -> Place:
        """The GPU, where there is one."""
        return cls("cuda" if torch.cuda.is_available() else "cpu")

    @property
    def words(self) -> str:
        """For the end of a workload."""
        return f", bf16, {torch.cuda.get_device_name()}" if self.device == "cuda" else ""

    def ready(self, module: nn.Module) -> nn.Module:
        """In the memory layout that the project trains and predicts with."""
        return with_fast_layout(module, self.device)

    def precision(self) -> AbstractContextManager:
        """For forward passes."""
        return torch.autocast("cuda", torch.bfloat16) if self.device == "cuda" else nullcontext()

    def finished(self, work: Callable[[], object]) -> object:
        """What the work returns, in this place's precision, once the device is done with it."""
        with self.precision():
            result = work()
        if self.device == "cuda":
            torch.cuda.synchronize()
        return result


def paper_shape() -> NetworkShape:
    """Six stages of 32 to 320 features."""
    return instantiate(OmegaConf.load(SCALES / "paper.yaml").network, _convert_="all")


def as_in_nnunet(module: nn.Module) -> nn.Module:
    """A copy with nnU-Net's own layers and memory layout: `InstanceNorm3d` where the project has the same function as a group norm."""
    copy = deepcopy(module).to(memory_format=torch.contiguous_format)
    for parent in list(copy.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.GroupNorm):
                norm = nn.InstanceNorm3d(child.num_channels, eps=child.eps, affine=True).to(child.weight.device)
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
