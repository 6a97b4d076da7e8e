"""The header of a NIfTI file, read by hand: the few fields whose faults SimpleITK hides."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np

_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
_UNIT_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # unknown, metre, millimetre, micrometre


@dataclass(frozen=True)
class Header:
    """Fields as the file states them; spacing in mm after its unit, axes (x, y, z) in file order."""

    dimensions: int
    shape_xyz: tuple[int, int, int]
    volumes: int
    datatype: int
    dtype: np.dtype | None  # None: not single real numbers
    spacing_mm_xyz: tuple[float, float, float]
    offset: int
    slope: float
    intercept: float
    qform_code: int
    sform_code: int
    srow: tuple[float, ...]  # the 12 numbers of the sform

    @property
    def affine_code(self) -> int:
        return self.sform_code or self.qform_code

    @property
    def voxels(self) -> int:
        return math.prod(self.shape_xyz) * self.volumes

    @property
    def slice_bytes(self) -> int:
        return self.shape_xyz[0] * self.shape_xyz[1] * self.dtype.itemsize

    @property
    def total_bytes(self) -> int:
        return self.offset + self.voxels * self.dtype.itemsize

    @property
    def shear_degrees(self) -> float:
        """Largest deviation of two axes of the sform from 90 degrees; 0 for a qform, which cannot shear; NaN for a degenerate one."""
        if not self.sform_code:
            return 0.0
        columns = np.array(self.srow, float).reshape(3, 4)[:, :3]
        length = np.linalg.norm(columns, axis=0)
        if not np.all(np.isfinite(length)) or not np.all(length > 0):
            return math.nan
        cosines = (columns / length).T @ (columns / length)
        return float(np.degrees(np.arcsin(np.clip(np.abs(cosines[np.triu_indices(3, 1)]), 0, 1)).max()))


def parse_header(data: bytes) -> Header | None:
    """The header at the beginning of an unpacked single-file NIfTI-1 or -2; None if it is neither."""
    for end in "<>":
        if len(data) >= 348 and struct.unpack_from(end + "i", data)[0] == 348 and data[344:347] == b"n+1":
            return _header(
                data,
                end,
                dim="8h@40",
                kind=70,
                pixdim="8f@76",
                offset="f@108",
                scale="2f@112",
                unit="B@123",
                codes="2h@252",
                srow="12f@280",
            )
        if len(data) >= 540 and struct.unpack_from(end + "i", data)[0] == 540 and data[4:7] == b"n+2":
            return _header(
                data,
                end,
                dim="8q@16",
                kind=12,
                pixdim="8d@104",
                offset="q@168",
                scale="2d@176",
                unit="i@500",
                codes="2i@344",
                srow="12d@400",
            )
    return None


def _header(
    data: bytes, end: str, *, dim: str, kind: int, pixdim: str, offset: str, scale: str, unit: str, codes: str, srow: str
) -> Header:
    def field(layout: str) -> tuple:
        form, place = layout.split("@")
        return struct.unpack_from(end + form, data, int(place))

    sizes, datatype = field(dim), field(f"h@{kind}")[0]
    used = sizes[0] if 1 <= sizes[0] <= 7 else 0
    shape = tuple(int(sizes[axis]) if axis <= used else 1 for axis in (1, 2, 3))
    factor = _UNIT_MM.get(field(unit)[0] & 7, 1.0)
    dtype = np.dtype(end + _TYPES[datatype]) if datatype in _TYPES else None
    return Header(
        dimensions=int(used),
        shape_xyz=shape,
        volumes=math.prod(int(n) for n in sizes[4 : used + 1]),
        datatype=datatype,
        dtype=dtype,
        spacing_mm_xyz=tuple(round(float(mm) * factor, 6) for mm in field(pixdim)[1:4]),
        offset=max(348, int(field(offset)[0])),
        slope=field(scale)[0],
        intercept=field(scale)[1],
        qform_code=field(codes)[0],
        sform_code=field(codes)[1],
        srow=field(srow),
    )
