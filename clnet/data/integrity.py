"""What a file's raw bytes say before SimpleITK reads them.

SimpleITK returns truncated and bit-flipped NIfTI files without an error (missing slices become 0), turns NaN and infinity in float NIfTI
into 0, a pixel size of 0 into 1 mm, and takes the first volumes of a series. So the stream is read to its end (which checks gzip's CRC
and length), counted against the header, and the header itself is looked at.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from clnet.data.nifti import Header, parse_header
from clnet.data.stream import FiniteScan, Pieces
from clnet.errors import DataError

PLAUSIBLE_SPACING_MM = (0.1, 20.0)
_FETCH = "fetch the file again from its source, or remove the case"


def file_faults(path: Path) -> list[DataError]:
    """Everything wrong with one image or label file that its bytes reveal; empty for a sound one.

    NIfTI (.nii, .nii.gz) is checked throughout; of other formats only that there is something to read.
    """
    path = Path(path)
    if not path.is_file():
        return [DataError("no such file", where=path, fix="check the dataset's root and file pattern")]
    if not path.stat().st_size:
        return [DataError("the file is empty", where=path, found="0 bytes", fix=_FETCH)]
    if not path.name.endswith((".nii", ".nii.gz")):
        return []
    with path.open("rb") as file:
        begin = file.read(64)
        file.seek(0)
        if path.name.endswith(".gz") != begin.startswith(b"\x1f\x8b"):
            text = begin.lstrip()[:1] in b"<{" or begin.lower().lstrip().startswith((b"version https", b"error"))
            return [
                DataError(
                    "not a NIfTI file" + (", but a text or web page: the download failed" if text else ""),
                    where=path,
                    found=f"begins with {begin[:24]!r}",
                    expected="gzip data" if path.suffix == ".gz" else "a NIfTI header",
                    fix=_FETCH,
                )
            ]
        return _stream_faults(path, gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file)


def _stream_faults(path: Path, stream: BinaryIO) -> list[DataError]:
    pieces = Pieces(stream)
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= 544:
            break
    header = parse_header(head)
    if header is None:
        damage = pieces.damage or f"begins with {head[:24]!r}"
        return [
            DataError("no NIfTI header in the file", where=path, found=damage, expected="NIfTI-1 or NIfTI-2 in a single file", fix=_FETCH)
        ]
    faults = list(_header_faults(path, header))
    if header.dtype is None:
        return faults
    scan = FiniteScan(header) if header.dtype.kind == "f" else None
    if scan:
        scan.feed(head)
    for piece in pieces:
        if scan:
            scan.feed(piece)
    found, expected = pieces.count, header.total_bytes
    if pieces.damage and found < expected:
        faults.append(
            DataError(
                f"the file is truncated or damaged: {pieces.damage}",
                where=path,
                found=f"{found} of {expected} bytes (unpacked)",
                fix=_FETCH,
            )
        )
    elif pieces.damage:
        faults.append(
            DataError(
                f"the file is damaged: {pieces.damage}",
                where=path,
                found=f"all {found} bytes unpacked, but they are not those packed",
                fix=_FETCH,
            )
        )
    elif found < expected:
        faults.append(DataError("the file is truncated", where=path, found=f"{found} of {expected} bytes", fix=_FETCH))
    elif found >= expected + max(header.slice_bytes, 16):
        faults.append(
            DataError(
                "the file holds more than its header says",
                where=path,
                found=f"{found} bytes",
                expected=f"{expected} bytes",
                fix="the header is damaged or another volume was appended: " + _FETCH,
            )
        )
    if scan and scan.count:
        faults.append(
            DataError(
                "voxels that are not finite numbers",
                where=path,
                found=f"{scan.count} voxel(s), the first at (x, y, z) = {scan.first}",
                expected="no NaN, no infinity",
                fix="correct the conversion that made the file; outside the scan use -1024",
            )
        )
    return faults


def _header_faults(path: Path, header: Header) -> Iterator[DataError]:
    if header.dtype is None:
        yield DataError(
            "voxels are not single real numbers",
            where=path,
            found=f"NIfTI data type {header.datatype}",
            expected="int16, float32 and the like",
            fix="export HU values, not colours or complex numbers",
        )
    if any(n < 1 for n in header.shape_xyz):
        yield DataError("impossible size in the header", where=path, found=header.shape_xyz, fix=_FETCH)
    if header.dimensions < 3:
        yield DataError(
            "a 2D image",
            where=path,
            found=f"{header.dimensions} dimensions",
            expected="a 3D volume",
            fix="convert the whole series into one volume",
        )
    if header.volumes != 1:
        yield DataError(
            "several volumes in one file",
            where=path,
            found=f"{header.volumes} volumes of {header.shape_xyz}",
            expected="one 3D volume",
            fix="write the wanted volume (phase, time point) into a file of its own",
        )
    low, high = PLAUSIBLE_SPACING_MM
    if not all(math.isfinite(mm) and low <= mm <= high for mm in header.spacing_mm_xyz):
        yield DataError(
            "implausible voxel spacing",
            where=path,
            found=f"(x, y, z) = {header.spacing_mm_xyz} mm",
            expected=f"{low:g}-{high:g} mm",
            fix="write the true spacing into the header (pixdim)",
        )
    if not header.affine_code:
        yield DataError(
            "no orientation in the header",
            where=path,
            found="qform_code and sform_code are 0",
            expected="at least one of them",
            fix="write the patient orientation into the header, for example by converting the DICOM series again",
        )
    elif not header.shear_degrees < 0.05:
        yield DataError(
            "sheared voxel grid",
            where=path,
            found=f"axes are {header.shear_degrees:.3f} degrees off being perpendicular",
            expected="less than 0.05 degrees",
            fix="resample the scan on a perpendicular grid (gantry tilt) or orthonormalise the header",
        )
    if math.isinf(header.slope) or not math.isfinite(header.intercept) and header.slope not in (0.0,) and not math.isnan(header.slope):
        yield DataError(
            "scaling of voxel values is not finite",
            where=path,
            found=f"slope {header.slope}, intercept {header.intercept}",
            fix="correct scl_slope and scl_inter in the header",
        )
