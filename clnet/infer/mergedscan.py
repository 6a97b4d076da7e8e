"""A whole scan after merging, which goes slab by slab as predictions finish; only the winners stay, compressed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain

import numpy as np

from clnet.infer.merging import MergingRules
from clnet.infer.native import Claim
from clnet.infer.packed import PackedLabelMap
from clnet.infer.predict import Claims
from clnet.infer.scanmerger import ScanMerger
from clnet.types import Part


class MergedScan:
    """One scan's predictions after merging.

    parts: all that compete, in the order that decides ties; inside: decoder -> (z,) bool on the native grid, as for `ScanMerger`;
    shape_zyx: of that grid; slabs: native slices, in any order and each at most once, and what all parts claim there, lesions first
    (`ScanPredictor.slabs`). Slices that do not come have no labels.
    """

    def __init__(
        self, rules: MergingRules, parts: Sequence[Part], inside: Mapping[str, np.ndarray], shape_zyx: Sequence[int],
        slabs: Iterable[tuple[slice, Iterable[tuple[Part, Sequence[Claim]]]]],
    ):  # fmt: skip
        self._parts, self.shape_zyx = parts, tuple(shape_zyx)
        empty = ScanMerger(rules, parts, inside, (self.shape_zyx[0], 0, 0))  # for what it knows of all slices
        self.ranges = empty.ranges  # part -> (z,) bool, inside its body part range
        self.names = empty.names  # exclusive set -> value -> structure
        self._numbers = {
            part.name: (name, held.numbers(part)) for name, held in empty.sets.items() for part in parts if part.name in held.first
        }
        self._sets = {name: PackedLabelMap(shape_zyx, held.values.dtype) for name, held in empty.sets.items()}
        self._alone = {part.name: PackedLabelMap(shape_zyx) for part in parts if part.name not in self._numbers}
        self._claimed: dict[str, list[slice]] = {part.name: [] for part in parts}  # slabs in which it claims anything
        for rows, claims in slabs:
            own = {name: slices[rows] for name, slices in inside.items()}
            self._add(rows, ScanMerger(rules, parts, own, (rows.stop - rows.start, *self.shape_zyx[1:])), claims)

    def _add(self, rows: slice, merger: ScanMerger, claims: Iterable[tuple[Part, Sequence[Claim]]]) -> None:
        plane = tuple(slice(0, n) for n in self.shape_zyx[1:])
        for part, own in claims:
            if own:
                self._claimed[part.name].append(rows)
            alone = merger.add(part, *self._filled(rows, own))
            if alone is not None:
                self._alone[part.name].add((rows, *plane), alone)
        for name in merger.sets:
            self._sets[name].add((rows, *plane), merger.set_map(name))

    def _filled(self, rows: slice, claims: Sequence[Claim]) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Label map and confidence of the slices `rows`; None where nothing is claimed."""
        if not claims:
            return None, None
        filled = tuple(np.zeros((rows.stop - rows.start, *self.shape_zyx[1:]), np.uint8) for _ in range(2))
        for claim in claims:
            (z, *plane) = claim.box
            box = (slice(z.start - rows.start, z.stop - rows.start), *plane)
            filled[0][box], filled[1][box] = claim.labels, claim.confidence
        return filled

    def label_map(self, part: Part) -> np.ndarray:
        """(z, y, x) of a part, as `Part` defines it: bounded, without the voxels that others won."""
        if part.name in self._alone:
            return self._alone[part.name].read()
        name, numbers = self._numbers[part.name]
        won = np.zeros(self.shape_zyx, numbers.dtype)
        for rows in self._claimed[part.name]:
            won[rows] = numbers[self._sets[name].read(rows)]
        return won

    def parts(self) -> Iterator[tuple[Part, np.ndarray]]:
        """Each part with its label map."""
        for part in self._parts:
            yield part, self.label_map(part)

    def sets(self) -> Iterator[tuple[str, np.ndarray]]:
        """Each exclusive set and its (z, y, x) label map, with values as in `names`."""
        for name, held in self._sets.items():
            yield name, held.read()

    @property
    def nbytes(self) -> int:
        """Of all that is held."""
        return sum(held.nbytes for held in chain(self._sets.values(), self._alone.values()))


class Anywhere:
    """Of a method that knows no body part ranges."""

    def inside(self, case) -> dict[str, np.ndarray]:
        """No decoder is bounded."""
        return {}

    inside_prepared = inside

    def identity(self, decoder: str) -> None:
        """Nothing depends on it."""


class ScanMerging:
    """Predicts and merges whole scans; each part is shown only windows where merging would keep what it predicts.

    body: knows the parts' ranges by `inside(case)` and `inside_prepared(case)`, decoder -> (z,) bool on the native and on the prepared
    grid (`Anywhere`, or what a method has).
    """

    def __init__(self, rules: MergingRules, parts: Sequence[Part], body):
        self.rules, self.parts, self.body = rules, parts, body

    def __call__(self, case, predictor: Callable) -> MergedScan:
        """case: a prepared scan; predictor: a method's, of the parts in the order of `rules.lesions_first`."""
        reach = self.rules.reach(self.parts, self.body.inside_prepared(case), case.shape_zyx[0])
        return MergedScan(self.rules, self.parts, self.body.inside(case), case.geometry.shape_zyx, slabs_of(predictor, case, reach))


def slabs_of(predictor: Callable, case, reach: Mapping[str, np.ndarray] | None = None) -> Iterator[tuple[slice, Claims]]:
    """What a method's predictor claims in a prepared scan: as `ScanPredictor.slabs` where it has them; of a plain function of the case,
    which yields each part with its whole label map and confidence, all slices at once."""
    if hasattr(predictor, "slabs"):
        yield from predictor.slabs(case, reach)
        return
    box = tuple(slice(0, size) for size in case.geometry.shape_zyx)
    yield box[0], ((part, [Claim(box, labels, confidence)]) for part, labels, confidence in predictor(case, reach=reach))
