"""PLOP in 3D: pooled features are held at several scales, and the teacher labels what the dataset leaves unlabelled.

Source: Douillard et al. 2021; CL-Net A7, eq. 16 and 17 (three dimensions, factor 0.001).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from baselines.incremental import Incremental
from baselines.method import Curriculum
from baselines.plop_compat import official_entropy, official_threshold
from baselines.training import Objective
from baselines.unet import UNet, UNetOutput
from clnet.errors import UsageError
from clnet.learn.batches import TrainingBatches
from clnet.learn.losses import deep_supervision_weights, downsampled, group_weights, label_dice, marginal_log_probability
from clnet.learn.target import DecoderTarget
from clnet.model.block import with_fast_layout

IGNORED = -100
LOWEST_THRESHOLD = 0.001  # of normalised entropy (Douillard et al. 2021, code)
EXACT, OFFICIAL = "exact_median", "official_compat"
Entropy = Callable[[Tensor], Tensor]  # logits (batch, class, z, y, x) -> (batch, z, y, x)


def local_pod(features: Tensor, scales: Sequence[int], pooled_axes: int = 1) -> Tensor:
    """Means of the features over one axis (or two) inside windows that divide the volume into scale x scale x scale.

    features: (batch, channel, z, y, x). scales: windows along each axis, at most its length. pooled_axes: 1, or 2 for the alternative of
    eq. 17. Returns (batch, pooled): every combination of axes and every scale, one after the other.
    A window's mean along an axis does not depend on how the others are divided, so dividing the pooled axes alone gives the same values.
    Source: Douillard et al. 2021, eq. 3 to 5; CL-Net eq. 16 (one axis at a time), 17 (two).
    """
    pooled = []
    for one in range(2, 5):  # the axis that is pooled, or the one that is not
        axes, means = [axis for axis in range(2, 5) if (axis == one) == (pooled_axes == 1)], features
        for scale in sorted(scales, reverse=True):
            counts = {axis: min(scale, features.shape[axis]) for axis in axes}
            nested = all(features.shape[axis] % means.shape[axis] == means.shape[axis] % count == 0 for axis, count in counts.items())
            means = _window_means(means if nested else features, counts)
            pooled.append(means.flatten(1))
    return torch.cat(pooled, dim=1)


def _window_means(features: Tensor, counts: Mapping[int, int]) -> Tensor:
    """Means inside so many windows along each of some axes, as adaptive pooling lays them."""
    for axis, count in counts.items():
        if features.shape[axis] % count == 0:  # many times faster than adaptive pooling
            features = features.unflatten(axis, (count, -1)).mean(axis + 1)
        else:
            features = F.adaptive_avg_pool3d(features, [count if own == axis else n for own, n in enumerate(features.shape)][2:])
    return features


def pod_distance(student: Sequence[Tensor], teacher: Sequence[Tensor], scales: Sequence[int], pooled_axes: int = 1) -> Tensor:
    """Distance between the pooled squares of two networks' maps: Euclidean, mean over the batch and over the maps.

    student, teacher: maps (batch, channel, z, y, x) in the same order. No gradient reaches the teacher.
    Source: Douillard et al. 2021, eq. 6, and its code (squares; mean over maps).
    """
    distances = [
        local_pod(own.square() - other.detach().square(), scales, pooled_axes).norm(dim=1).mean()  # pooling is linear
        for own, other in zip(student, teacher, strict=True)
    ]
    return torch.stack(distances).mean()


def normalised_entropy(logits: Tensor) -> Tensor:
    """Entropy of the softmax over classes as a share of the greatest possible: (batch, class, z, y, x) -> (batch, z, y, x) in [0, 1]."""
    log_probability = F.log_softmax(logits, dim=1)
    return -(log_probability.exp() * log_probability).sum(1) / math.log(logits.shape[1])


def with_pseudo_labels(
    target: Tensor, teacher_logits: Tensor, group_of: Tensor, thresholds: Tensor, entropy: Entropy = normalised_entropy
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The teacher's classes where the dataset labels nothing and the teacher is sure, IGNORED where it is not.

    target: (batch, z, y, x) groups, 0 = background; teacher_logits: (batch, old class, z, y, x); group_of: old class -> group;
    thresholds: old class -> entropy below which it is sure.
    Returns the new target and, for each image, the accepted share of its background (1 where it has none).
    Source: Douillard et al. 2021, eq. 8 to 10.
    """
    guess = teacher_logits.argmax(1)
    background = target == 0
    sure = entropy(teacher_logits) < thresholds[guess]
    labelled = torch.where(background, torch.where(sure, group_of[guess], IGNORED), target.long())
    voxels = background.flatten(1).sum(1)
    accepted = (background & sure).flatten(1).sum(1)
    return labelled, torch.where(voxels > 0, accepted / voxels.clamp_min(1), 1.0)


