"""CT slices of a view in mm, with masks as colour or as lines, cropped to what is shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from analysis.cases import CaseView

AXIAL, CORONAL, SAGITTAL = 0, 1, 2  # the array axis that a plane is perpendicular to
WINDOW_HU = (-160, 240)  # soft tissue


@dataclass(frozen=True)
class Plane:
    """One slice of a box of voxels. normal: `AXIAL`, `CORONAL` or `SAGITTAL`; box: (low, high) for z, y, x, high excluded.

    Pictures are as radiologists have them: the patient's left at the right, in axial ones the front at the top, in sagittal ones the
    front at the left. Axes are in mm from the grid's first voxel.
    """

    view: CaseView
    normal: int
    index: int
    box: tuple[tuple[int, int], ...]

    def of(self, volume: np.ndarray) -> np.ndarray:
        """(row, column) of a (z, y, x) volume."""
        return np.take(volume[tuple(slice(*ends) for ends in self.box)], self.index - self.box[self.normal][0], axis=self.normal)

    def show(self, axis: Axes, opacity: float = 1.0) -> None:
        """The scan in grey, in the soft tissue window."""
        low, high = WINDOW_HU
        grey = np.clip((self.of(self.view.image_hu).astype(float) - low) / (high - low), 0, 1)
        self._put(axis, np.repeat(grey[..., None], 3, axis=2), opacity, "bilinear")

    def fill(self, axis: Axes, mask: np.ndarray, colour: object, opacity: float = 0.55) -> None:
        """The voxels of a mask (z, y, x) in colour."""
        inside = self.of(mask)
        self._put(axis, np.broadcast_to(to_rgb(colour), (*inside.shape, 3)), opacity * inside)

    def paint(self, axis: Axes, labels: np.ndarray, colours: np.ndarray, opacity: float = 0.4) -> None:
        """All structures of a label map (z, y, x) at once. colours: (value, 3) RGB in [0, 1]; 0 is not painted."""
        values = self.of(labels)
        self._put(axis, colours[values], opacity * (values > 0))

    def outline(self, axis: Axes, mask: np.ndarray, colour: object) -> None:
        """The border of a mask (z, y, x); nothing where the slice has none of it."""
        inside = self.of(mask)
        if min(inside.shape) > 1 and inside.any() and not inside.all():
            rows, columns = (np.arange(*self.box[n]) * self.view.spacing_mm[n] for n in self._axes)
            axis.contour(columns, rows, inside, levels=[0.5], colors=[colour], linewidths=1.1)

    @property
    def _axes(self) -> tuple[int, int]:
        rows, columns = (axis for axis in range(3) if axis != self.normal)
        return rows, columns

    def _put(self, axis: Axes, colour: np.ndarray, opacity: float | np.ndarray, interpolation: str = "nearest") -> None:
        picture = np.dstack((colour, np.broadcast_to(opacity, colour.shape[:2])))
        (top, bottom), (left, right) = ((np.array(self.box[n]) - 0.5) * self.view.spacing_mm[n] for n in self._axes)
        if self.normal == AXIAL:
            axis.imshow(picture, extent=(left, right, bottom, top), interpolation=interpolation)
        else:
            axis.imshow(picture, extent=(left, right, top, bottom), interpolation=interpolation, origin="lower")


def box_of(view: CaseView, masks: Iterable[np.ndarray], margin_mm: float) -> tuple[tuple[int, int], ...]:
    """The box of all masks (z, y, x) together with a margin, within the grid; the whole grid where they are empty."""
    together = np.logical_or.reduce(list(masks))
    if not together.any():
        return tuple((0, size) for size in together.shape)
    places = np.argwhere(together)
    margin = np.ceil(margin_mm / view.spacing_mm).astype(int)
    low, high = np.maximum(places.min(0) - margin, 0), np.minimum(places.max(0) + 1 + margin, together.shape)
    return tuple(zip(low.tolist(), high.tolist(), strict=True))


def square(view: CaseView, box: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    """A box widened to be as long in y as in x, as far as the grid reaches."""
    side_mm = max((high - low) * mm for (low, high), mm in zip(box[1:], view.spacing_mm[1:], strict=True))
    ends = [box[0]]
    for (low, high), mm, size in zip(box[1:], view.spacing_mm[1:], view.image_hu.shape[1:], strict=True):
        length = min(round(side_mm / mm), size)
        start = min(max((low + high - length) // 2, 0), size - length)
        ends.append((start, start + length))
    return tuple(ends)


def fullest(counts: np.ndarray, normal: int) -> int:
    """The slice of a (z, y, x) mask or sum of masks that has most, the first of equals."""
    others = tuple(axis for axis in range(3) if axis != normal)
    return int(np.argmax(counts.sum(others)))
