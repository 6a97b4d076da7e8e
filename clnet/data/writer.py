"""Label maps as NIfTI files on the very grid of a scan's own file: the way back from the reader's LPS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from clnet.atomic import replace_atomically
from clnet.data.integrity import file_faults
from clnet.errors import DataError, HostError
from clnet.types import Geometry

_TOLERANCE = 1e-4  # mm, and cosines: NIfTI keeps 32-bit floats


def write_labels(path: Path, labels: np.ndarray, geometry: Geometry, like: Path, note: str = "") -> None:
    """Write an LPS label map, (z, y, x) uint8 or uint16, as a .nii.gz with size, spacing, origin and direction of the file `like`.

    geometry: of the scan `like`, as the reader returned it. note: up to 79 ASCII characters for the header's description.
    What was written is read back before it takes its place. Raises DataError when `like` no longer has that geometry, HostError when
    the file cannot be written or is not what was meant.
    """
    header = _header(like)
    image = sitk.GetImageFromArray(labels)
    image.SetSpacing(geometry.spacing_mm[::-1])
    image.SetOrigin(geometry.origin_mm_xyz)
    image.SetDirection(geometry.direction_xyz)
    image = sitk.DICOMOrient(image, geometry.file_orientation)
    if not _same_grid(image, header):
        raise DataError("the scan's grid has changed since it was read", where=like, found=_grid(header), expected=_grid(image),
                        fix="leave the file alone until its label map is there, and run the same command again")
    image.SetSpacing(header.GetSpacing())
    image.SetOrigin(header.GetOrigin())
    image.SetDirection(header.GetDirection())
    image.SetMetaData("ITK_FileNotes", note)

    def verify(temporary: Path) -> None:
        faults = file_faults(temporary)
        read = None if faults else sitk.ReadImage(str(temporary))
        if read is None or not _same_grid(read, header) or not np.array_equal(sitk.GetArrayViewFromImage(read),
                                                                              sitk.GetArrayViewFromImage(image)):
            raise HostError("what was written is not what was computed", where=path, found=faults[0] if faults else None,
                            fix="check the disk, then run the same command again")

    with replace_atomically(path, verify, labels.nbytes) as temporary:
        try:
            sitk.WriteImage(image, str(temporary))
        except RuntimeError as error:
            raise HostError("SimpleITK cannot write the file", where=path, found=str(error).strip().splitlines()[-1],
                            fix="check the disk, then run the same command again") from error


def note_of(path: Path) -> str | None:
    """The description in the header of a NIfTI file, "" if it has none; None for what is no readable image."""
    try:
        header = _header(path)
    except DataError:
        return None
    return header.GetMetaData("ITK_FileNotes") if header.HasMetaDataKey("ITK_FileNotes") else ""


def _header(path: Path) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise DataError("SimpleITK cannot read the header", where=path, fix="fetch or convert the file again") from error
    return reader


def _grid(image: sitk.Image | sitk.ImageFileReader) -> str:
    return f"size {image.GetSize()}, spacing {image.GetSpacing()}, origin {image.GetOrigin()}, direction {image.GetDirection()}"


def _same_grid(ours: sitk.Image, theirs: sitk.Image | sitk.ImageFileReader) -> bool:
    pairs = [(ours.GetSpacing(), theirs.GetSpacing()), (ours.GetOrigin(), theirs.GetOrigin()), (ours.GetDirection(), theirs.GetDirection())]
    return tuple(ours.GetSize()) == tuple(theirs.GetSize()) and all(np.allclose(a, b, rtol=0, atol=_TOLERANCE) for a, b in pairs)
