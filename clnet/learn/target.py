"""What a decoder can learn from a dataset: its labels as groups of the decoder's output channels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from clnet.learn.losses import (
    Groups,
    deep_supervision_weights,
    downsampled,
    marginal_dice_cross_entropy,
    marginal_log_probability,
    nested_dice_cross_entropy,
)
from clnet.types import Decoder, Label


@dataclass(frozen=True)
class DecoderTarget:
    """A decoder and those labels of one dataset that belong to it.

    Channel 0 is the background and channel i + 1 the decoder's structure i; nested decoders have no background channel.
    datasets: those whose cases it is for; empty: any.
    """

    decoder: Decoder
    labels: tuple[Label, ...]
    datasets: frozenset[str] = frozenset()

    def fits(self, case) -> bool:
        """Whether a prepared case annotates all that this target asks for."""
        return {label.name for label in self.labels} <= case.annotated and (not self.datasets or case.dataset in self.datasets)

    @property
    def groups(self) -> Groups:
        """Channels of each target index: the background with every structure that the dataset leaves unlabelled, then the labels."""
        position = {structure: index + 1 for index, structure in enumerate(self.decoder.structures)}
        labelled = [tuple(position[structure] for structure in label.structures) for label in self.labels]
        known = {channel for group in labelled for channel in group}
        background = (0, *(channel for channel in position.values() if channel not in known))
        return (background, *labelled)

    @property
    def structures(self) -> tuple[str, ...]:
        """Structures that this dataset annotates, alone or in a union, in the decoder's order."""
        known = {structure for label in self.labels for structure in label.structures}
        return tuple(structure for structure in self.decoder.structures if structure in known)

    def encode(self, layers: np.ndarray, table: Mapping[str, tuple[int, tuple[int, ...]]]) -> np.ndarray:
        """Turn label layers into this decoder's target.

        layers: (layer, z, y, x) label values; table: label name -> (layer, values).
        Returns (z, y, x) uint8 group indices, or (label, z, y, x) bool for a nested decoder.
        """
        if self.decoder.nested:
            return np.stack([np.isin(layers[table[label.name][0]], table[label.name][1]) for label in self.labels])
        target = np.zeros(layers.shape[1:], np.uint8)
        for index, label in enumerate(self.labels, start=1):
            layer, values = table[label.name]
            for value in values:
                target[layers[layer] == value] = index
        return target

    def nothing(self, shape_zyx: Sequence[int]) -> np.ndarray:
        """A target of the same form without any label, for a sample that this target does not fit."""
        if self.decoder.nested:
            return np.zeros((len(self.labels), *shape_zyx), bool)
        return np.zeros(tuple(shape_zyx), np.uint8)

    def loss(self, logits: list[Tensor], target: Tensor, valid: Tensor, balance: float = 0.0) -> Tensor:
        """Deeply supervised loss over the samples whose case annotates all of the labels; zero, with a graph, if none does.

        logits: finest first, (batch, channel, z, y, x); target: as `encode`, batched; valid: (batch,) bool;
        balance: see `marginal_dice_cross_entropy`.
        """
        if not bool(valid.any()):
            return sum(level.sum() for level in logits) * 0.0
        every = bool(valid.all())
        target = target if every else target[valid]
        total = logits[0].new_zeros(())
        for weight, level in zip(deep_supervision_weights(len(logits)), logits, strict=True):
            if weight == 0.0:
                continue
            chosen, reduced = level if every else level[valid], downsampled(target, level.shape[-3:])
            if self.decoder.nested:
                channels = [self.decoder.structures.index(label.structures[0]) for label in self.labels]
                total = total + weight * nested_dice_cross_entropy(chosen, reduced, channels)
            else:
                total = total + weight * marginal_dice_cross_entropy(chosen, reduced, self.groups, balance, len(self.labels))
        return total


