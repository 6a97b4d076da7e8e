"""Where each label of a volume is, and how much of it there is."""

from __future__ import annotations

import hashlib

import numpy as np
from scipy import ndimage

from clnet.data.labels import Table, value_counts
from clnet.data.store import select


def count_voxels(layers: np.ndarray, table: Table) -> dict[str, int]:
    """Label name -> its voxels in raw label layers (layer, z, y, x)."""
    counts = [value_counts(layer) for layer in layers]
    return {name: int(sum(counts[layer][list({v for v in values if v < len(counts[layer])})])) for name, (layer, values) in table.items()}


def locate(layers: np.ndarray, table: Table, limit: int, seed: str) -> tuple[np.ndarray, dict[str, list[int]], dict[str, list[int]]]:
    """Voxels of all labels to sample from, (n, 3) int32 in (z, y, x); the [start, stop] of each label in them; its [lowest, highest] slice.

    Of a label with more than `limit` voxels as many are drawn, by `seed` and its name alone. Labels without a voxel are left out.
    """
    objects = [ndimage.find_objects(layer) for layer in layers]
    chosen, spans, extents, total = [np.zeros((0, 3), np.int32)], {}, {}, 0
    for name, (layer, values) in table.items():
        boxes = [objects[layer][value - 1] for value in values if value <= len(objects[layer]) and objects[layer][value - 1] is not None]
        if not boxes:
            continue
        box = tuple(slice(min(b[axis].start for b in boxes), max(b[axis].stop for b in boxes)) for axis in range(3))
        where = np.argwhere(select(layers[layer][box], values))
        extents[name] = [box[0].start, box[0].stop - 1]
        if len(where) > limit:
            number = int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8], "little")
            where = where[np.sort(np.random.default_rng(number).choice(len(where), limit, replace=False))]
        chosen.append((where + [part.start for part in box]).astype(np.int32))
        spans[name] = [total, total := total + len(where)]
    return np.concatenate(chosen), spans, extents
