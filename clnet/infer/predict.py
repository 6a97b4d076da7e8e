"""Whole-scan prediction: windows, every part's label map, back on the native grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from clnet.data.intensity import Intensity
from clnet.data.store import PreparedCase
from clnet.infer.native import NativeLabelMap
from clnet.infer.window import Probabilities, Windows, finished_slabs
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
    case: PreparedCase, *, encoder: Callable[[Tensor], list[Tensor]], networks: Sequence[PartNetwork], windows: Windows,
    intensity: Intensity, device: torch.device | str = "cpu",
) -> Iterator[tuple[Part, np.ndarray]]:  # fmt: skip
    """Label map of every part on the case's native LPS grid, (z, y, x) uint8; values as `Part` defines them.

    One pass of the encoder a window serves all parts.
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
    )
    for first_slice, slab in slabs:
        for name, probability in slab.items():
            maps[name].add(first_slice, probability)
    for network in networks:
        native = np.zeros(case.geometry.shape_zyx, np.uint8)
        native[crop] = maps[network.part.name].labels
        yield network.part, native
