"""All structures of a scan scored at once: each is cut out of its label map by a bounding box, and the boxes are found in one pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial, reduce

import numpy as np
from scipy import ndimage

from clnet.data.store import PreparedCase, select
from experiments.score import Policy, score_case
from experiments.surface import Box, union_box

_NOWHERE = (slice(0, 0),) * 3


class LabelVolume:
    """A (z, y, x) label map of unsigned integers, 0 the background, with the box of every value that occurs in it."""

    def __init__(self, voxels: np.ndarray):
        boxes = dict(enumerate(ndimage.find_objects(voxels), start=1))
        self.voxels = voxels
        self.boxes: list[Box] = [box for box in boxes.values() if box is not None]
        self.values = np.array([value for value, box in boxes.items() if box is not None], dtype=voxels.dtype)


class Region:
    """What is one structure in a label map. chosen: which values it consists of, element by element: values -> bool."""

    def __init__(self, volume: LabelVolume, chosen: Callable[[np.ndarray], np.ndarray]):
        self.volume, self.chosen = volume, chosen

    @cached_property
    def box(self) -> Box | None:
        """Smallest box that holds all of it; None where there is nothing of it."""
        boxes = [box for box, own in zip(self.volume.boxes, self.chosen(self.volume.values), strict=True) if own]
        return reduce(union_box, boxes) if boxes else None

    def mask(self, box: Box) -> np.ndarray:
        """Its voxels within a box, (z, y, x) bool."""
        return self.chosen(self.volume.voxels[box])


Compared = tuple[Region, Region | None]  # prediction and reference; None: the case does not annotate the structure


def common_box(*regions: Region) -> Box:
    """Smallest box that holds all regions, without a voxel where they are all empty. Raises ValueError for volumes of different shapes."""
    shapes = {region.volume.voxels.shape for region in regions}
    if len(shapes) > 1:
        raise ValueError(f"regions of one scan must lie in volumes of one shape (z, y, x), found {sorted(shapes)}")
    boxes = [region.box for region in regions if region.box is not None]
    return reduce(union_box, boxes) if boxes else _NOWHERE


def reference_regions(case: PreparedCase) -> dict[str, Region]:
    """Every label that a case annotates, on its native grid."""
    layers = [LabelVolume(layer) for layer in case.reference_layers()] if case.annotated else []
    table = {name: case.label_table[name] for name in case.annotated}
    return {name: Region(layers[layer], partial(select, values=values)) for name, (layer, values) in table.items()}


def score_regions(compared: Mapping[str, Compared], spacing_mm: Sequence[float], *, tolerance_mm: float, policy: Policy | None = None,
                  threads: int = 1) -> dict[str, dict]:
    """What `score_case` says of each structure of a scan. Raises ValueError for volumes of different shapes.

    Most of the time is spent in NumPy and SciPy, which let other threads run.
    """

    def score(structure: str) -> dict:
        prediction, reference = compared[structure]
        box = common_box(*(region for region in (prediction, reference) if region is not None))
        return score_case(prediction.mask(box), None if reference is None else reference.mask(box), spacing_mm, structure=structure,
                          tolerance_mm=tolerance_mm, annotated=reference is not None, policy=policy,
                          image_shape_zyx=prediction.volume.voxels.shape)  # fmt: skip

    if threads == 1 or len(compared) < 2:
        return {structure: score(structure) for structure in compared}
    with ThreadPoolExecutor(threads) as pool:
        return dict(zip(compared, pool.map(score, compared), strict=True))
