"""What a prepared dataset looks like, in numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from clnet.data.dataset import DatasetSpec
from clnet.data.recipe import Recipe
from clnet.data.store import PreparedCase

_PERCENTILES = (0.5, 5, 50, 95, 99.5)


def fingerprint(spec: DatasetSpec, cases: Sequence[PreparedCase], recipe: Recipe) -> dict:
    """Plain values for fingerprint.json.

    sizes and spacings (z, y, x) of the scans as they came; HU percentiles, mean and standard deviation over all labelled voxels of the
    prepared grid; per label: cases that annotate it, cases that show it, voxels, and axial coverage. Coverage is the height of the
    lowest and highest slice of a label in the body crop, as a share of the crop (0 feet side, 1 head side) and in mm above its bottom:
    [minimum, median, maximum] over cases.
    """
    return {
        "dataset": spec.name,
        "identity": hashlib.sha256("".join([recipe.identity(), spec.identity(), *(content(case) for case in cases)]).encode()).hexdigest()[
            :16
        ],
        "cases": len(cases),
        "prepared_spacing_mm": list(recipe.spacing_mm),
        "scan_shape_zyx": _spread([case.geometry.shape_zyx for case in cases]),
        "scan_spacing_mm": _spread([case.geometry.spacing_mm for case in cases]),
        "prepared_shape_zyx": _spread([case.shape_zyx for case in cases]),
        "foreground_hu": _intensities(cases),
        "labels": {label.name: _label(label.name, cases) for label in spec.labels},
        "lost_labels": {case.case: case.record["lost_labels"] for case in cases if case.record["lost_labels"]},
    }


def content(case: PreparedCase) -> str:
    """Hash of a scan's voxels and labels, as case.json keeps them."""
    return case.record["voxel_hash"] + case.record["label_hash"]


def _spread(rows: Sequence[Sequence[float]]) -> dict:
    values = np.array(rows, float).reshape(-1, 3)
    if not len(values):
        return {}
    return {
        name: [round(float(v), 4) for v in function(values, axis=0)]
        for name, function in (("min", np.min), ("median", np.median), ("max", np.max))
    }


def _intensities(cases: Sequence[PreparedCase]) -> dict:
    if not cases:
        return {}
    low = cases[0].histogram()[0]
    counts = np.sum([case.histogram()[1] for case in cases], axis=0)
    total = int(counts.sum())
    if not total:
        return {"voxels": 0}
    hu = low + np.arange(len(counts))
    mean = float((hu * counts).sum() / total)
    reached = np.cumsum(counts)
    return {
        "voxels": total,
        "mean": round(mean, 4),
        "sd": round(float(np.sqrt((counts * (hu - mean) ** 2).sum() / total)), 4),
        "percentiles": {f"{p:g}": int(hu[np.searchsorted(reached, p / 100 * total)]) for p in _PERCENTILES},
    }


def _label(name: str, cases: Sequence[PreparedCase]) -> dict:
    shown = [case for case in cases if name in case.annotated and case.voxels.get(name)]
    ends = [case.record["extent_z"][name] for case in shown]
    heights = [(low / case.shape_zyx[0], (high + 1) / case.shape_zyx[0]) for (low, high), case in zip(ends, shown)]
    mm = [
        (low * case.record["exact_spacing_mm"][0], (high + 1) * case.record["exact_spacing_mm"][0])
        for (low, high), case in zip(ends, shown)
    ]
    return {
        "annotated": sum(name in case.annotated for case in cases),
        "present": len(shown),
        "lost": sum(name in case.record["lost_labels"] for case in cases),
        "voxels": _three([case.voxels[name] for case in shown]),
        "native_voxels": _three([case.record["native_voxels"][name] for case in shown]),
        "bottom_share": _three([low for low, _ in heights]),
        "top_share": _three([high for _, high in heights]),
        "bottom_mm": _three([low for low, _ in mm]),
        "top_mm": _three([high for _, high in mm]),
    }


def _three(values: Sequence[float]) -> list[float] | None:
    return [round(float(function(values)), 4) for function in (np.min, np.median, np.max)] if values else None