def adaptive_cross_entropy(log_probability: Tensor, target: Tensor, factor: Tensor, balance: float = 0.0) -> Tensor:
    """Cross-entropy, each image's multiplied by its factor; ignored voxels add nothing, and count in the mean as background.

    log_probability: (batch, group, z, y, x); target: (batch, z, y, x) groups or IGNORED; factor: (batch,); balance: see
    `clnet.learn.losses.group_weights`. Source: Douillard et al. 2021, eq. 9.
    """
    counted = target.clamp_min(0)
    weights = group_weights(counted, log_probability.shape[1], balance)
    weight = torch.ones_like(factor)[:, None, None, None].expand(target.shape) if weights is None else weights[counted]
    loss = F.nll_loss(log_probability, target, reduction="none", ignore_index=IGNORED)
    return (loss * weight * factor[:, None, None, None]).sum() / weight.sum()


class PLOP(Incremental):
    """pod_factor, logits_factor: of the distances of features and of logits in the mean over all maps, which is multiplied by
    sqrt(classes / new classes); of a dataset that brings no new class, its labelled ones are taken. scales, pooled_axes: see `local_pod`;
    threshold_batches: training batches over which the medians of the teacher's entropy are taken; entropy_mode: `exact_median`, or
    `official_compat` for what the published code takes for them (`baselines.plop_compat`). Raises UsageError for another.
    Source: Douillard et al. 2021, section 4 and code (the logits are the last of the maps).
    """

    balanced = True

    def __init__(
        self, *, pod_factor: float, logits_factor: float, scales: Sequence[int], pooled_axes: int, threshold_batches: int,
        entropy_mode: str = EXACT, **parts,
    ):  # fmt: skip
        super().__init__(**parts)
        if entropy_mode not in (EXACT, OFFICIAL):
            raise UsageError("no such mode", where=f"method.entropy_mode={entropy_mode}", expected=f"{EXACT}, {OFFICIAL}")
        self.entropy_mode = entropy_mode
        self.pod_factor, self.logits_factor = pod_factor, logits_factor
        self.scales, self.pooled_axes, self.threshold_batches = tuple(scales), pooled_axes, threshold_batches

    @property
    def settings_of_own(self) -> dict:
        mode = {} if self.entropy_mode == EXACT else {"entropy_mode": self.entropy_mode}
        return {"pod_factor": self.pod_factor, "logits_factor": self.logits_factor, "scales": self.scales,
                "pooled_axes": self.pooled_axes, "threshold_batches": self.threshold_batches, **mode}  # fmt: skip

    def entropy(self, given: Curriculum) -> Entropy:
        """What is compared with the thresholds."""
        if self.entropy_mode == EXACT:
            return normalised_entropy
        return partial(official_entropy, classes=len(given.space.structures) + 1)

    def studied(self, given: Curriculum, teacher: UNet, batches: TrainingBatches) -> dict:
        """The median of the teacher's entropy over unlabelled voxels, for each class that it predicts there."""
        measure, found = self.entropy(given), {}
        network = with_fast_layout(teacher, self.shop.device)
        for step in range(self.threshold_batches):
            batch = batches[step]
            with torch.inference_mode():
                logits = network(batch["image"].to(self.shop.device)).logits[0].cpu()
            unlabelled = torch.stack([batch[key] == 0 for key in batch if key.startswith("target/")]).all(0)
            entropy, guess = measure(logits)[unlabelled], logits.argmax(1)[unlabelled]
            for channel in guess.unique().tolist():
                found.setdefault(channel, []).append(entropy[guess == channel])
        middle = official_threshold if self.entropy_mode == OFFICIAL else torch.median
        medians = {channel: float(middle(torch.cat(values))) for channel, values in found.items()}
        return {"thresholds": [max(medians.get(channel, 0.0), LOWEST_THRESHOLD) for channel in range(len(given.old) + 1)]}

    def objective(self, given: Curriculum, targets: Mapping[str, DecoderTarget], extra: Mapping) -> Objective:
        thresholds = torch.tensor(extra["thresholds"])
        classes, new = len(given.space.structures) + 1, len(given.space.structures) - len(given.old)
        entropy = self.entropy(given)
        adaptive = math.sqrt(classes / (new or len(given.labelled)))

        def loss(student: UNetOutput, teacher: UNetOutput, batch: Mapping[str, Tensor], balance: float) -> Tensor:
            own, other = ([*output.encoder, *output.decoder] for output in (student, teacher))
            features = pod_distance(own, other, self.scales, self.pooled_axes)
            kept = len(own) * self.pod_factor * features
            if self.logits_factor:
                pair = [with_new_as_background(student.logits[0], len(given.old))], [teacher.logits[0]]
                kept = kept + self.logits_factor * pod_distance(*pair, self.scales, self.pooled_axes)
            kept = kept / (len(own) + 1)
            return adaptive * kept + _labelled_loss(student, teacher, batch, targets, thresholds.to(kept.device), entropy, balance)

        return loss


