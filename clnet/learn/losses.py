"""Segmentation losses for partly labelled data, as pure functions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from monai.losses import DiceLoss
from torch import Tensor

Groups = tuple[tuple[int, ...], ...]

_DICE = DiceLoss(include_background=True, batch=True, smooth_nr=1e-5, smooth_dr=1e-5)


def marginal_log_probability(logits: Tensor, groups: Groups) -> Tensor:
    """Log-probability of every group of channels: the sum of its members' softmax probabilities.

    logits: (batch, channel, z, y, x); groups: channel indices of each group, together a partition of all channels.
    Returns (batch, group, z, y, x).
    Source: marginal loss for union labels (paper note 22); the group that holds the background also holds the channels
    that the dataset does not annotate, as in Cermelli et al. 2020 (MiB), eq. 5.
    """
    log_probability = F.log_softmax(logits, dim=1)
    if all(group == (index,) for index, group in enumerate(groups)):
        return log_probability
    alone = [index for index, group in enumerate(groups) if len(group) == 1]
    together = [index for index, group in enumerate(groups) if len(group) > 1]
    unions = [torch.logsumexp(channels(log_probability, groups[index]), dim=1, keepdim=True) for index in together]
    members = torch.cat((*unions, channels(log_probability, [groups[index][0] for index in alone])), dim=1)
    order = [*together, *alone]
    return members if order == sorted(order) else channels(members, [order.index(index) for index in range(len(groups))])


def channels(tensor: Tensor, chosen: Sequence[int]) -> Tensor:
    """Some channels of a (batch, channel, ...) tensor, each at most once, in the order given.

    On a CPU its gradient costs a fraction of what that of `tensor[:, chosen]` does, with the same result.
    """
    return tensor.index_select(1, torch.as_tensor(chosen, dtype=torch.long, device=tensor.device))


def marginal_dice_cross_entropy(
    logits: Tensor, target: Tensor, groups: Groups, balance: float = 0.0, foreground: int | None = None
) -> Tensor:
    """Batch Dice of the foreground groups plus cross-entropy of all, on marginal probabilities.

    logits: (batch, channel, z, y, x); target: (batch, z, y, x) index of the group, 0 = background. foreground: how many groups behind
    the background's enter the Dice, None: all.
    balance: exponent b of the cross-entropy's group weights, n^-b for a group of n voxels in the batch: 0 is the plain mean over
    voxels, 1 gives every group the same share; with b > 0 the Dice is that of the groups that occur.
    Returns a scalar. Source: CL-Net A4 defers to nnU-Net's Dice + cross-entropy (balance 0); union labels as paper note 22.
    """
    log_probability, target = marginal_log_probability(logits, groups), target.long()
    foreground = len(groups) - 1 if foreground is None else foreground
    cross_entropy = F.nll_loss(log_probability, target, weight=group_weights(target, len(groups), balance))
    return cross_entropy + label_dice(log_probability, target, foreground, present_only=balance > 0)


def group_weights(target: Tensor, groups: int, balance: float) -> Tensor | None:
    """Weights n^-balance of groups with n voxels in the batch, 0 for those without any; None for a balance of 0.

    target: (batch, z, y, x) index of the group. Returns (group,).
    """
    if balance == 0:
        return None
    voxels = torch.bincount(target.long().flatten(), minlength=groups).float()
    return torch.where(voxels > 0, voxels.clamp_min(1.0) ** -balance, voxels)


def label_dice(log_probability: Tensor, target: Tensor, foreground: int, present_only: bool = False) -> Tensor:
    """One minus the batch Dice of the first `foreground` groups behind the background's, mean over them.

    log_probability: (batch, group, z, y, x); target: (batch, z, y, x) index of the group. present_only: of those that occur in the
    target; 0 where none does.
    """
    chosen = torch.arange(1, 1 + foreground, device=target.device)
    if present_only:
        chosen = chosen[torch.bincount(target.long().flatten(), minlength=1 + foreground)[1 : 1 + foreground] > 0]
    if not len(chosen):
        return log_probability.new_zeros(())
    masks = (target[:, None] == chosen[:, None, None, None]).to(log_probability.dtype)
    return _DICE(channels(log_probability, chosen).exp(), masks)


def nested_dice_cross_entropy(logits: Tensor, target: Tensor, channels: Sequence[int]) -> Tensor:
    """Binary Dice plus binary cross-entropy of structures that contain each other, one sigmoid each.

    logits: (batch, structure, z, y, x); target: (batch, label, z, y, x) bool; channels: the structure of each label.
    Channels that the dataset does not annotate receive no gradient. Returns a scalar. Source: paper note 22.
    """
    logits = logits[:, list(channels)]
    target = target.to(logits.dtype)
    return _DICE(torch.sigmoid(logits), target) + F.binary_cross_entropy_with_logits(logits, target)


def deep_supervision_weights(levels: int) -> list[float]:
    """1, 1/2, 1/4, ... for the levels from the finest, the coarsest at zero where there are several; the sum is one.

    Source: nnU-Net v2 (`_build_loss`), to which CL-Net A4 defers.
    """
    weights = [0.5**level for level in range(levels)]
    if levels > 1:
        weights[-1] = 0.0
    return [weight / sum(weights) for weight in weights]


def downsampled(target: Tensor, shape_zyx: Sequence[int]) -> Tensor:
    """Nearest-neighbour reduction of a (batch, z, y, x) or (batch, label, z, y, x) target to a coarser level's shape."""
    if tuple(target.shape[-3:]) == tuple(shape_zyx):
        return target
    volume = target if target.ndim == 5 else target[:, None]
    reduced = F.interpolate(volume.float(), size=tuple(shape_zyx), mode="nearest-exact").to(target.dtype)
    return reduced if target.ndim == 5 else reduced[:, 0]
