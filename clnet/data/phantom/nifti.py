"""Writes a NIfTI-1 file from one array: same bytes for the same content, and published by one rename.

Source: nifti1.h (NIfTI-1.1 data format, dfwg 2007); world axes are right to left, back to front, feet to head.
"""

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path

import numpy as np

_CODES = {np.dtype(np.int16): (4, 16), np.dtype(np.uint8): (2, 8)}
_QUATERNION = {"LPS": (0, 0, 1, 1), "RAS": (0, 0, 0, 1), "RPS": (1, 0, 0, -1), "LAS": (0, 1, 0, -1)}  # b, c, d, qfac


def header(shape_zyx: tuple[int, ...], dtype: np.dtype, spacing_mm: tuple, origin_lps_xyz: tuple, orientation: str) -> bytes:
    """The 352 bytes before the data, for an array stored in `orientation` (the direction in which x, y, z indices grow)."""
    code, bits = _CODES[np.dtype(dtype)]
    (nz, ny, nx), (sz, sy, sx) = shape_zyx, spacing_mm
    signs = (-1 if orientation[0] == "L" else 1, -1 if orientation[1] == "P" else 1, 1)
    origin = (-origin_lps_xyz[0], -origin_lps_xyz[1], origin_lps_xyz[2])
    b, c, d, qfac = _QUATERNION[orientation]
    rows = [[signs[k] * step if k == axis else 0.0 for k in range(3)] + [origin[axis]] for axis, step in enumerate((sx, sy, sz))]
    return (struct.pack("<i10s18sihcB", 348, b"", b"", 0, 0, b"r", 0) + struct.pack("<8h", 3, nx, ny, nz, 1, 1, 1, 1)
            + struct.pack("<3f4h", 0, 0, 0, 0, code, bits, 0) + struct.pack("<8f", qfac, sx, sy, sz, 0, 0, 0, 0)
            + struct.pack("<3fhBB4f2i", 352, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0) + struct.pack("<80s24s2h", b"clnet-bench phantom", b"", 1, 1)
            + struct.pack("<6f", b, c, d, *origin) + b"".join(struct.pack("<4f", *row) for row in rows)
            + struct.pack("<16s4s4x", b"", b"n+1"))


def write(path: Path, array_lps: np.ndarray, spacing_mm: tuple, first_voxel_lps_xyz: tuple, orientation: str = "LPS") -> None:
    """Write (z, y, x) in LPS order to `path` (.nii.gz); raises OSError as the file system does."""
    origin, array = list(first_voxel_lps_xyz), array_lps
    for axis, letter in ((0, "R"), (1, "A")):
        if orientation[axis] == letter:
            array = np.flip(array, 2 - axis)
            origin[axis] += (array.shape[2 - axis] - 1) * spacing_mm[2 - axis]
    data = header(array.shape, array.dtype, spacing_mm, tuple(origin), orientation) + np.ascontiguousarray(array).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(gzip.compress(data, compresslevel=1, mtime=0))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
