"""Label maps and masks as arrays: what they may hold, and how masks share layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from clnet.data.dataset import DatasetSpec
from clnet.errors import DataError

Table = dict[str, tuple[int, tuple[int, ...]]]  # label name -> (layer, raw values)

ROUNDING_TOLERANCE = 1e-3


def whole_numbers(path: Path, array: np.ndarray) -> tuple[np.ndarray | None, list[DataError]]:
    """The label map with integers for its nearly whole floats, or None and the fault that forbids it."""
    if array.dtype.kind != "f":
        return array, []
    if not np.isfinite(array).all():
        return None, [
            DataError(
                "label values that are not finite",
                where=path,
                found=f"{np.count_nonzero(~np.isfinite(array))} voxel(s)",
                expected="whole numbers",
                fix="export the label map again",
            )
        ]
    rounded = np.rint(array)
    off = np.abs(array - rounded) > ROUNDING_TOLERANCE
    if off.any():
        examples = sorted({round(float(value), 4) for value in array[off][:1000]})[:5]
        return None, [
            DataError(
                "label values with fractions",
                where=path,
                found=f"{np.count_nonzero(off)} voxel(s), such as {examples}",
                expected=f"whole numbers within {ROUNDING_TOLERANCE:g}",
                fix="resample the label map by nearest neighbour, not by interpolation",
            )
        ]
    return rounded.astype(np.int64), []


def map_faults(path: Path, array: np.ndarray, spec: DatasetSpec) -> list[DataError]:
    """Values of a label map (z, y, x) that the dataset's YAML does not know: each with its voxels, place and nearest known value."""
    known = spec.known_values()
    names = {value: label.name for label in (*spec.labels, *spec.dropped) for value in label.values}
    present, counts = _values(array)
    faults = []
    for value, count in zip(present.tolist(), counts.tolist()):
        if value in known:
            continue
        box = ndimage.find_objects((array == value).astype(np.uint8))[0]
        nearest = min(known, key=lambda other: (abs(other - value), other))
        faults.append(
            DataError(
                f"unknown label value {value}",
                where=path,
                found=f"{count} voxel(s) in (z, y, x) = {', '.join(f'{part.start}..{part.stop - 1}' for part in box)}",
                expected=f"one of {sorted(known)} ({spec.name}); the nearest is {nearest} = {names.get(nearest, 'background')}",
                fix=f"correct the label map, or name the value under `labels` or `dropped` in conf/dataset of {spec.name}",
            )
        )
    return faults


def value_counts(array: np.ndarray) -> np.ndarray:
    """How often each value 0, 1, ... occurs in unsigned labels (z, y, x); plane by plane, so that no wide copy is made."""
    counts = np.zeros(int(array.max(initial=0)) + 1, np.int64)
    for plane in array:
        counts += np.bincount(plane.ravel(), minlength=len(counts))
    return counts


def _values(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values that occur, and how often; by counting where that is faster than sorting."""
    if array.min() < 0 or array.max() > 65535:
        return np.unique(array, return_counts=True)
    counts = value_counts(array)
    return np.flatnonzero(counts), counts[counts > 0]


def mask_faults(path: Path, array: np.ndarray) -> list[DataError]:
    """A mask in a file of its own may hold 0 and one other value."""
    low, high = array.min(), array.max()
    if (low == 0 or low == high) and not np.any((array != 0) & (array != high)):
        return []
    values = np.unique(array)
    return [
        DataError(
            "not a mask",
            where=path,
            found=f"values {values[:8].tolist()}",
            expected="0 and one other value",
            fix="export one mask a structure",
        )
    ]


def pack(masks: Mapping[str, np.ndarray], shape_zyx: Sequence[int]) -> tuple[np.ndarray, Table]:
    """Boolean masks (z, y, x) -> (layer, z, y, x) uint8 and name -> (layer, (value,)), greedily, so that no two overlap in a layer."""
    layers: list[np.ndarray] = []
    used: list[int] = []
    table: Table = {}
    for name, mask in masks.items():
        box = (ndimage.find_objects(mask.view(np.uint8)) or [None])[0]
        inside = mask[box] if box else None
        index = next((i for i, layer in enumerate(layers) if used[i] < 255 and (box is None or not layer[box][inside].any())), None)
        if index is None:
            index = len(layers)
            layers.append(np.zeros(shape_zyx, np.uint8))
            used.append(0)
        used[index] += 1
        if box is not None:
            layers[index][box][inside] = used[index]
        table[name] = (index, (used[index],))
    return (np.stack(layers) if layers else np.zeros((0, *shape_zyx), np.uint8)), table
