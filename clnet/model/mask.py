"""Masks of pruned weights: choosing them, holding them, and keeping what they remove at zero."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Masks = dict[str, Tensor]  # parameter name -> bool, its shape; True = kept


def choose_masks(tensors: Mapping[str, Tensor], rate: float, within: Mapping[str, Tensor] | None = None) -> Masks:
    """Keep the largest values of all tensors together: global, unstructured, by magnitude.

    tensors: name -> tensor of any shape and layout; rate: share to remove, 0 to 1, of all their elements; exactly that many, rounded,
    are removed. within: masks of an earlier round; what they removed is removed first.
    Returns bool tensors of the same shapes, True = kept. Raises ValueError for a rate outside [0, 1].
    Source: CL-Net A4 (torch's global unstructured pruning with L1); which of equal values go is not defined.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"the rate is a share from 0 to 1, not {rate}")
    magnitude = torch.cat([tensor.detach().abs().flatten().float() for tensor in tensors.values()])
    if within is not None:
        magnitude[~torch.cat([within[name].flatten() for name in tensors]).to(magnitude.device)] = -1.0
    kept = torch.zeros_like(magnitude, dtype=torch.bool)
    kept[magnitude.topk(len(magnitude) - round(rate * len(magnitude)), sorted=False).indices] = True
    parts = kept.split([tensor.numel() for tensor in tensors.values()])
    return {name: part.reshape(tensor.shape) for (name, tensor), part in zip(tensors.items(), parts, strict=True)}


def prunable(module: nn.Module) -> dict[str, nn.Parameter]:
    """Weights and biases of all convolutions, by their names in `module`. Source: CL-Net A4 (scope of pruning)."""
    return {
        f"{prefix}.{name}" if prefix else name: parameter
        for prefix, child in module.named_modules()
        if isinstance(child, nn.Conv3d | nn.ConvTranspose3d)
        for name, parameter in child.named_parameters(recurse=False)
    }


@torch.no_grad()
def apply_masks(module: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Set what the masks remove to zero. Raises KeyError for a mask of no parameter."""
    parameters = dict(module.named_parameters())
    for name, kept in masks.items():
        parameter = parameters[name]
        parameter.masked_fill_(~kept.to(parameter.device), 0.0)


def hold_masks(module: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Apply the masks and let no gradient reach what they remove, so that neither a clipped norm nor a moment knows of it.

    Momentum of earlier steps and weight decay can still move a removed weight: apply the masks after each step too.
    """
    apply_masks(module, masks)
    parameters = dict(module.named_parameters())
    for name, kept in masks.items():
        parameters[name].register_hook(lambda gradient, kept=kept: gradient * kept.to(gradient))


def pruning_rate(masks: Mapping[str, Tensor], of: Iterable[str] | None = None) -> float:
    """Share of removed elements, 0 without masks: the paper's T, where `of` are the names of what is `prunable` (None: all masks)."""
    chosen = [masks[name] for name in (masks if of is None else of) if name in masks]
    total = sum(kept.numel() for kept in chosen)
    return 1.0 - sum(int(kept.sum()) for kept in chosen) / total if total else 0.0


@dataclass(frozen=True)
class SingleWeights:
    """Removes weights one by one, the smallest of all convolutions together: what pruning chooses unless it is told otherwise."""

    def __call__(self, network: nn.Module, rate: float, within: Mapping[str, Tensor] | None = None) -> Masks:
        """Masks of all convolutions, True = kept; see `choose_masks`. Those of `within` on other parameters stay as they are."""
        tensors = prunable(network)
        return {**(within or {}), **choose_masks(tensors, rate, within={name: within[name] for name in tensors} if within else None)}
