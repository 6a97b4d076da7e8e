"""The same scan in two places, recognised by its voxels whatever its file name, header or spacing."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping

import numpy as np

_WINDOW = 16  # voxels along x that are hashed together
_ANCHORS = 64  # one voxel pair in so many begins a window, chosen by its values
_LIVELY = 8  # different values that a window needs: flat air says nothing about whose it is
_KEPT = 512  # smallest hashes kept a scan
_SHARED = 5  # windows in common that two unrelated scans never have


def voxel_hash(image_hu: np.ndarray) -> str:
    """Hash of a scan's HU values and array shape (z, y, x) in LPS; spacing, origin and storage type don't enter."""
    whole = _whole(image_hu)
    digest = hashlib.sha256(str(whole.shape).encode())
    digest.update(np.ascontiguousarray(whole).data)
    return digest.hexdigest()[:32]


def sketch(image_hu: np.ndarray) -> frozenset[int]:
    """Hashes of a few short rows of voxels of a scan (z, y, x), chosen by their content, so that a crop of the scan keeps its share.

    Min-wise sampling: a crop of a fraction f of the scan has about f * 512 hashes in common with it. Resampled copies have none.
    """
    weights = np.random.default_rng(0).integers(1, 2**63, _WINDOW, dtype=np.uint64) | np.uint64(1)
    smallest = np.zeros(0, np.uint64)
    if image_hu.shape[2] < _WINDOW:
        return frozenset()
    for plane in _whole(image_hu):
        values = plane.astype(np.uint32)
        pairs = (values[:, :-1] * np.uint32(2654435761) + values[:, 1:]) * np.uint32(2246822519)
        rows, starts = np.nonzero((pairs[:, : plane.shape[1] - _WINDOW + 1] >> np.uint32(16)) % _ANCHORS == 0)
        windows = plane[rows[:, None], starts[:, None] + np.arange(_WINDOW)]
        ordered = np.sort(windows, axis=1)
        windows = windows[(ordered[:, 1:] != ordered[:, :-1]).sum(axis=1) >= _LIVELY - 1]
        hashes = (windows.astype(np.uint64) * weights).sum(axis=1, dtype=np.uint64)
        hashes = (hashes ^ (hashes >> np.uint64(31))) * np.uint64(0x9E3779B97F4A7C15)
        smallest = np.unique(np.concatenate([smallest, hashes]))[:_KEPT]
    return frozenset(smallest.tolist())


def overlapping(sketches: Mapping[Hashable, frozenset[int]]) -> list[tuple[Hashable, Hashable, int]]:
    """Pairs of scans that have voxels in common, each with the number of shared hashes, in the order of `sketches`."""
    owners = defaultdict(list)
    for name, hashes in sketches.items():
        for value in hashes:
            owners[value].append(name)
    shared = Counter((first, second) for names in owners.values() for i, first in enumerate(names) for second in names[i + 1 :])
    place = {name: index for index, name in enumerate(sketches)}
    pairs = [(first, second, count) for (first, second), count in shared.items() if count >= _SHARED]
    return sorted(pairs, key=lambda pair: (place[pair[0]], place[pair[1]]))


def _whole(image_hu: np.ndarray) -> np.ndarray:
    return image_hu if image_hu.dtype == np.int16 else np.clip(np.rint(image_hu), -32768, 32767).astype(np.int16)
