"""CSCLIP: heads generated from text and image for each class, and the network before labels what the new dataset does not.

Source: Zhang et al. 2023 (CSCLIP) as CL-Net A7 runs it; Liu et al. 2024 (Universal Model), eq. 3 to 5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from baselines.embeddings import FILE, fingerprint, text_embedding
from baselines.method import Curriculum, LearnedNetwork
from baselines.prompted import PromptedNetwork, check_patches, take_over_classes
from baselines.sigmoids import SigmoidMethod, SigmoidSpace, balanced_cross_entropy, gathered
from baselines.training import Objective
from clnet.errors import UsageError
from clnet.learn.losses import downsampled
from clnet.learn.target import DecoderTarget
from clnet.model.weights import load_state, read_weights
from clnet.types import Footprint

SMOOTH = 1.0  # in the Dice's denominator alone


def binary_dice_cross_entropy(logits: Tensor, target: Tensor, valid: Tensor, balance: float = 0.0) -> Tensor:
    """Binary cross-entropy and one minus the Dice of each sample and class, mean over the valid pairs; zero, with a graph, without any.

    logits: (batch, class, z, y, x); target: the same, bool or probabilities; valid: (batch, class) bool; balance: see
    `balanced_cross_entropy`, with more than 0 the Dice is that of the pairs in which the class occurs. Returns a scalar.
    Source: Liu et al. 2024, eq. 3 and 4; the mean instead of the sum over classes, and the smoothing, as their code has them.
    """
    logits, target = logits[valid].float(), target[valid].float()
    if not len(logits):
        return logits.sum()
    cross_entropy = balanced_cross_entropy(logits, target, balance)
    probability, over = logits.sigmoid(), (1, 2, 3)
    dice = 2 * (probability * target).sum(over) / (probability.sum(over) + target.sum(over) + SMOOTH)
    counted = target.sum(over) > 0 if balance > 0 else torch.ones_like(dice, dtype=torch.bool)
    return cross_entropy.mean() + (counted * (1 - dice)).sum() / counted.sum().clamp_min(1)


def with_pseudo_labels(
    target: Tensor, valid: Tensor, teacher_logits: Tensor, exclusive: Tensor, soft: bool, truth: bool
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The old classes, which come first, as the network before sees them where the dataset does not label them.

    target: (batch, class, z, y, x) bool; valid: (batch, class) bool; teacher_logits: (batch, old class, z, y, x); exclusive: (class, old
    class) bool: a voxel labelled as the one is not the other, whatever the network before says. soft: probabilities instead of masks.
    truth: whether the dataset's own labels of old classes are used; if not, these are what the network before sees, too.
    Returns the new target and which of it is valid: all old classes are, and the new ones where they were.
    Source: Liu et al. 2024, eq. 5 (soft there); hard ones and labels on top of them as CSCLIP has them.
    """
    old, own = teacher_logits.shape[1], valid.clone()
    own[:, :old] &= truth
    seen = teacher_logits.detach().float().sigmoid()
    seen = seen if soft else seen > 0.5
    some = own.any(0)
    labelled = target[:, some] & own[:, some, None, None, None]
    taken = torch.einsum("bnzyx,no->bozyx", labelled.float(), exclusive[some].float()) > 0
    seen = torch.where(taken, torch.zeros_like(seen), seen)
    seen = torch.where(own[:, :old, None, None, None], target[:, :old].to(seen.dtype), seen)
    return torch.cat((seen, target[:, old:].to(seen.dtype)), dim=1), torch.cat((torch.ones_like(valid[:, :old]), valid[:, old:]), dim=1)


