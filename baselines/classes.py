"""The classes of a network with one softmax for everything, and what a dataset's labels mean among them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from clnet.data.store import PreparedCase
from clnet.learn.losses import Groups
from clnet.learn.target import DecoderTarget, learned_labels
from clnet.types import Decoder, Label

ALL = "all"  # the name of the only decoder
Channels = tuple[int, ...]
Nested = tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]


@dataclass(frozen=True)
class ClassSpace:
    """Canonical structures in the order in which they were learned: channel 0 is the background, channel i + 1 structure i.

    inside: (outer, inner), the structures of labels of a dataset of which one lies in the other (an atrial appendage in the heart). The
    outer one's channel is what is left of it; the structure is both. taught: every label seen so far.
    """

    structures: tuple[str, ...] = ()
    inside: Nested = ()
    taught: tuple[Label, ...] = ()

    def grown(self, labels: Sequence[Label]) -> ClassSpace:
        """With the structures of a dataset's labels behind those known."""
        known = dict.fromkeys([*self.structures, *(name for label in labels for name in label.structures)])
        taught = dict.fromkeys([*self.taught, *(Label(label.name, label.structures) for label in labels)])
        return ClassSpace(tuple(known), tuple(dict.fromkeys((*self.inside, *nested(labels)))), tuple(taught))

    def held(self, structures: Iterable[str]) -> tuple[str, ...]:
        """These structures, then all that lies inside them. What lies in a union may lie in any of its members: no single one holds it."""
        found = dict.fromkeys(structures)
        while inner := [name for outer, own in self.inside if found.keys() >= set(outer) for name in own if name not in found]:
            found |= dict.fromkeys(inner)
        return tuple(found)

    def shown_by(self, label: Label, labels: Sequence[Label]) -> tuple[str, ...]:
        """Structures whose channels make up a label of a dataset: its own, and what lies inside them and has no label there.

        Of several labels that hold a structure the innermost shows it; where none of them lies in all others, none does.
        """
        named = {name for other in labels for name in other.structures}
        rivals = [set(self.held(other.structures)) for other in labels if other is not label]
        inner = [name for name in self.held(label.structures) if name not in named
                 and all(held.issuperset(label.structures) for held in rivals if name in held)]  # fmt: skip
        return (*label.structures, *inner)

    def described(self) -> dict:
        """As plain JSON."""
        return {"structures": self.structures, "inside": self.inside, "taught": [(label.name, label.structures) for label in self.taught]}

    @classmethod
    def remembered(cls, told: Mapping) -> ClassSpace:
        """What `described` told. Raises KeyError, ValueError or TypeError where it is not that."""
        taught = tuple(Label(label, tuple(structures)) for label, structures in told["taught"])
        return cls(tuple(told["structures"]), tuple((tuple(outer), tuple(inner)) for outer, inner in told["inside"]), taught)

    def channels(self, structures: Iterable[str]) -> Channels:
        """Their channels."""
        return tuple(self.structures.index(name) + 1 for name in structures)

    def targets(
        self, labels: Mapping[str, Sequence[Label]], cases: Sequence[PreparedCase], apart: Channels = ()
    ) -> dict[str, AnnotatedTarget]:  # fmt: skip
        """What cases of datasets with these labels teach: batch key -> target, one for each set of labels that some case annotates.

        Where labels overlap, the one with fewer voxels keeps a voxel. apart: see `AnnotatedTarget`.
        """
        found = {}
        for dataset, own in labels.items():
            mine, every = [case for case in cases if case.dataset == dataset], frozenset(label.name for label in own)
            size = {name: sum(case.voxels.get(name, 0) for case in mine) for name in every}
            ordered = sorted(own, key=lambda label: -size[label.name])  # encoded in this order: the last one stays
            for number, names in enumerate(dict.fromkeys(every & case.annotated for case in mine)):
                chosen = [label for label in ordered if label.name in names]
                shown = tuple(Label(label.name, self.shown_by(label, chosen), label.values, label.files) for label in chosen)
                found[f"{dataset}/{number}"] = AnnotatedTarget(Decoder(ALL, "", self.structures), shown, frozenset([dataset]), apart, every)
        return found

    def outputs(self) -> dict[str, tuple[Label, Channels]]:
        """What the network can tell apart: name of the part -> label and channels. Structures with others inside have a part each, and so
        have unions whose members do not share one."""
        outer, found = {name for own, _ in self.inside for name in own}, {}
        for label in learned_labels(self.taught):
            part = ALL if outer.isdisjoint(label.structures) else label.name
            found.setdefault(part, []).append((label, self.channels(self.held(label.structures))))
        for label in self.taught:
            whole = set(label.structures)
            members = [[own.structures for own, _ in part if whole.issuperset(own.structures)] for part in found.values()]
            if whole not in [set().union(*own) for own in members]:
                found[label.name] = [(label, self.channels(self.held(label.structures)))]
        return found


@dataclass(frozen=True)
class AnnotatedTarget(DecoderTarget):
    """The target of cases that annotate these labels and no others of their dataset (`every`: the names of all of them).

    Channels without a label count as background, as in MiB, but for those `apart`, which have a group each behind the labels': there
    the network is wrong wherever it sees them.
    """

    apart: Channels = ()
    every: frozenset[str] = frozenset()

    def fits(self, case: PreparedCase) -> bool:
        return case.dataset in self.datasets and {label.name for label in self.labels} == self.every & case.annotated

    @property
    def groups(self) -> Groups:
        background, *labelled = super().groups
        alone = tuple((channel,) for channel in background if channel in self.apart)
        return (tuple(channel for channel in background if (channel,) not in alone), *labelled, *alone)


def nested(labels: Sequence[Label]) -> Nested:
    """(outer, inner): structures of a dataset's labels of which one lies in the other."""
    return tuple((outer.structures, inner.structures) for outer in labels for inner in labels if lies_in(inner, outer))


def lies_in(inner: Label, outer: Label) -> bool:
    """Whether a label's voxels are some of the other's, as the dataset defines them."""
    return any(mine and set(mine) < set(theirs) for mine, theirs in ((inner.values, outer.values), (inner.files, outer.files)))
