"""Paints parts in order into an image in HU and a map of structures; what is painted later wins."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from .combine import Moved
from .part import KEEP, Part
from .patient import Patient
from .points import Points
from .shapes import FAR_MM
from .tissue import TISSUES, Tissue, value


class Canvas:
    """`image_hu` float32 and `codes` uint8, both (z, y, x); `names[code]` is the structure, code 0 is none."""

    def __init__(self, points: Points, spacing_mm: tuple[float, float, float], phase: tuple[float, float, float]):
        self.points, self.phase = points, phase
        self.edge_mm = np.float32(np.prod(spacing_mm) ** (1 / 3))  # a surface fades over one voxel: partial volume
        self.image_hu = np.full(points.shape, -1000, np.float32)
        self.codes = np.zeros(points.shape, np.uint8)
        self.names: list[str | None] = [None]
        self.centres: dict[str, np.ndarray] = {}

    def code(self, name: str) -> int:
        if name not in self.names:
            self.names.append(name)
        return self.names.index(name)

    def paint(self, parts: Iterable[Part], patient: Patient) -> None:
        for part in parts:
            shape = part.shape
            if part.loose:
                group = part.group or str(part.label)
                centre = self.centres.setdefault(group, shape.centre)
                shape = Moved(shape, centre, *patient.place(group, part.loose))
            window = self.points.window(shape.low - self.edge_mm, shape.high + self.edge_mm)
            if window is not None:
                self._fill(window, shape.distance(self.points[window]), part)

    def _fill(self, window, distance: np.ndarray, part: Part) -> None:
        codes = self.codes[window]
        if part.inside:
            distance = np.where(codes == self.code(part.inside), distance, np.float32(FAR_MM))
        if part.tissue:
            self._blend(self.image_hu[window], distance, TISSUES[part.tissue])
        if part.label != KEEP:
            codes[distance < 0] = self.code(part.label) if part.label else 0

    def _blend(self, image: np.ndarray, distance: np.ndarray, tissue: Tissue) -> None:
        cover = np.clip(0.5 - distance / self.edge_mm, 0, 1)
        inside = value(tissue.hu, self.phase)
        if tissue.rim_hu:
            rim = value(tissue.rim_hu, self.phase)
            inside = inside + (rim - inside) * np.clip(0.5 + (distance + np.float32(tissue.rim_mm)) / self.edge_mm, 0, 1)
        image += cover * (inside - image)
