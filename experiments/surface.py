"""Surface elements of a mask and their distances to another surface, by the definition of the `surface-distance` package.

The package itself (0.1) asks for NumPy's removed `np.Inf` when a mask is empty, calls SciPy namespaces that are going away, and runs a
distance transform over the whole box. Its lookup table is used here as it stands, so the definition is the same; the distances come from a
k-d tree over the surface points that the two surfaces do not share, which gives the same numbers and is several times faster.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree
from surface_distance import lookup_tables

Box = tuple[slice, ...]
_LEAF = 32  # points; building the tree costs as much as asking it, and with SciPy's 10 a fifth more


class SurfaceDistances(NamedTuple):
    """Distances (mm) from each surface element to the other surface, ascending, with the elements' areas (mm2) in the same order."""

    from_prediction_mm: np.ndarray
    prediction_area_mm2: np.ndarray
    from_reference_mm: np.ndarray
    reference_area_mm2: np.ndarray


@lru_cache(maxsize=64)
def _area_by_code(spacing_mm: tuple[float, float, float]) -> np.ndarray:
    """Area (mm2) of the surface that passes between eight neighbouring voxels, for each of the 256 ways of filling them."""
    return np.asarray(lookup_tables.create_table_neighbour_code_to_surface_area(spacing_mm), dtype=np.float64)


def bounding_box(mask: np.ndarray) -> Box | None:
    """Smallest box that holds all true voxels of a (z, y, x) bool mask; None for an empty mask."""
    box: list[slice] = []
    view = mask
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        filled = np.flatnonzero(view.any(axis=others))
        if filled.size == 0:
            return None
        box.append(slice(int(filled[0]), int(filled[-1]) + 1))
        view = view[(slice(None),) * axis + (box[-1],)]
    return tuple(box)


def union_box(first: Box, second: Box) -> Box:
    """Smallest box that holds both boxes."""
    return tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(first, second, strict=True))


def neighbour_codes(mask: np.ndarray) -> np.ndarray:
    """(z, y, x) bool -> (z + 1, y + 1, x + 1) uint8: at each voxel corner, which of the eight voxels around it are filled.

    The mask is surrounded by one voxel of background first, so that a structure cut by the volume's edge has a closed surface.
    """
    code = np.pad(mask, 1).view(np.uint8)
    code = (code[:, :, :-1] << 1) | code[:, :, 1:]
    code = (code[:, :-1] << 2) | code[:, 1:]
    return (code[:-1] << 4) | code[1:]


def _distances_mm(points: np.ndarray, surface: np.ndarray, spacing_mm: np.ndarray) -> np.ndarray:
    """Distance of each point (n, 3) to the nearest point of the surface (m, 3), both in voxel indices.

    Recomputed from whole index offsets, so that a distance equal to a tolerance is not moved past it by rounding.
    """
    tree = cKDTree(surface * spacing_mm, leafsize=_LEAF, balanced_tree=False, compact_nodes=False)
    nearest = tree.query(points * spacing_mm)[1]
    return np.sqrt((((surface[nearest] - points) * spacing_mm) ** 2).sum(axis=1))


def _sorted_distances(own: np.ndarray, other: np.ndarray, other_points: np.ndarray, spacing: tuple[float, float, float]):
    """Ascending distances from the surface elements of `own` to the surface in `other` (both neighbour codes), and their areas."""
    where = np.flatnonzero(_is_surface(own))
    areas_mm2 = _area_by_code(spacing)[own.ravel()[where]]
    apart = ~_is_surface(other.ravel()[where])
    distances_mm = np.zeros(where.size)
    if apart.any():
        points = np.stack(np.unravel_index(where[apart], own.shape), axis=1)
        distances_mm[apart] = _distances_mm(points, other_points, np.asarray(spacing))
    order = np.argsort(distances_mm, kind="stable")
    return distances_mm[order], areas_mm2[order]


def _is_surface(code: np.ndarray) -> np.ndarray:
    return (code != 0) & (code != 255)


def surface_distances(prediction: np.ndarray, reference: np.ndarray, spacing_mm: tuple[float, float, float]) -> SurfaceDistances | None:
    """Distances in both directions between two (z, y, x) bool masks of one shape; None if either mask is empty.

    Source: Nikolov et al., Clinically applicable segmentation of head and neck anatomy for radiotherapy, JMIR 2021 (surface elements
    from a marching-cubes table, weighted by area); `surface-distance` 0.1 for the table.
    """
    box_prediction, box_reference = bounding_box(prediction), bounding_box(reference)
    if box_prediction is None or box_reference is None:
        return None
    box = union_box(box_prediction, box_reference)
    spacing = tuple(float(value) for value in spacing_mm)
    code_prediction, code_reference = neighbour_codes(prediction[box]), neighbour_codes(reference[box])
    points_prediction, points_reference = (np.argwhere(_is_surface(code)) for code in (code_prediction, code_reference))
    return SurfaceDistances(*_sorted_distances(code_prediction, code_reference, points_reference, spacing),
                            *_sorted_distances(code_reference, code_prediction, points_prediction, spacing))
