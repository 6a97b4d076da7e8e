"""Whole-scan prediction: windows, every part's label map and the confidence in it, back on the native grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from clnet.data.intensity import Intensity
from clnet.data.store import PreparedCase
from clnet.infer.native import NativeLabelMap
from clnet.infer.window import Encoded, Probabilities, Windows, finished_slabs
from clnet.types import Part


@dataclass(frozen=True)
class PartNetwork:
    """A part and the function that turns the encoder's features into the probabilities of its labels."""

    part: Part
    probabilities: Probabilities

    @property
    def channels(self) -> int:
        """The part's labels, and the background unless they are nested."""
        return len(self.part.labels) + (0 if self.part.nested else 1)


def predict_parts(
    case: PreparedCase, *, encoder: Callable[[Tensor], Encoded], networks: Sequence[PartNetwork], windows: Windows,
    intensity: Intensity, device: torch.device | str = "cpu", reach: Mapping[str, np.ndarray] | None = None,
) -> Iterator[tuple[Part, np.ndarray, np.ndarray]]:  # fmt: skip
    """Part, label map and confidence, in the order of `networks`, on the case's native LPS grid.

    Label map: (z, y, x) uint8, values as `Part` defines them. Confidence: of the same shape, uint8, round(255 * probability of the
    predicted label), 0 where the label is 0; 255 on every label of a nested part.
    One pass of the encoder a window serves all parts. reach: part -> (z,) bool, slices of the prepared grid where it is wanted; what
    it predicts elsewhere means nothing (see `finished_slabs`).
    """
    crop = tuple(slice(start, stop) for start, stop in case.crop_zyx)
    cropped = tuple(box.stop - box.start for box in crop)
    maps = {network.part.name: NativeLabelMap(case.shape_zyx, cropped, network.part.nested) for network in networks}
    slabs = finished_slabs(
        case.image_hu(),
        encoder,
        {network.part.name: network.probabilities for network in networks},
        {network.part.name: network.channels for network in networks},
        {network.part.name: not network.part.nested for network in networks},
        windows,
        intensity,
        device,
        reach,
    )
    for first_slice, slab in slabs:
        for name, probability in slab.items():
            maps[name].add(first_slice, probability)
    for network in networks:
        collected = maps.pop(network.part.name)
        yield network.part, *(_uncropped(values, crop, case.geometry.shape_zyx) for values in (collected.labels, collected.confidence))


def _uncropped(values: np.ndarray, crop: tuple[slice, ...], shape_zyx: Sequence[int]) -> np.ndarray:
    native = np.zeros(tuple(shape_zyx), values.dtype)
    native[crop] = values
    return native
