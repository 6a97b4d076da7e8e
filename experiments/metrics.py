"""Overlap and surface metrics of two masks: total functions on NumPy arrays (z, y, x), `spacing_mm` in the same order, distances in mm.

A mask is bool, or any other type of which every value but 0 is foreground. Where a value does not exist it is NaN, never a sentinel;
what a NaN means for a mean is the business of `experiments.score`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from experiments.surface import SurfaceDistances, bounding_box, surface_distances, union_box


class SurfaceMetrics(NamedTuple):
    """What one pass over the surface distances gives; all NaN if either mask is empty."""

    asd_mm: float
    hd95_mm: float
    nsd: float


def dice(prediction: np.ndarray, reference: np.ndarray) -> float:
    """Dice similarity coefficient in [0, 1]; NaN if both masks are empty, 0 if one is.

    Raises ValueError for masks of different shapes or not three-dimensional.
    """
    prediction, reference = _masks(prediction, reference)
    total = np.count_nonzero(prediction) + np.count_nonzero(reference)
    return 2.0 * np.count_nonzero(prediction & reference) / total if total else math.nan


def average_surface_distance(prediction: np.ndarray, reference: np.ndarray, spacing_mm: Sequence[float]) -> float:
    """Symmetric average surface distance in mm: mean of the two directed means, each weighted by surface area; NaN if either is empty.

    Source: CL-Net paper, A2 (ASD); its definition is open there, this is the symmetric reading.
    """
    return surface_metrics(prediction, reference, spacing_mm, tolerance_mm=0.0).asd_mm


def hausdorff_95(prediction: np.ndarray, reference: np.ndarray, spacing_mm: Sequence[float]) -> float:
    """Larger of the two directed 95th percentiles of surface distance, by surface area, in mm; NaN if either mask is empty."""
    return surface_metrics(prediction, reference, spacing_mm, tolerance_mm=0.0).hd95_mm


def normalized_surface_dice(prediction: np.ndarray, reference: np.ndarray, spacing_mm: Sequence[float], tolerance_mm: float) -> float:
    """Share in [0, 1] of both surfaces' area that lies within `tolerance_mm` of the other surface; NaN if either mask is empty.

    Source: Nikolov et al., JMIR 2021 (surface DSC).
    """
    return surface_metrics(prediction, reference, spacing_mm, tolerance_mm).nsd


def surface_metrics(prediction: np.ndarray, reference: np.ndarray, spacing_mm: Sequence[float], tolerance_mm: float) -> SurfaceMetrics:
    """ASD, HD95 and NSD from distances that are computed once; all NaN if either mask is empty.

    Only the union of the bounding boxes is looked at, so masks may as well come cropped alike. Raises ValueError for masks of different
    shapes or not three-dimensional, for a spacing that is not three positive numbers, and for a negative tolerance.
    """
    prediction, reference = _masks(prediction, reference)
    spacing = tuple(float(value) for value in spacing_mm)
    if len(spacing) != 3 or not all(math.isfinite(value) and value > 0 for value in spacing):
        raise ValueError(f"spacing_mm must be three positive numbers (z, y, x), found {spacing}")
    if not tolerance_mm >= 0:
        raise ValueError(f"tolerance_mm must not be negative, found {tolerance_mm}")
    distances = surface_distances(prediction, reference, spacing)
    if distances is None:
        return SurfaceMetrics(math.nan, math.nan, math.nan)
    return SurfaceMetrics(_symmetric_mean_mm(distances), _symmetric_percentile_mm(distances, 0.95), _share_within(distances, tolerance_mm))


def cropped(prediction: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as bool, cropped to the box that holds either; no metric changes by it. Raises ValueError as `dice` does."""
    prediction, reference = _masks(prediction, reference)
    boxes = [box for box in (bounding_box(prediction), bounding_box(reference)) if box is not None]
    box = union_box(boxes[0], boxes[-1]) if boxes else (slice(0, 0),) * 3
    return prediction[box], reference[box]


def _masks(prediction: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as bool (z, y, x); ValueError naming both shapes unless they are equal and three-dimensional."""
    prediction, reference = np.asarray(prediction), np.asarray(reference)
    if prediction.shape != reference.shape or prediction.ndim != 3:
        raise ValueError("prediction and reference must be (z, y, x) masks of one shape, "
                         f"found prediction {prediction.shape} and reference {reference.shape}")
    return tuple(mask if mask.dtype == np.bool_ else mask != 0 for mask in (prediction, reference))


def _symmetric_mean_mm(distances: SurfaceDistances) -> float:
    forth = np.average(distances.from_prediction_mm, weights=distances.prediction_area_mm2)
    back = np.average(distances.from_reference_mm, weights=distances.reference_area_mm2)
    return float(0.5 * (forth + back))


def _symmetric_percentile_mm(distances: SurfaceDistances, share: float) -> float:
    return max(_percentile_mm(distances.from_prediction_mm, distances.prediction_area_mm2, share),
               _percentile_mm(distances.from_reference_mm, distances.reference_area_mm2, share))


def _percentile_mm(ascending_mm: np.ndarray, area_mm2: np.ndarray, share: float) -> float:
    """Smallest distance within which `share` of the area lies."""
    cumulative = np.cumsum(area_mm2) / np.sum(area_mm2)
    return float(ascending_mm[min(int(np.searchsorted(cumulative, share)), len(ascending_mm) - 1)])


def _share_within(distances: SurfaceDistances, tolerance_mm: float) -> float:
    total = distances.prediction_area_mm2.sum() + distances.reference_area_mm2.sum()
    within = (distances.prediction_area_mm2[distances.from_prediction_mm <= tolerance_mm].sum()
              + distances.reference_area_mm2[distances.from_reference_mm <= tolerance_mm].sum())
    return float(within / total)
