"""The classes of a network with one sigmoid each: they may overlap, and a label means what its dataset says, with all that lies inside."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from baselines.classes import ALL, AnnotatedTarget, Channels, Nested, nested
from baselines.incremental import Incremental
from baselines.prediction import Outputs, predictor_of
from clnet.data.store import PreparedCase
from clnet.infer.predict import ScanPredictor
from clnet.types import Decoder, Label, Part, Task


@dataclass(frozen=True)
class Head:
    """One sigmoid. dataset: the only one that teaches it; empty: every one that labels these structures."""

    label: str
    structures: tuple[str, ...]
    dataset: str = ""


@dataclass(frozen=True)
class SigmoidSpace:
    """The heads in the order of their channels. inside: as in `ClassSpace`."""

    heads: tuple[Head, ...] = ()
    inside: Nested = ()

    @property
    def structures(self) -> tuple[str, ...]:
        """All that some head is for."""
        return tuple(dict.fromkeys(name for head in self.heads for name in head.structures))

    def grown(self, labels: Sequence[Label], dataset: str = "") -> SigmoidSpace:
        """With a head for each label that has none yet."""
        known = {(frozenset(head.structures), head.dataset) for head in self.heads}
        new = [Head(label.name, label.structures, dataset) for label in labels if (frozenset(label.structures), dataset) not in known]
        return SigmoidSpace((*self.heads, *new), tuple(dict.fromkeys((*self.inside, *nested(labels)))))

    def channel(self, label: Label, dataset: str = "") -> int:
        """Of a label of a dataset."""
        own = frozenset(label.structures)
        return next(i for i, head in enumerate(self.heads) if frozenset(head.structures) == own and head.dataset == dataset)

    def contains(self, outer: Sequence[str], inner: Sequence[str]) -> bool:
        """Whether these structures hold the others: more of the same, or by what some dataset labels."""
        return set(inner) < set(outer) or (frozenset(outer), frozenset(inner)) in self._pairs

    @cached_property
    def _pairs(self) -> frozenset:
        return frozenset((frozenset(outer), frozenset(inner)) for outer, inner in self.inside)

    def targets(self, labels: Mapping[str, Sequence[Label]], cases: Sequence[PreparedCase]) -> dict[str, AnnotatedTarget]:
        """What cases of datasets with these labels teach, each label as a mask: batch key -> target, one for each set of labels that some
        case annotates."""
        found, nested = {}, Decoder(ALL, "", self.structures, nested=True)
        for dataset, own in labels.items():
            every = frozenset(label.name for label in own)
            for number, names in enumerate(dict.fromkeys(every & case.annotated for case in cases if case.dataset == dataset)):
                shown = tuple(label for label in own if label.name in names)
                found[f"{dataset}/{number}"] = AnnotatedTarget(nested, shown, frozenset([dataset]), every=every)
        return found

    def outputs(self, dataset: str | None = None) -> dict[str, Outputs]:
        """What is predicted: name of the part -> labels, each with all heads for it. What contains other labels has a part of its own.

        A union whose members are all told apart is not predicted: it is what its members are. dataset: by its own heads alone.
        """
        channels: dict[frozenset, list[int]] = {}
        for channel, head in enumerate(self.heads):
            if dataset in (None, head.dataset):
                channels.setdefault(frozenset(head.structures), []).append(channel)
        outer = [own for own in channels if any(self.contains(tuple(own), tuple(other)) for other in channels)]
        found: dict[str, list] = {}
        for own, group in channels.items():
            members = frozenset().union(*(other for other in channels if other < own and other not in outer))
            if members != own:
                head = self.heads[group[0]]
                found.setdefault(head.label if own in outer else ALL, []).append((Label(head.label, head.structures), tuple(group)))
        return found

    def described(self) -> dict:
        """As plain JSON."""
        return {"heads": [(head.label, head.structures, head.dataset) for head in self.heads], "inside": self.inside}

    @classmethod
    def remembered(cls, told: Mapping) -> SigmoidSpace:
        """What `described` told. Raises KeyError, ValueError or TypeError where it is not that."""
        heads = tuple(Head(label, tuple(structures), dataset) for label, structures, dataset in told["heads"])
        return cls(heads, tuple((tuple(outer), tuple(inner)) for outer, inner in told["inside"]))


class SigmoidMethod(Incremental):
    """A network of sigmoids, which learns datasets one after the other or all at once, by the same `objective`."""

    of_own = True
    no_classes = SigmoidSpace()
    heads_by_dataset = False  # whether each dataset has heads of its own

    def learn_together(self, tasks: Sequence[Task]) -> None:
        """Train the network on all of them."""
        self._learn(tasks, None)

    def grown(self, space: SigmoidSpace, task: Task) -> SigmoidSpace:
        return space.grown(task.labels, self._owner(task.dataset))

    def targets(self, given) -> dict[str, AnnotatedTarget]:
        return given.space.targets({task.dataset: task.labels for task in given.tasks}, given.cases)

    def channels(self, space: SigmoidSpace, targets: Mapping[str, AnnotatedTarget]) -> dict[str, Channels]:
        """Batch key -> channel of each of the target's labels."""
        return {
            key: tuple(space.channel(label, self._owner(dataset)) for label in target.labels)
            for key, target in targets.items() for dataset in target.datasets
        }  # fmt: skip

    def predictor(self, parts: Sequence[Part]) -> ScanPredictor:
        """What predicts `parts` of a scan; it has loaded the weights."""
        return predictor_of(self.loaded(self.learned), self.outputs, parts, self.shop, sigmoid_probabilities)

    def _owner(self, dataset: str) -> str:
        return dataset if self.heads_by_dataset else ""