class CSCLIP(SigmoidMethod):
    """Classes are shared by datasets that label the same structures; each has a head of its own from the dataset on that brings it.

    backbone: one of `backbones` (name -> class, its own arguments bound); embedding: what the heads are generated from beside the image,
    `text` or `one_hot`; embedding_file: of the texts (None: the shipped one); hidden: features of the generating perceptrons; generator_lr:
    their learning rate, see `PromptedNetwork`; pseudo_labels: `hard` or `soft`; relabelled: what teaches an old class that a later dataset
    labels again, the dataset's labels (`truth`) or the network before (`pseudo`).
    All at once (scenario=universal) it is the Universal Model: each dataset is drawn as often as any other.
    Raises UsageError for other words, or where the backbone cannot take the patches.
    """

    def __init__(
        self, *, backbone: str, backbones: Mapping[str, Callable], embedding: str, hidden: int, pseudo_labels: str, relabelled: str,
        generator_lr: float | None = None, embedding_file: Path | str | None = None, **parts,
    ):  # fmt: skip
        for name, value, known in (
            ("backbone", backbone, backbones), ("embedding", embedding, ("text", "one_hot")),
            ("pseudo_labels", pseudo_labels, ("hard", "soft")), ("relabelled", relabelled, ("truth", "pseudo")),
        ):  # fmt: skip
            if value not in known:
                raise UsageError(f"unknown {name}", where=f"method.{name}", found=value, expected=" or ".join(known))
        super().__init__(**parts)
        self.backbone_name, self.backbone = backbone, backbones[backbone]
        self.embedding, self.hidden, self.pseudo_labels, self.relabelled = embedding, hidden, pseudo_labels, relabelled
        self.generator_lr, self.texts = generator_lr, Path(embedding_file) if embedding_file else FILE
        patches = [lesson.sampling.patch_zyx for lesson in (self.first, self.together, self.later)]
        check_patches(self.backbone, [*patches, self.shop.windows.patch_zyx])

    @property
    def settings_of_own(self) -> dict:
        texts = fingerprint(self.texts) if self.embedding == "text" else self.embedding
        return {"backbone": [self.backbone_name, getattr(self.backbone, "keywords", {})], "embedding": texts, "hidden": self.hidden,
                "pseudo_labels": self.pseudo_labels, "relabelled": self.relabelled, "generator_lr": self.generator_lr}  # fmt: skip

    def dataset_weights(self, given: Curriculum) -> dict[str, float]:
        return given.evenly

    def objective(self, given: Curriculum, targets: Mapping[str, DecoderTarget], extra: Mapping) -> Objective:
        channels, count = self.channels(given.space, targets), len(given.space.heads)
        exclusive = exclusive_of(given.space, len(given.before.space.heads)) if given.before else None
        soft, truth = self.pseudo_labels == "soft", self.relabelled == "truth"

        def loss(student, teacher, batch, balance) -> Tensor:
            target, valid = gathered(batch, channels, count)
            target = downsampled(target, student.logits[0].shape[2:])
            if teacher is not None:
                target, valid = with_pseudo_labels(target, valid, teacher.logits[0], exclusive.to(target.device), soft, truth)
            return binary_dice_cross_entropy(student.logits[0], target, valid, balance)

        return loss

    def take_over(self, old: PromptedNetwork, new: PromptedNetwork) -> None:
        take_over_classes(old, new)

    def footprint(self) -> Footprint:
        """Of the network; nominally the backbone as the paper counts it, and the generators, which are the same at every scale."""
        generators = sum(p.numel() for p in self.loaded(self.learned).generators.parameters()) / 1e6
        backbone = getattr(self.backbone, "func", self.backbone).nominal_m
        return replace(super().footprint(), nominal_parameters_m=backbone + generators)

    def loaded(self, learned: LearnedNetwork) -> PromptedNetwork:
        """A network from its file, which has the texts that it learned with. Raises DataError if that is damaged."""
        state, sha256 = read_weights(learned.file)
        network = self._network(len(learned.space.heads), state.get("embeddings"))
        load_state(network, state, sha256, learned.file)
        return network

    def _new(self, space: SigmoidSpace) -> PromptedNetwork:
        texts = [text_embedding(head.structures, self.texts) for head in space.heads] if self.embedding == "text" else None
        return self._network(len(space.heads), texts and torch.stack(texts))

    def _network(self, classes: int, embeddings: Tensor | None) -> PromptedNetwork:
        backbone = self.backbone(shape=self.shape, image_channels=self.shop.intensity.channels, width=self.width)
        return PromptedNetwork(backbone, classes, embeddings, self.hidden, self.generator_lr)


def exclusive_of(space: SigmoidSpace, old: int) -> Tensor:
    """(class, old class) bool: they are two, and neither of them contains the other."""
    classes = [head.structures for head in space.heads]
    return torch.tensor([[one != other and not space.contains(one, other) and not space.contains(other, one) for other in classes[:old]]
                         for one in classes])  # fmt: skip
