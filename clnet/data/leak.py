"""The same scan in two places, recognised by its voxels whatever its file name, header or spacing."""

from __future__ import annotations

import hashlib

import numpy as np


def voxel_hash(image_hu: np.ndarray) -> str:
    """Hash of a scan's HU values and array shape (z, y, x) in LPS; spacing, origin and storage type don't enter."""
    whole = image_hu if image_hu.dtype == np.int16 else np.clip(np.rint(image_hu), -32768, 32767).astype(np.int16)
    digest = hashlib.sha256(str(whole.shape).encode())
    digest.update(np.ascontiguousarray(whole).data)
    return digest.hexdigest()[:32]
