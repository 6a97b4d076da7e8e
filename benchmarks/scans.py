"""Synthetic scans for the benchmarks, made from a seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

SPACING_MM = (1.5, 1.5, 1.5)


def label_map(shape_zyx: Sequence[int], structures: int, seed: int = 0) -> np.ndarray:
    """(z, y, x) uint8 with ellipsoids 1 to `structures`, of radii from 3 voxels to a ninth of the shortest side; later ones lie on top."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape_zyx, np.uint8)
    for value in range(1, structures + 1):
        radii = np.exp(rng.uniform(np.log(3), np.log(max(min(shape_zyx) / 9, 4)), 3))
        centre = [rng.uniform(0, size) for size in shape_zyx]
        box = tuple(slice(max(int(c - r), 0), int(c + r) + 2) for c, r in zip(centre, radii))
        axes = np.ogrid[tuple(slice(part.start, min(part.stop, size)) for part, size in zip(box, shape_zyx))]
        labels[box][sum(((axis - c) / r) ** 2 for axis, c, r in zip(axes, centre, radii)) <= 1] = value
    return labels


def bent(labels: np.ndarray, amplitude: float = 1.2, seed: int = 1) -> np.ndarray:
    """The same map as a good segmentation may have it: every voxel takes its label from one a smooth random step away.

    amplitude: standard deviation of the step on each axis, in voxels, at nodes 12 voxels apart; linear between them.
    """
    rng = np.random.default_rng(seed)
    nodes = [max(size // 12, 2) for size in labels.shape]
    zoom = [size / count for size, count in zip(labels.shape, nodes)]
    places = []
    for axis, size in enumerate(labels.shape):
        step = ndimage.zoom(rng.normal(0, amplitude, nodes).astype(np.float32), zoom, order=1)
        index = np.arange(size, dtype=np.float32).reshape([-1 if axis == other else 1 for other in range(3)])
        places.append(np.clip(np.rint(index + step), 0, size - 1).astype(np.int32))
    return labels[tuple(places)]


def image_hu(shape_zyx: Sequence[int], seed: int = 0) -> np.ndarray:
    """(z, y, x) int16 HU: a body of tissue with organs, lungs and bones as smooth as theirs, and the noise of a scanner; air around."""
    rng = np.random.default_rng(seed)
    coarse = [max(size // 16, 2) for size in shape_zyx]
    zoom = [size / count for size, count in zip(shape_zyx, coarse)]
    tissue = ndimage.zoom(rng.normal(0, 1, coarse).astype(np.float32), zoom, order=1)
    axes = np.ogrid[tuple(slice(-1, 1, size * 1j) for size in shape_zyx)]
    inside = (axes[1] / 0.7) ** 2 + (axes[2] / 0.9) ** 2 <= 1
    hu = np.select([tissue < -1.2, tissue > 1.6], [-850.0, 400.0], 30.0 + 40.0 * tissue) + rng.normal(0, 15, shape_zyx)
    return np.where(inside, hu, -1000.0 + np.abs(rng.normal(0, 10, shape_zyx))).round().clip(-1024, 1024).astype(np.int16)
