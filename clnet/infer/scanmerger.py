"""Merging of a scan, or of some of its slices: bounded by body part, then one winner a voxel among those that exclude each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from clnet.infer.exclusive import ExclusiveSet, labelled_slices
from clnet.infer.merging import MergingRules
from clnet.types import Part


class ScanMerger:
    """Takes each part's label map once and never holds more than one winner map per exclusive set.

    parts: all that will come, in the order that decides ties; inside: decoder -> (z,) bool, slices inside its body part range (one that
    is missing is not bounded); shape_zyx: of the scan's native grid. `names`: set -> value -> structure, for `set_map`. No slice depends
    on another: merged one slab after the other (`MergedScan`), a scan has the same result as merged whole.

    Parts in no set, and nested ones, are only bounded and come back from `add` at once. The others come from `masks` when all parts of
    their set were added. The result depends on the order of `parts`, never on that of `add`.
    Source: CL-Net 4.4, equations (7)-(11); notes 19-21.
    """

    def __init__(self, rules: MergingRules, parts: Sequence[Part], inside: Mapping[str, np.ndarray], shape_zyx: Sequence[int]):
        self.rules, self.shape_zyx = rules, tuple(shape_zyx)
        self.pending = {part.name for part in parts}
        if len(self.pending) != len(parts):
            raise ValueError(f"parts of the same name: {sorted(part.name for part in parts)}")
        wrong = [name for name, slices in inside.items() if np.shape(slices) != self.shape_zyx[:1]]
        if wrong:
            raise ValueError(f"body part ranges of {wrong}: expected one value for each of {self.shape_zyx[0]} slices")
        self.ranges = {part.name: rules.body_part_mask(part.name, inside, self.shape_zyx[0]) for part in parts}
        members: dict[str, list[Part]] = {}
        for part in parts:
            name = rules.set_of(part.name)
            if name is not None and not part.nested:
                members.setdefault(name, []).append(part)
        self.sets = {name: ExclusiveSet(own, self.shape_zyx, rules.threshold) for name, own in members.items()}
        self.names = {name: held.names for name, held in self.sets.items()}
        self._set_of = {part.name: name for name, own in members.items() for part in own}
        self._lesions: dict[str, dict[int, np.ndarray]] = {}  # lesion decoder -> slice -> (y, x) uint8 confidence

    def add(self, part: Part, label_map: np.ndarray | None, confidence: np.ndarray | None = None) -> np.ndarray | None:
        """Take a part's prediction; lesions come before their organs (`MergingRules.lesions_first`).

        label_map: (z, y, x) uint8 as `Part` defines it, None where it predicts nothing; confidence: (z, y, x) uint8, 255 times the
        probability of the predicted label; without it every label is certain. Neither is changed or kept.
        Returns the bounded label map of a part that competes with nobody (the same array where nothing was cut), None for others.
        Raises ValueError for a part that is unknown, comes twice or before its lesion, and for another shape.
        """
        missing = [name for name in self.rules.lesions_of(part.name) if name in self.pending and name in self._set_of]
        if part.name not in self.pending or missing:
            raise ValueError(f"{part.name} comes before its lesions: {missing}" if missing else f"{part.name} is not awaited")
        if any(array is not None and array.shape != self.shape_zyx for array in (label_map, confidence)):
            raise ValueError(f"{part.name}: found shape {label_map.shape}, expected {self.shape_zyx} of label map and confidence")
        self.pending.remove(part.name)
        bounded = None if label_map is None else self._bounded(part.name, label_map)
        if part.name not in self._set_of:
            return bounded
        held, inside = self.sets[self._set_of[part.name]], self.ranges[part.name]
        if bounded is None:
            self._release(held)
            return None
        held.claim(part, bounded, confidence, inside, self._lesion_of(part.name))
        if self.rules.lesions.get(part.name):
            sure = confidence is None or not self.rules.soft_lesions
            self._lesions[part.name] = {
                z: np.where(bounded[z] > 0, 255 if sure else confidence[z], 0).astype(np.uint8) for z in held.planes[part.name]
            }
        self._release(held)
        return None

    def masks(self, part: Part) -> np.ndarray:
        """(z, y, x) label map of a part after merging, as `Part` defines it: bounded, without the voxels that others won.

        Raises ValueError for a part that `add` has handed back, and while parts of its set are missing.
        """
        if part.name not in self._set_of:
            raise ValueError(f"{part.name} competes with nobody: its label map came back from add")
        return self._complete(self._set_of[part.name]).label_map(part)

    def set_map(self, name: str) -> np.ndarray:
        """(z, y, x) uint8 or uint16: the winners of an exclusive set, values as in `names`; not to be changed.

        Raises KeyError for a set without a part in this scan, ValueError while parts of it are missing.
        """
        return self._complete(name).values

    def _bounded(self, name: str, label_map: np.ndarray) -> np.ndarray:
        """Equation (7), for organs; a lesion outside its organs' range loses to every organ, so to drop it there where no organ claims
        the voxel is to drop it there at all."""
        outside = ~self.ranges[name]
        if name in self.rules.lesions and not self.rules.drop_lesions_outside or not (labelled_slices(label_map) & outside).any():
            return label_map
        bounded = label_map.copy()
        bounded[outside] = 0
        return bounded

    def _lesion_of(self, organ: str) -> dict[int, np.ndarray]:
        """Slice -> Y of the organ's lesion in 255ths, of the likeliest where it has several."""
        together: dict[int, np.ndarray] = {}
        for lesion in self.rules.lesions_of(organ):
            for z, plane in self._lesions.get(lesion, {}).items():
                together[z] = np.maximum(together[z], plane) if z in together else plane
        return together

    def _release(self, held: ExclusiveSet) -> None:
        """Let go of lesions whose organs are all here, and of a set's strengths once all of its parts are."""
        for lesion in [name for name in self._lesions if not self.pending & set(self.rules.lesions[name])]:
            del self._lesions[lesion]
        if not self.pending & set(held.first):
            held.close()

    def _complete(self, name: str) -> ExclusiveSet:
        missing = self.pending & set(self.sets[name].first)
        if missing:
            raise ValueError(f"set {name} still waits for {sorted(missing)}")
        return self.sets[name]
