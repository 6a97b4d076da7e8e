"""Resampling between two grids that cover the same physical extent, axis by axis.

One convention holds everywhere, here and wherever a prediction is brought back to its scan: output voxel i of n_out lies at
input coordinate (i + 0.5) * n_in / n_out - 0.5, so that the outer faces of the first and last voxel stay where they are; beyond
the first and last centre the edge value continues. Source: nnU-Net's resize (skimage, mode "edge"; scipy's zoom, grid_mode).

Interpolation on a regular grid is linear and separable, so each axis is one small matrix, and a volume is resampled by matrix
products. That equals scipy.ndimage.zoom, spline prefilter included, at a fraction of its time.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy import ndimage

NEAREST, LINEAR, CUBIC = 0, 1, 3
_TIE = 1e-5  # half a voxel of a label counts as the label, as in nnU-Net


def target_shape(shape_zyx: Sequence[int], spacing_mm: Sequence[float], target_spacing_mm: Sequence[float]) -> tuple[int, int, int]:
    """Voxels (z, y, x) that cover the extent of `shape_zyx` at `spacing_mm` with about `target_spacing_mm`; at least one an axis."""
    return tuple(max(1, round(n * old / new)) for n, old, new in zip(shape_zyx, spacing_mm, target_spacing_mm, strict=True))


@lru_cache(maxsize=256)
def axis_weights(n_in: int, n_out: int, order: int = LINEAR, smooth: bool = False) -> np.ndarray:
    """Interpolation matrix (n_out, n_in) float32 of one axis; rows sum to 1. Read-only: it is shared.

    order: 0 nearest, 1 linear, 3 cubic B-spline. smooth: when the grid gets coarser, blur first with a Gaussian of
    (n_in / n_out - 1) / 2 voxels, as skimage's anti-aliasing does; nnU-Net leaves that out.
    """
    coordinates = (np.arange(n_out) + 0.5) * (n_in / n_out) - 0.5
    basis = np.eye(n_in)
    if smooth and n_in > n_out:
        basis = ndimage.gaussian_filter1d(basis, (n_in / n_out - 1) / 2, axis=0, mode="nearest")
    if n_in == n_out or n_in == 1:
        weights = basis if n_in == n_out else np.ones((n_out, 1))
    elif order == NEAREST:
        weights = basis[np.clip(np.floor(coordinates + 0.5).astype(int), 0, n_in - 1)]
    elif order == LINEAR:
        low = np.clip(np.floor(coordinates).astype(int), 0, n_in - 2)
        share = np.clip(coordinates - low, 0.0, 1.0)[:, None]
        weights = (1 - share) * basis[low] + share * basis[low + 1]
    else:
        columns = [ndimage.zoom(column, n_out / n_in, order=order, mode="nearest", grid_mode=True) for column in basis.T]
        weights = np.stack(columns, axis=1)
    weights = np.ascontiguousarray(weights, dtype=np.float32)
    weights.flags.writeable = False
    return weights


def orders_zyx(spacing_mm: Sequence[float], target_spacing_mm: Sequence[float], order: int, ratio: float) -> tuple[int, int, int]:
    """Interpolation order of each axis (z, y, x).

    Nearest along the coarse axis of an anisotropic scan (largest spacing more than `ratio` times the smallest; failing that, of an
    anisotropic target), `order` elsewhere. Two equally coarse axes have no such axis.
    Source: nnU-Net, determine_do_sep_z_and_axis, with order_z = 0.
    """
    for spacing in (spacing_mm, target_spacing_mm):
        if max(spacing) / min(spacing) > ratio:
            coarse = [axis for axis in range(3) if spacing[axis] == max(spacing)]
            return tuple(NEAREST if [axis] == coarse else order for axis in range(3))
    return (order, order, order)


def resample_image(
    image: np.ndarray, shape_zyx: Sequence[int], orders: Sequence[int] = (CUBIC, CUBIC, CUBIC), smooth: bool = False
) -> np.ndarray:
    """(z, y, x) of any type -> (z', y', x') float32, kept within the input's range (splines overshoot)."""
    out = _apply(image, [axis_weights(n, m, order, smooth) for n, m, order in zip(image.shape, shape_zyx, orders)])
    return np.clip(out, image.min(), image.max(), out=out)


def resample_labels(labels: np.ndarray, shape_zyx: Sequence[int], orders: Sequence[int] = (LINEAR, LINEAR, LINEAR)) -> np.ndarray:
    """(z, y, x) label map -> (z', y', x'), same type: each value is interpolated on its own, and the largest share wins.

    Every value works on the part of the grid that its bounding box can reach; background has what the others leave.
    """
    if labels.shape == tuple(shape_zyx):
        return labels.copy()
    weights = [axis_weights(n, m, order) for n, m, order in zip(labels.shape, shape_zyx, orders)]
    best, taken = np.zeros(shape_zyx, np.float32), np.zeros(shape_zyx, np.float32)
    winner = np.zeros(shape_zyx, labels.dtype)
    for value, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        reach = [np.flatnonzero(matrix[:, part].any(axis=1)) for matrix, part in zip(weights, box)]
        if not all(len(rows) for rows in reach):
            continue
        target = tuple(slice(rows[0], rows[-1] + 1) for rows in reach)
        share = _apply(labels[box] == value, [matrix[rows, part] for matrix, rows, part in zip(weights, target, box)])
        taken[target] += share
        better = share > best[target]
        best[target][better] = share[better]
        winner[target][better] = value
    winner[best < 1 - taken - _TIE] = 0
    return winner


def _apply(array: np.ndarray, weights: Sequence[np.ndarray]) -> np.ndarray:
    """Multiply each axis by its matrix, slice by slice in the plane so that no second full-size copy is held."""
    along_z, along_y, along_x = weights
    plane = np.empty((array.shape[0], len(along_y), len(along_x)), np.float32)
    transposed = np.ascontiguousarray(along_x.T)
    for index in range(array.shape[0]):
        plane[index] = along_y @ (array[index].astype(np.float32) @ transposed)
    if along_z.shape[0] == along_z.shape[1] and np.array_equal(along_z, np.eye(len(along_z), dtype=np.float32)):
        return plane
    return (along_z @ plane.reshape(len(plane), -1)).reshape(len(along_z), *plane.shape[1:])
