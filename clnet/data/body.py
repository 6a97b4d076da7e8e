"""Where in a scan the patient is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

Box = tuple[slice, slice, slice]

_COARSE_MM = 4.0  # the body is looked for on every n-th voxel, about this far apart
_KEPT_SHARE = 0.1  # pieces of at least this share of the largest are body too: the second leg, an arm


def body_box(image_hu: np.ndarray, spacing_mm: Sequence[float], threshold_hu: float, margin_mm: float) -> Box:
    """Bounding box of the body in a (z, y, x) HU volume, with a margin; the whole volume where nothing is found.

    It depends on the image alone, so that test scans are treated as training scans are. Thin things (table, blanket, tubes) go by an
    opening in the axial plane.
    """
    step = [max(1, min(int(_COARSE_MM / mm), n // 8)) for mm, n in zip(spacing_mm, image_hu.shape)]
    dense = image_hu[tuple(slice(None, None, s) for s in step)] > threshold_hu
    cross = ndimage.generate_binary_structure(3, 1) & np.array([False, True, False])[:, None, None]
    pieces, count = ndimage.label(ndimage.binary_opening(dense, cross))
    if not count:
        return tuple(slice(0, n) for n in image_hu.shape)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    kept = (sizes >= _KEPT_SHARE * sizes.max())[pieces]
    box = []
    for axis, (n, s, mm) in enumerate(zip(image_hu.shape, step, spacing_mm)):
        where = np.flatnonzero(kept.any(axis=tuple(other for other in range(3) if other != axis)))
        margin = int(np.ceil(margin_mm / mm)) + s
        box.append(slice(int(max(0, where[0] * s - margin)), int(min(n, where[-1] * s + 1 + margin))))
    return tuple(box)