def gathered(batch: Mapping[str, Tensor], channels: Mapping[str, Channels], count: int) -> tuple[Tensor, Tensor]:
    """Masks (batch, head, z, y, x) bool of `count` heads, and (batch, head) bool: whether the sample's case annotates them.

    batch: `target/<key>` (batch, label, z, y, x) bool and `valid/<key>` (batch,); channels: key -> head of each label.
    """
    some = next(batch[f"target/{key}"] for key in channels)
    target, valid = (torch.zeros(shape, dtype=torch.bool, device=some.device)
                     for shape in ((len(some), count, *some.shape[2:]), (len(some), count)))  # fmt: skip
    for key, own in channels.items():
        fits = batch[f"valid/{key}"]
        rows, columns = fits.nonzero(), torch.tensor(own, device=fits.device)
        target[rows, columns] = batch[f"target/{key}"][fits]
        valid[rows, columns] = True
    return target, valid


def balanced_cross_entropy(logits: Tensor, target: Tensor, balance: float) -> Tensor:
    """Binary cross-entropy of each mask, mean over its voxels, which weigh n^-balance for the n voxels of their side of the mask.

    logits: (..., z, y, x); target: the same, 0 to 1. Returns (...). A balance of 0 is the plain mean; 1 gives mask and rest the same share,
    as `clnet.learn.losses.group_weights` gives it to the classes of a softmax.
    """
    space = (-3, -2, -1)
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    if balance == 0:
        return loss.mean(space)
    inside = target.sum(space)
    outside = math.prod(target.shape[-3:]) - inside
    within, without = (torch.where(voxels > 0, voxels.clamp_min(1.0) ** -balance, 0.0) for voxels in (inside, outside))
    total = without * loss.sum(space) + (within - without) * (loss * target).sum(space)
    return total / (within * inside + without * outside)


def sigmoid_probabilities(logits: Tensor, own: Outputs) -> Tensor:
    """(batch, 1 + label, z, y, x): of each label the mean over its heads; the first is one minus the highest of them, so that the
    likeliest label of a voxel is that of the highest probability above one half, if there is one."""
    heads = logits.sigmoid()
    labels = torch.stack([heads[:, list(group)].mean(1) for _, group in own], dim=1)
    return torch.cat((1 - labels.amax(1, keepdim=True), labels), dim=1)
