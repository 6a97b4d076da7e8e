"""Sample points of one scan in the phantom's own frame, and windows into them.

The frame is the patient's, in mm: x to the left, y to the back, z to the head (ITK's LPS); z = 0 at the lowest point of the
ischium, z = 930 at the vertex (sitting height of the adult male, ICRP Publication 89), x = 0 in the median plane.
"""

from __future__ import annotations

import numpy as np

Window = tuple[slice, slice, slice]


class Points:
    """Coordinates x, y, z, each (z, y, x) float32 mm, with what each plane spans, so that small shapes touch few points."""

    def __init__(self, x: np.ndarray, y: np.ndarray, z: np.ndarray, spans: list[tuple[np.ndarray, np.ndarray]] | None = None):
        self.x, self.y, self.z = x, y, z
        self.spans = spans or [(c.min(axis=rest), c.max(axis=rest)) for c, rest in ((z, (1, 2)), (y, (0, 2)), (x, (0, 1)))]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.x.shape

    def window(self, low_xyz: np.ndarray, high_xyz: np.ndarray) -> Window | None:
        """Smallest array box that holds every point between the two corners (mm); None if there is none."""
        found = []
        for (least, most), low, high in zip(self.spans, low_xyz[::-1], high_xyz[::-1]):
            hits = np.flatnonzero((most >= low) & (least <= high))
            if not len(hits):
                return None
            found.append(slice(int(hits[0]), int(hits[-1]) + 1))
        return tuple(found)

    def __getitem__(self, window: Window) -> Points:
        spans = [(least[part], most[part]) for (least, most), part in zip(self.spans, window)]
        return Points(self.x[window], self.y[window], self.z[window], spans)

    def mirrored(self) -> Points:
        """The same points seen from the other side of the median plane."""
        spans = [*self.spans[:2], (-self.spans[2][1], -self.spans[2][0])]
        return Points(-self.x, self.y, self.z, spans)

    def moved(self, centre_xyz: np.ndarray, offset_xyz: np.ndarray, scale: float) -> Points:
        """Points at which an organ grown by `scale` about its centre and shifted by `offset_xyz` mm is looked up."""
        shift = np.asarray(centre_xyz, np.float32) + np.asarray(offset_xyz, np.float32)

        def back(values: np.ndarray, axis: int) -> np.ndarray:
            return (values - shift[axis]) / np.float32(scale) + np.float32(centre_xyz[axis])

        spans = [(back(least, axis), back(most, axis)) for (least, most), axis in zip(self.spans, (2, 1, 0))]
        return Points(back(self.x, 0), back(self.y, 1), back(self.z, 2), spans)
