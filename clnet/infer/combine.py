"""One label map out of those of all parts: where they overlap, the smaller structure is kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clnet.data.labels import value_counts
from clnet.types import Part


class CombinedLabelMap:
    """Takes the parts' label maps one by one, in any order, and holds the combined one in `values`, (z, y, x) uint8 or uint16.

    parts: all that will come; their labels are numbered from 1 in this order, `names` gives value -> name.
    on_top: structures that are kept over all others whatever their size: lesions, which may outgrow the organ around them.

    Otherwise the label with fewer predicted voxels in this scan wins a voxel that several claim, also among the labels of a nested
    part, whose innermost is the smallest. The result does not depend on the order in which parts come. This stands in for merging by
    body parts, which knows where in the body a structure can be.
    """

    def __init__(self, parts: Sequence[Part], shape_zyx: Sequence[int], on_top: frozenset[str] = frozenset()):
        self.on_top, self.names, self.first = on_top, numbered(parts), {}
        total = 0
        for part in parts:
            self.first[part.name] = total + 1
            total += len(part.labels)
        self.values = np.zeros(tuple(shape_zyx), np.uint8 if total <= 255 else np.uint16)
        self.rank = np.full(total + 1, -1, np.int64)  # of each value, the higher wins; background loses to everything

    def add(self, part: Part, label_map: np.ndarray) -> None:
        """label_map: (z, y, x) as `Part` defines it."""
        planes = np.flatnonzero(label_map.any(axis=(1, 2)))
        if not len(planes):
            return
        counts = value_counts(label_map[planes[0] : planes[-1] + 1])
        contents = [_labels_in(value, part) for value in range(len(counts))]
        for index, label in enumerate(part.labels):
            value = self.first[part.name] + index
            voxels = sum(int(counts[v]) for v, inside in enumerate(contents) if index in inside)
            on_top = self.on_top.issuperset(label.structures)
            self.rank[value] = (on_top * label_map.size + label_map.size - voxels) * len(self.rank) + value
        lookup = np.zeros(len(counts), self.values.dtype)
        for value, inside in enumerate(contents):
            lookup[value] = max((self.first[part.name] + index for index in inside), key=self.rank.__getitem__, default=0)
        for z in planes:
            new, current = lookup[label_map[z]], self.values[z]
            np.copyto(current, new, where=self.rank[new] > self.rank[current])

    def found(self) -> list[str]:
        """Names of the labels that have voxels."""
        return [self.names[value] for value in np.flatnonzero(value_counts(self.values)).tolist() if value]


def numbered(parts: Sequence[Part]) -> dict[int, str]:
    """Value in the combined label map -> name (`Part.title`), from 1, in the order of the parts and of their labels."""
    return dict(enumerate((part.title(label) for part in parts for label in part.labels), start=1))


def _labels_in(value: int, part: Part) -> list[int]:
    """Indices of the labels that a value of the part's label map stands for."""
    if part.nested:
        return [index for index in range(len(part.labels)) if value >> index & 1]
    return [value - 1] if value else []