def with_new_as_background(logits: Tensor, old: int) -> Tensor:
    """(batch, 1 + old, z, y, x): the new classes' logits added to the background's, as Douillard et al. 2021 (code) pool them."""
    return torch.cat((logits[:, :1] + logits[:, 1 + old :].sum(1, keepdim=True), logits[:, 1 : 1 + old]), dim=1)


def _labelled_loss(
    student: UNetOutput, teacher: UNetOutput, batch: Mapping[str, Tensor], targets: Mapping[str, DecoderTarget], thresholds: Tensor,
    entropy: Entropy, balance: float,
) -> Tensor:  # fmt: skip
    """Deeply supervised cross-entropy on pseudo-labels and Dice of the dataset's labels, mean over the samples."""
    total, samples = student.logits[0].new_zeros(()), 0
    for key, target in targets.items():
        valid = batch[f"valid/{key}"]
        if not bool(valid.any()):
            continue
        group_of = torch.zeros(len(thresholds), dtype=torch.long, device=valid.device)
        for index, group in enumerate(target.groups[1 + len(target.labels) :], start=1 + len(target.labels)):
            group_of[list(group)] = index
        fitting = slice(None) if bool(valid.all()) else valid
        truth = downsampled(batch[f"target/{key}"][fitting], teacher.logits[0].shape[2:])
        pseudo, accepted = with_pseudo_labels(truth, teacher.logits[0][fitting], group_of, thresholds, entropy)
        for weight, level in zip(deep_supervision_weights(len(student.logits)), student.logits, strict=True):
            if weight:
                shape = level.shape[2:]
                log_probability = marginal_log_probability(level[fitting], target.groups)
                crossed = adaptive_cross_entropy(log_probability, downsampled(pseudo, shape).long(), accepted, balance)
                dice = label_dice(log_probability, downsampled(truth, shape), len(target.labels), present_only=balance > 0)
                total = total + int(valid.sum()) * weight * (crossed + dice)
        samples += int(valid.sum())
    return total / max(samples, 1)