@dataclass(frozen=True)
class Variants:
    """What one decoder learns from one or several datasets, which may annotate different parts of it: batch key -> target."""

    targets: Mapping[str, DecoderTarget]

    @property
    def decoder(self) -> Decoder:
        """The decoder that all of them belong to."""
        return next(iter(self.targets.values())).decoder

    @property
    def labels(self) -> tuple[Label, ...]:
        """Every label of any dataset, once."""
        return tuple({(label.name, label.structures): label for target in self.targets.values() for label in target.labels}.values())

    def loss(self, logits: list[Tensor], batch: Mapping[str, Tensor], balance: float = 0.0) -> Tensor:
        """Mean over the batch's samples of the loss of the target that fits each of them (`DecoderTarget.loss`).

        logits: finest first, (batch, channel, z, y, x); batch: `target/<key>` and `valid/<key>` of some or all targets.
        """
        total, samples = logits[0].new_zeros(()), 0
        for key, target in self.targets.items():
            if f"target/{key}" in batch:
                valid = batch[f"valid/{key}"]
                fitting = int(valid.sum())
                total = total + fitting * target.loss(logits, batch[f"target/{key}"], valid, balance)
                samples += fitting
        return total / max(samples, 1)


def decoder_targets(decoders: Iterable[Decoder], labels: Iterable[Label]) -> dict[str, DecoderTarget]:
    """The decoders that a dataset's labels concern, in the registry's order."""
    labels = tuple(labels)
    targets = {}
    for decoder in decoders:
        own = tuple(label for label in labels if set(label.structures) <= set(decoder.structures))
        if own:
            targets[decoder.name] = DecoderTarget(decoder, own)
    return targets


def decoder_variants(decoders: Iterable[Decoder], labels: Mapping[str, Iterable[Label]]) -> dict[str, Variants]:
    """The same for several datasets: labels by dataset. Datasets that annotate a decoder alike share one target."""
    decoders = tuple(decoders)
    found: dict[str, dict[tuple, tuple[DecoderTarget, list[str]]]] = {}
    for dataset, own in labels.items():
        for name, target in decoder_targets(decoders, own).items():
            alike = tuple((label.name, label.structures) for label in target.labels)
            found.setdefault(name, {}).setdefault(alike, (target, []))[1].append(dataset)
    variants = {}
    for decoder in decoders:
        kinds = list(found.get(decoder.name, {}).values())
        if len(kinds) == 1:
            variants[decoder.name] = Variants({decoder.name: replace(kinds[0][0], datasets=frozenset(kinds[0][1]))})
        elif kinds:
            variants[decoder.name] = Variants({
                f"{decoder.name}/{number}": replace(target, datasets=frozenset(names)) for number, (target, names) in enumerate(kinds)
            })  # fmt: skip
    return variants


def output_channels(decoder: Decoder) -> int:
    """Channels of a decoder's head: its structures, and the background unless they are nested."""
    return len(decoder.structures) + (0 if decoder.nested else 1)


def learned_labels(labels: Iterable[Label]) -> tuple[Label, ...]:
    """The finest targets that all labels seen so far tell apart, in the order in which they came.

    A union stays one target until some dataset labels one of its members; structures learned alone make a later union of them
    nothing new.
    """
    labels = tuple(labels)
    names = {frozenset(label.structures): label.name for label in reversed(labels)}
    membership: dict[str, tuple[int, ...]] = {}
    for structure in dict.fromkeys(structure for label in labels for structure in label.structures):
        membership[structure] = tuple(i for i, label in enumerate(labels) if structure in label.structures)
    atoms: dict[tuple[int, ...], list[str]] = {}
    for structure, key in membership.items():
        atoms.setdefault(key, []).append(structure)
    return tuple(Label(names.get(frozenset(members), "+".join(members)), tuple(members)) for members in atoms.values())


def probabilities(logits: Tensor, target: DecoderTarget) -> Tensor:
    """Probability of each of the target's labels, after the background's; without one where the structures are nested.

    logits: (batch, channel, z, y, x). Returns (batch, 1 + label or label, z, y, x).
    """
    if target.decoder.nested:
        channels = [target.decoder.structures.index(label.structures[0]) for label in target.labels]
        return torch.sigmoid(logits[:, channels])
    return marginal_log_probability(logits, target.groups).exp()
