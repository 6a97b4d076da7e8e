"""Prepared cases whose annotation is completed by predictions: what people drew stays, everywhere and always."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clnet.atomic import write_json
from clnet.data.labels import Table
from clnet.data.locate import count_voxels, locate
from clnet.data.recipe import Recipe
from clnet.data.store import CASE_FILE, PreparedCase, save_array


@dataclass(frozen=True)
class Found:
    """A label as a model predicts it: mask (z, y, x) bool on the prepared grid, its mean confidence in [0, 1], and the model's dataset."""

    mask: np.ndarray
    confidence: float
    source: str


def complete_case(case: PreparedCase, found: Mapping[str, Found], folder: Path) -> PreparedCase:
    """The case in a new folder with the labels found beside its own; it has no reference on the native grid any more.

    Predictions fill one layer: the least confident are written first, so that surer ones lie over them, and voxels of any label
    that is annotated in the case are taken out last. The record keeps each label's source, confidence and voxels.
    Raises ValueError for a label that the case annotates.
    Source: CL-Net A5 (pseudo-label training); CADS (ground truth overrides, less confident structures first).
    """
    known = sorted(set(found) & case.annotated)
    if known:
        raise ValueError(f"{case}: annotated already: {known}")
    own = case.layers()
    table: Table = {name: place for name, place in case.label_table.items() if name in case.annotated}
    layer = np.zeros(case.shape_zyx, np.uint8)
    for value, name in enumerate(sorted(found, key=lambda name: (found[name].confidence, name)), start=1):
        layer[found[name].mask] = value
        table[name] = (len(own), (value,))
    for name in case.annotated:
        layer[case.mask(name)] = 0
    layers = np.concatenate((own, layer[None].astype(own.dtype)))
    return _written(case, layers, table, found, folder)


def _written(case: PreparedCase, layers: np.ndarray, table: Table, found: Mapping[str, Found], folder: Path) -> PreparedCase:
    folder.mkdir(parents=True, exist_ok=True)
    locations, spans, extents = locate(layers, table, Recipe.locations_per_label, f"{case.dataset}/{case.case}")
    for name, array in {"labels": layers, "locations": locations}.items():
        save_array(folder / f"{name}.b2nd", array)
    for name in ("image.b2nd", "histogram.b2nd"):
        (folder / name).unlink(missing_ok=True)
        try:
            os.link(case.folder / name, folder / name)
        except OSError:  # another file system
            shutil.copy2(case.folder / name, folder / name)
    files = {name: case.record["files"][name] for name in ("image.b2nd", "histogram.b2nd")}
    for name, array in {"labels.b2nd": layers, "locations.b2nd": locations}.items():
        files[name] = {"bytes": (folder / name).stat().st_size, "shape": list(array.shape), "dtype": str(array.dtype)}
    voxels = count_voxels(layers, table)
    sources = {name: {"source": "annotation", "voxels": voxels[name]} for name in sorted(case.annotated)}
    for name, each in found.items():
        sources[name] = {"source": each.source, "confidence": round(each.confidence, 4), "voxels": voxels[name]}
    write_json(folder / CASE_FILE, {
        **case.record, "annotated": sorted({*case.annotated, *found}), "voxels": voxels, "locations": spans, "extent_z": extents,
        "label_table": {name: [place, list(values)] for name, (place, values) in table.items()}, "files": files, "sources": sources,
    })  # fmt: skip
    return PreparedCase.open(folder)
