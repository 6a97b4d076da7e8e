"""From the images of a series to one volume in Hounsfield units, slices at their true positions."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk

from clnet.atomic import replace_atomically
from clnet.data.dicom.checks import SAME_PLACE_MM, common_faults, image_faults, place_faults, same_image_fault
from clnet.data.dicom.header import AGAIN, SliceHeader, quiet
from clnet.data.dicom.series import LEAST_SLICES, Series
from clnet.data.hounsfield import hounsfield_faults
from clnet.data.integrity import file_faults
from clnet.data.reader import refuse
from clnet.errors import DataError, HostError


def read_series(series: Series) -> tuple[sitk.Image, list[SliceHeader]]:
    """The volume in HU, int16 or, where values are not whole or too large, float32, and its images in the order of its slices.

    Rows and columns stay as they are; slices are in order along the normal of the image plane, so that axes are right-handed. An image
    that lies there twice is taken once. Raises DataError, of all faults that can be told at once, for what cannot be one sound volume.
    """
    place, images = series.place, series.images
    refuse(image_faults(place, images), place)
    refuse(common_faults(place, images), place)
    rows, columns = _perpendicular(np.reshape(images[0].orientation, (2, 3)))
    normal = np.cross(rows, columns)
    slices = _by_place(images, normal)
    if len(slices) < LEAST_SLICES:
        raise DataError("too few slices at different places", where=place, found=len(slices), expected=f"{LEAST_SLICES} or more", fix=AGAIN)
    order = [same[0] for same in slices]
    positions = np.array([image.position_mm for image in order])
    refuse(list(place_faults(place, positions, normal)), place)
    values = np.stack([_plane(place, same) for same in slices])
    refuse(hounsfield_faults(place, values), place)
    volume = sitk.GetImageFromArray(values)
    between = float(np.linalg.norm(positions[-1] - positions[0])) / (len(order) - 1)
    volume.SetSpacing((order[0].spacing_mm[1], order[0].spacing_mm[0], between))
    volume.SetOrigin(order[0].position_mm)
    volume.SetDirection(np.column_stack((rows, columns, normal)).ravel().tolist())
    return volume, order


def write_volume(volume: sitk.Image, path: Path) -> None:
    """As NIfTI; what was written is checked. Raises HostError for a full disk."""

    def verify(temporary: Path) -> None:
        faults = file_faults(temporary)
        if faults:
            raise HostError("what was written is not what was meant", where=path, found=faults[0].what, fix="free space, then run again")

    with replace_atomically(path, verify, volume.GetNumberOfPixels() * volume.GetSizeOfPixelComponent()) as temporary:
        try:
            sitk.WriteImage(volume, str(temporary))
        except RuntimeError as error:
            raise HostError("SimpleITK cannot write the file", where=path, found=str(error).strip().splitlines()[-1],
                            fix="check the disk, then run the same command again") from error  # fmt: skip


def content_hash(series: Series) -> str:
    """Of the bytes of all files, whatever their names and order."""
    digests = []
    for image in series.images:
        with image.path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    return hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()


def _perpendicular(axes: np.ndarray) -> np.ndarray:
    """The nearest perpendicular unit vectors to two (2, 3): headers hold few digits."""
    left, _, right = np.linalg.svd(axes, full_matrices=False)
    nearest = left @ right
    return np.where(np.abs(nearest - np.rint(nearest)) < 1e-12, np.rint(nearest) + 0.0, nearest)


def _by_place(images: Sequence[SliceHeader], normal: np.ndarray) -> list[list[SliceHeader]]:
    """Slices in order along the normal; those at the same place together, in the order of their names."""
    slices: list[list[SliceHeader]] = []
    for image in sorted(images, key=lambda image: (float(np.dot(image.position_mm, normal)), image.path)):
        if slices and np.dot(np.subtract(image.position_mm, slices[-1][0].position_mm), normal) <= SAME_PLACE_MM:
            slices[-1].append(image)
        else:
            slices.append([image])
    return [sorted(same, key=lambda image: image.path) for same in slices]


def _plane(place: str, same: Sequence[SliceHeader]) -> np.ndarray:
    """(row, column) HU of the images at one place, which must be equal."""
    first = _hounsfield(same[0])
    for other in same[1:]:
        if not np.array_equal(first, _hounsfield(other)):
            raise same_image_fault(place, same[0].path, other.path, same[0].position_mm[2])
    return first


def _hounsfield(image: SliceHeader) -> np.ndarray:
    """(row, column) int16, or float32 where that does not hold the values. Raises DataError for a file that is not whole."""
    with quiet():
        try:
            held = pydicom.dcmread(image.path)
            data = held.get("PixelData") or b""
        except (OSError, EOFError, ValueError) as error:
            raise DataError("the file cannot be read", where=image.path, found=type(error).__name__, fix=AGAIN) from None
        expected = image.rows * image.columns * (image.bits or 16) // 8
        if not data or not image.syntax.is_encapsulated and len(data) < expected:
            raise DataError("the file is truncated", where=image.path, found=f"{len(data)} bytes of pixels",
                            expected=f"{expected} bytes" if not image.syntax.is_encapsulated else "whole pixel data", fix=AGAIN)
        try:
            values = _decoded(image.path) if image.syntax.is_encapsulated else held.pixel_array * image.slope + image.intercept
        except (RuntimeError, ValueError, AttributeError, NotImplementedError) as error:
            reason = next(iter(reversed(str(error).strip().splitlines())), "")
            raise DataError("the pixels cannot be decoded", where=image.path, found=reason, fix=AGAIN) from None
    if values.shape != (image.rows, image.columns):
        raise DataError("the pixels are not those of the header", where=image.path, found=values.shape, fix=AGAIN,
                        expected=(image.rows, image.columns))  # fmt: skip
    limits = np.iinfo(np.int16)
    whole = np.array_equal(values, np.rint(values)) and limits.min <= values.min() and values.max() <= limits.max
    return values.astype(np.int16 if whole else np.float32)


def _decoded(path: Path) -> np.ndarray:
    """(row, column) HU of a compressed image; GDCM applies the rescale values itself."""
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path), imageIO="GDCMImageIO"))[0]
