"""Which decoders exclude each other and which organ a lesion belongs to: the anatomy that merging goes by, as data."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clnet.errors import UsageError
from clnet.types import Part


@dataclass(frozen=True)
class MergingRules:
    """Sets of decoders that cannot share a voxel, and the organs of each lesion decoder; see `merging_rules`.

    exclusive: set -> decoders; lesions: lesion decoder -> its organs' decoders, none for a lesion that may be anywhere.
    Source: CL-Net 4.4; paper notes 19 (threshold), 20 (sets), 21 (lesions).
    """

    exclusive: Mapping[str, tuple[str, ...]]
    lesions: Mapping[str, tuple[str, ...]]
    drop_lesions_outside: bool = True
    threshold: float = 0.5
    soft_lesions: bool = False

    def set_of(self, decoder: str) -> str | None:
        """The set in which a decoder competes: its own or, for a lesion, that of its organs; None if it competes with nobody."""
        for name, members in self.exclusive.items():
            if decoder in members or set(self.lesions.get(decoder, ())) & set(members):
                return name
        return None

    def lesions_of(self, organ: str) -> tuple[str, ...]:
        """The lesion decoders of an organ's decoder."""
        return tuple(lesion for lesion, organs in self.lesions.items() if organ in organs)

    def lesions_first(self, parts: Iterable[Part]) -> list[Part]:
        """The parts in an order in which `ScanMerger.add` takes them: lesions, then all others, each as they came."""
        return sorted(parts, key=lambda part: part.name not in self.lesions)

    def body_part_mask(self, decoder: str, inside: Mapping[str, np.ndarray], slices: int) -> np.ndarray:
        """B, (z,) bool: the slices of a decoder's body part range; of a lesion, those of its organs together.

        inside: decoder -> (z,) bool. A decoder without a known range, and a lesion that may be anywhere, cover the whole scan.
        Source: CL-Net 4.4, equation (7) and its last sentence.
        """
        ranges = [inside.get(name) for name in self.lesions.get(decoder, (decoder,))]
        if not ranges or any(known is None for known in ranges):
            return np.ones(slices, bool)
        return np.logical_or.reduce(ranges)

    def reach(self, parts: Iterable[Part], inside: Mapping[str, np.ndarray], slices: int) -> dict[str, np.ndarray]:
        """Part -> (z,) bool: slices outside of which merging drops all that the part predicts, so that it need not predict there."""
        bounded = (part.name for part in parts if part.name not in self.lesions or self.drop_lesions_outside)
        return {name: self.body_part_mask(name, inside, slices) for name in bounded}

    def check(self, decoders: Iterable[str]) -> None:
        """Raises UsageError for a name that is no decoder, with the nearest ones."""
        known = list(decoders)
        named = [name for members in self.exclusive.values() for name in members] + [*self.lesions, *sum(self.lesions.values(), ())]
        unknown = sorted(set(named) - set(known))
        if unknown:
            near = {name: difflib.get_close_matches(name, known, n=2) for name in unknown}
            raise UsageError(
                "merging names decoders that do not exist",
                where="merging",
                found=", ".join(unknown),
                fix="nearest names: " + "; ".join(f"{name}: {', '.join(names) or '-'}" for name, names in near.items()),
            )


def merging_rules(
    exclusive: Mapping[str, Sequence[str]], lesions: Mapping[str, Sequence[str]] | None = None, drop_lesions_outside: bool = True,
    threshold: float = 0.5, soft_lesions: bool = False,
) -> MergingRules:  # fmt: skip
    """Checked rules out of plain values, as YAML gives them.

    drop_lesions_outside: lesion voxels outside the body part range of their organ that no organ claims are dropped (note 21).
    threshold: probability that a prediction needs to compete by entropy (note 19). soft_lesions: Y of the lesion in equation (8) is its
    probability; False: 1 wherever it is predicted, so that the organ's M is 0.5 there and the lesion wins (note 21).
    Raises UsageError where a decoder would compete in two sets, a lesion's organ is in no set, or the threshold is no probability.
    """
    rules = MergingRules({name: tuple(members) for name, members in exclusive.items()},
                         {name: tuple(organs or ()) for name, organs in (lesions or {}).items()},
                         bool(drop_lesions_outside), float(threshold), bool(soft_lesions))  # fmt: skip
    listed = [member for members in rules.exclusive.values() for member in members]
    listed += [lesion for lesion, organs in rules.lesions.items() if organs]  # in the set of its organs
    twice = sorted({name for name in listed if listed.count(name) > 1})
    if twice:
        raise UsageError(
            "decoders compete twice", where="merging.exclusive", found=", ".join(twice), expected="each in one set, lesions by organ",
            fix="join sets that exclude each other; leave out what lies inside another structure",
        )  # fmt: skip
    for lesion, organs in rules.lesions.items():
        sets = {"another lesion" if name in rules.lesions else rules.set_of(name) or "no set" for name in organs}
        if len(sets) > 1 or not sets <= set(rules.exclusive):
            raise UsageError(
                "a lesion competes in the set of its organs, which must be one", where=f"merging.lesions.{lesion}",
                found=", ".join(sorted(sets)), expected="one set",
                fix="give the organ a set (of its own, if it excludes nothing else), or name organs of one set",
            )  # fmt: skip
    if not 0 < rules.threshold <= 1:
        raise UsageError("the threshold is no probability", where="merging.threshold", found=threshold, expected="above 0, at most 1")
    return rules
