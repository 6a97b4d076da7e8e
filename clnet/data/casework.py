"""From one raw case to one case folder."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import shutil
import socket
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
from filelock import FileLock

from clnet.atomic import explained, replace_folder, write_json
from clnet.data import reader
from clnet.data.body import body_box
from clnet.data.dataset import DatasetSpec
from clnet.data.labels import Table
from clnet.data.layout import NnunetRaw
from clnet.data.leak import voxel_hash
from clnet.data.locate import count_voxels, locate
from clnet.data.recipe import Recipe
from clnet.data.resample import CUBIC, LINEAR, orders_zyx, resample_image, resample_labels, target_shape
from clnet.data.store import CASE_FILE, PreparedCase, load_array, save_array
from clnet.errors import DataError
from clnet.types import RawCase

log = logging.getLogger(__name__)


def case_identity(raw: RawCase, spec: DatasetSpec, recipe: Recipe) -> str:
    """Hash of everything that a prepared case depends on; the raw files enter by size and time of change."""
    files = [raw.image]
    if raw.label is not None:
        files += sorted(raw.label.iterdir()) if raw.label.is_dir() else [raw.label]
    stamps = [[file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files if file.is_file()]
    parts = [spec.identity(), recipe.identity(), raw.case, sorted(raw.annotated), stamps]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def prepare_case(raw: RawCase, spec: DatasetSpec, recipe: Recipe, folder: Path) -> None:
    """Read, orient, clip, crop, resample and store one case; `folder` appears when it is complete.

    Raises DataError for a file that the reader refuses or, unless the recipe allows it, for a label that vanishes at this spacing;
    HostError for a full disk.
    """
    folder = Path(folder)
    temporary = folder.with_name(f".{folder.name}.tmp-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}")
    with explained(folder):
        temporary.mkdir(parents=True)
    try:
        record = _fill(temporary, raw, spec, recipe)
        write_json(temporary / CASE_FILE, record)
        _publish(temporary, folder, record["identity"])
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def prepare_scan(image: Path, recipe: Recipe, folder: Path) -> PreparedCase:
    """Prepare a scan that belongs to no dataset and has no labels, exactly as a case with labels would be. Raises as `prepare_case`."""
    nothing = DatasetSpec(name="scans", root=image.parent, layout=NnunetRaw(), labels=(), body_group="")
    prepare_case(RawCase(nothing.name, image.name, image, None, frozenset()), nothing, recipe, folder)
    return PreparedCase.open(folder)


def remove_abandoned(folder: Path) -> None:
    """Delete what killed preparations left in `folder`: temporary folders of processes of this machine that are no more."""
    host = socket.gethostname()
    for path in folder.glob(".*.tmp-*"):
        parts = path.name.partition(".tmp-")[2].rsplit("-", 2)
        if len(parts) == 3 and parts[0] == host and parts[1].isdigit() and not _alive(int(parts[1])):
            shutil.rmtree(path, ignore_errors=True)


def _fill(folder: Path, raw: RawCase, spec: DatasetSpec, recipe: Recipe) -> dict:
    identity = case_identity(raw, spec, recipe)
    image, geometry = reader.read_image(raw.image)
    layers, table = reader.read_labels(raw, spec, geometry)
    low, high = recipe.clip_hu
    native_voxels = count_voxels(layers, table)
    box = body_box(image, geometry.spacing_mm, recipe.body_threshold_hu, recipe.body_margin_mm)
    inside = count_voxels(layers[(slice(None), *box)], table)
    cropped = np.clip(image[box], low, high)
    shape = target_shape(cropped.shape, geometry.spacing_mm, recipe.spacing_mm)
    orders = orders_zyx(geometry.spacing_mm, recipe.spacing_mm, CUBIC, recipe.anisotropy_ratio)
    prepared = np.rint(resample_image(cropped, shape, orders, recipe.smooth)).astype(np.int16)
    label_orders = orders_zyx(geometry.spacing_mm, recipe.spacing_mm, LINEAR, recipe.anisotropy_ratio)
    labels = (
        np.stack([resample_labels(layer[box], shape, label_orders) for layer in layers]) if len(layers) else np.zeros((0, *shape), np.uint8)
    )
    lost = _lost(raw, recipe, table, native_voxels, count_voxels(labels, table))
    locations, spans, extents = locate(labels, table, recipe.locations_per_label, f"{raw.dataset}/{raw.case}")
    labelled = prepared[labels.any(axis=0)] if len(labels) else prepared[:0].ravel()
    arrays = {
        "image": prepared,
        "labels": labels,
        "locations": locations,
        "histogram": np.bincount(labelled.astype(np.int64).ravel() - low, minlength=high - low + 1),
    }
    if raw.label is not None:
        arrays["reference"] = layers
    files = {}
    for name, array in arrays.items():
        path = folder / f"{name}.b2nd"
        save_array(path, array)
        if not np.array_equal(load_array(path)[...], array):
            raise DataError("what was written is not what was computed", where=path, fix="check the disk, then run the same command again")
        files[path.name] = {"bytes": path.stat().st_size, "shape": list(array.shape), "dtype": str(array.dtype)}
    return {
        "identity": identity,
        "dataset": spec.name,
        "case": raw.case,
        "annotated": sorted(raw.annotated),
        "image": str(raw.image),
        "spacing_mm": list(recipe.spacing_mm),
        "shape_zyx": list(shape),
        "exact_spacing_mm": [(part.stop - part.start) * mm / n for part, mm, n in zip(box, geometry.spacing_mm, shape)],
        "geometry": asdict(geometry),
        "crop_zyx": [[part.start, part.stop] for part in box],
        "label_table": {name: [layer, list(values)] for name, (layer, values) in table.items()},
        "voxels": count_voxels(labels, table),
        "native_voxels": native_voxels,
        "lost_labels": lost,
        "cropped_voxels": {name: native_voxels[name] - n for name, n in inside.items() if n != native_voxels[name]},
        "locations": spans,
        "extent_z": extents,
        "histogram_from_hu": low,
        "files": files,
        "voxel_hash": voxel_hash(image),
        "label_hash": hashlib.sha256(np.ascontiguousarray(layers).data).hexdigest()[:32],
    }


def _lost(raw: RawCase, recipe: Recipe, table: Table, before: Mapping[str, int], after: Mapping[str, int]) -> list[str]:
    lost = [name for name in table if name in raw.annotated and before[name] and not after[name]]
    if lost and not recipe.allow_label_loss:
        raise DataError(
            f"{', '.join(lost)}: no voxel is left after resampling",
            where=f"{raw.case}: {raw.label}",
            found=f"{', '.join(f'{name} {before[name]} voxels' for name in lost)} before",
            expected=f"at least one at {recipe.spacing_mm} mm",
            fix="choose a finer spacing_mm, or allow_label_loss=true",
        )
    for name in lost:
        log.warning("%s/%s: %s (%d voxels) is lost at %s mm", raw.dataset, raw.case, name, before[name], recipe.spacing_mm)
    return lost


def _publish(temporary: Path, folder: Path, identity: str) -> None:
    """Rename into place; where another process was faster with the same case, keep that one."""
    with FileLock(folder.parent / ".publish.lock"):
        if not finished(folder, identity):
            replace_folder(temporary, folder)


def finished(folder: Path, identity: str) -> bool:
    """Whether `folder` holds a whole case of this identity."""
    try:
        return PreparedCase.open(folder).record["identity"] == identity
    except DataError:
        return False


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
