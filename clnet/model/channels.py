"""Which channels of a feature map have to be computed, and what the others are: constants, which their readers can take in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Channels:
    """Channels of a feature map that a pruned network puts out.

    kept: (computed,) int64, those that are computed, in rising order; constant: (all,) float64, the value of each of the others in every
    voxel, 0 for those that are computed.
    """

    kept: Tensor
    constant: Tensor

    @classmethod
    def all_of(cls, count: int) -> Channels:
        """Every one of `count` channels is computed."""
        return cls(torch.arange(count), torch.zeros(count, dtype=torch.float64))

    @classmethod
    def where(cls, is_constant: Tensor, value: Tensor) -> Channels:
        """is_constant: (all,) bool; value: (all,), read where that is true. One channel is computed even if all are constant."""
        computed = ~is_constant
        if not bool(computed.any()):
            computed[0] = True
        return cls(computed.nonzero()[:, 0], torch.where(computed, 0.0, value.double()))

    @property
    def are_all_kept(self) -> bool:
        """Whether nothing can be left out."""
        return len(self.kept) == len(self.constant)


def joined(parts: Sequence[Channels]) -> Channels:
    """Channels of the maps put one behind the other."""
    offsets = torch.tensor([0, *(len(part.constant) for part in parts)]).cumsum(0)
    kept = torch.cat([part.kept + offset for part, offset in zip(parts, offsets[:-1], strict=True)])
    return Channels(kept, torch.cat([part.constant for part in parts]))


def split_weight(weight: Tensor, given: Channels) -> tuple[Tensor, Tensor]:
    """A convolution's weights for the computed channels, and those that stand for all constant ones.

    weight: (out, in, z, y, x). The second tensor, (out, z, y, x), is the sum over constant channels of value times weight: what the
    convolution has to apply to one channel of ones. That is exact also where zeros are padded, since they are padded to the ones too.
    """
    weight = weight.detach().double()
    return weight[:, given.kept], torch.einsum("oizyx,i->ozyx", weight, given.constant)
