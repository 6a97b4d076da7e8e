"""Whole-scan prediction: windows, every part's label map and the confidence in it, back on the native grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from clnet.data.intensity import Intensity
from clnet.data.store import PreparedCase
from clnet.errors import UsageError
from clnet.infer.native import Claim, NativeClaims, NativeGrid
from clnet.infer.offheap import Pieces
from clnet.infer.packed import Packed, PackedLabelMap
from clnet.infer.passes import passes
from clnet.infer.window import Encoded, Probabilities, Windows, finished_slabs
from clnet.types import Part

Claims = Iterator[tuple[Part, list[Claim]]]
PRECISIONS = {"32-true": None, "16-mixed": torch.float16, "bf16-mixed": torch.bfloat16}  # as Lightning calls them


@dataclass(frozen=True)
class PartNetwork:
    """A part and the function that turns the encoder's features into the probabilities of its labels.

    place: among those that run on a window; the smaller, the earlier.
    """

    part: Part
    probabilities: Probabilities
    place: int = 0

    @property
    def channels(self) -> int:
        """The part's labels, and the background unless they are nested."""
        return len(self.part.labels) + (0 if self.part.nested else 1)


@dataclass(frozen=True)
class ScanPredictor:
    """Predicts parts of whole scans; one pass of the encoder a window serves all of them.

    sums_gib: for the sums of probabilities of windows that still overlap what comes; parts for which it does not suffice follow in
    further passes over the scan, with the same results. precision: of the networks; probabilities and their sums have 32 bits always.
    Raises UsageError for a precision that does not exist, or that the device has no use for.
    """

    encoder: Callable[[Tensor], Encoded]
    networks: Sequence[PartNetwork]
    windows: Windows
    intensity: Intensity
    device: torch.device | str = "cpu"
    sums_gib: float = 2.0
    precision: str = "32-true"

    def __post_init__(self):
        if self.precision not in PRECISIONS:
            raise UsageError("no precision of predictions", where="trainer.prediction_precision", found=self.precision,
                             expected=", ".join(PRECISIONS))  # fmt: skip
        if PRECISIONS[self.precision] and torch.device(self.device).type != "cuda":
            raise UsageError("predictions in mixed precision need a GPU", where="trainer.prediction_precision", found=self.precision,
                             fix="trainer=gpu, or trainer.prediction_precision=32-true: few CPUs have such numbers")  # fmt: skip

    def __call__(self, case: PreparedCase, reach: Mapping[str, np.ndarray] | None = None) -> Iterator[tuple[Part, np.ndarray, np.ndarray]]:
        """Part, label map and confidence, in the order of `networks`, on the case's native LPS grid.

        Label map: (z, y, x) uint8, values as `Part` defines them. Confidence: of the same shape, uint8, round(255 * probability of the
        predicted label), 0 where the label is 0; 255 on every label of a nested part. reach: as for `slabs`.
        """
        maps = {network.part.name: [PackedLabelMap(case.geometry.shape_zyx) for _ in range(2)] for network in self.networks}
        for _, slab in self.slabs(case, reach):
            for part, claims in slab:
                for claim in claims:
                    for collected, values in zip(maps[part.name], (claim.labels, claim.confidence), strict=True):
                        collected.add(claim.box, values)
        for network in self.networks:
            labels, confidence = maps.pop(network.part.name)
            yield network.part, labels.read(), confidence.read()

    def slabs(self, case: PreparedCase, reach: Mapping[str, np.ndarray] | None = None) -> Iterator[tuple[slice, Claims]]:
        """Native slices that are finished, from the feet up, and each part with what it claims there, in the order of `networks`.

        reach: part -> (z,) bool, slices of the prepared grid where it is wanted; what it predicts elsewhere means nothing (see
        `finished_slabs`). The claims of a slab are to be read before the next slab is asked for. Slices outside the case's crop do not
        come: nothing is predicted there.
        """
        networks = {network.part.name: network for network in sorted(self.networks, key=lambda network: network.place)}
        channels = {name: network.channels for name, network in networks.items()}
        groups = passes(channels, case.shape_zyx, self.windows, reach or {}, self.sums_gib * 2**30)
        image_hu, waiting, pieces = case.image_hu(), {}, Pieces()
        for group in groups[:-1]:
            for rows, claims in self._pass(case, image_hu, [networks[name] for name in group], reach):
                packed = {part.name: [_Packed.of(claim, pieces) for claim in own] for part, own in claims}
                waiting.setdefault(rows.start, {}).update(packed)
        for rows, claims in self._pass(case, image_hu, [networks[name] for name in groups[-1]] if groups else [], reach):
            yield rows, self._together(claims, waiting.pop(rows.start, {}))

    def _pass(
        self, case: PreparedCase, image_hu: np.ndarray, networks: Sequence[PartNetwork], reach: Mapping[str, np.ndarray] | None
    ) -> Iterator[tuple[slice, Claims]]:
        """The slabs of some networks."""
        grid = NativeGrid(case.shape_zyx, case.crop_zyx)
        native = {network.part.name: NativeClaims(grid, network.part.nested) for network in networks}
        slabs = finished_slabs(
            image_hu,
            self._cast(self.encoder),
            {network.part.name: self._cast(network.probabilities) for network in networks},
            {network.part.name: network.channels for network in networks},
            {network.part.name: not network.part.nested for network in networks},
            self.windows,
            self.intensity,
            self.device,
            reach,
        )
        for first, slab in slabs:
            low, high = grid.ready(first), grid.ready(first + slab.slices)
            parts = (network.part for network in self.networks if network.part.name in native)
            claims = ((part, native[part.name].add(slab.get(part.name), slab.slices)) for part in parts)
            if high > low:
                yield slice(low + grid.start[0], high + grid.start[0]), claims
            for _ in claims:  # each slab counts, whether anybody has read its claims or not
                pass

    def _cast(self, function: Callable) -> Callable:
        """The function in the predictor's precision."""
        dtype = PRECISIONS[self.precision]
        if dtype is None:
            return function

        def cast(given):
            with torch.autocast(torch.device(self.device).type, dtype):
                return function(given)

        return cast

    def _together(self, claims: Claims, waiting: Mapping[str, list[_Packed]]) -> Claims:
        """This pass's claims and those of earlier ones, in the order of all networks."""
        for network in self.networks:
            if network.part.name in waiting:
                yield network.part, [packed.claim() for packed in waiting[network.part.name]]
            else:
                yield next(claims)


@dataclass(frozen=True)
class _Packed:
    """A claim that waits for a later pass."""

    box: tuple[slice, slice, slice]
    labels: Packed
    confidence: Packed

    @classmethod
    def of(cls, claim: Claim, pieces: Pieces) -> _Packed:
        return cls(claim.box, Packed.of(claim.labels, pieces), Packed.of(claim.confidence, pieces))

    def claim(self) -> Claim:
        return Claim(self.box, self.labels.array(), self.confidence.array())
