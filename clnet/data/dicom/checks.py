"""Whether the images of a series can be one volume: each image by itself, then all of them together, then their places.

SimpleITK's series reader takes gaps for a larger spacing, a doubled slice for a smaller one, ignores gantry tilt, and reads images
without rescale values as if they had some. SliceThickness says nothing of the distance between slices and is not looked at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from pydicom import uid

from clnet.data.dicom.header import AGAIN, SliceHeader
from clnet.data.integrity import PLAUSIBLE_SPACING_MM
from clnet.errors import DataError

DECODED = frozenset([uid.RLELossless, uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1,
                     uid.JPEGLSLossless, uid.JPEGLSNearLossless, uid.JPEG2000Lossless, uid.JPEG2000])  # by SimpleITK's GDCM
ALIKE = 1e-4  # cosines, mm of pixel spacing
SAME_PLACE_MM = 0.01  # slices that are no further apart are one
PLACE_MM, TILT_DEGREES = 0.1, 0.05  # how far a slice may be off its place; the reader's limit for sheared grids
_GAP = 1.5  # times the usual distance
_MANY = 0.1  # share of distances from which slices are not missing here and there, but unevenly spaced


def image_faults(place: str, images: Sequence[SliceHeader]) -> list[DataError]:
    """Faults that single images have, each told once with the number of images and the first of them."""
    total = len(images)

    def told(what: str, wrong: Callable[[SliceHeader], bool], found: Callable[[SliceHeader], object], expected: str, fix: str) -> None:
        bad = [image for image in images if wrong(image)]
        if bad:
            text = f"{len(bad)} of {total} image(s), the first {bad[0].path.name}: {found(bad[0])}"
            faults.append(DataError(what, where=place, found=text, expected=expected, fix=fix))

    faults: list[DataError] = []
    told("several frames in one file (enhanced CT)", lambda i: i.frames > 1, lambda i: f"{i.frames} frames", "one slice a file",
         "export classic CT images, or convert the file to NIfTI")
    if faults:
        return faults
    told("the header breaks off: the file is truncated", lambda i: i.rows is None or i.columns is None,
         lambda i: f"{i.path.stat().st_size} bytes, no image size", "rows and columns", AGAIN)
    if faults:
        return faults
    told("not a grey CT image", lambda i: i.samples not in (None, 1) or i.photometric != "MONOCHROME2",
         lambda i: f"{i.samples} sample(s) a pixel, {i.photometric}", "1 sample, MONOCHROME2",
         "choose the series of the scan itself, no colour overlay or screenshot: predict.series=NUMBER")
    told("no position in space", lambda i: i.position_mm is None or i.orientation is None,
         lambda i: "ImagePositionPatient or ImageOrientationPatient is missing", "both in each image",
         "export the original series; secondary captures have no place in the patient")
    told("no pixel spacing", lambda i: i.spacing_mm is None, lambda i: "PixelSpacing is missing", "mm between rows and between columns",
         AGAIN)
    told("no rescale slope or intercept", lambda i: i.slope is None or i.intercept is None,
         lambda i: f"slope {_said(i.slope)}, intercept {_said(i.intercept)}", "both in each image: without them values are no HU",
         "export the original series, or write the scanner's values into RescaleSlope and RescaleIntercept")
    told("the rescale slope makes every voxel the same", lambda i: i.slope == 0, lambda i: "slope 0", "a slope that is not 0", AGAIN)
    told("compressed in a way that cannot be decoded", lambda i: i.syntax.is_encapsulated and i.syntax not in DECODED,
         lambda i: i.syntax.name, "uncompressed, RLE, JPEG, JPEG-LS or JPEG 2000",
         "export the series uncompressed (Explicit VR Little Endian), or convert it with gdcmconv --raw")
    return faults


def common_faults(place: str, images: Sequence[SliceHeader]) -> list[DataError]:
    """What all images of a volume must share and these do not: size, orientation, pixel spacing; and whether that can be a grid."""
    faults = []
    for what, of, tolerance in (("size (rows, columns)", lambda image: (image.rows, image.columns), 0),
                                ("orientation", lambda image: _rounded(image.orientation), ALIKE),
                                ("pixel spacing in mm", lambda image: _rounded(image.spacing_mm), ALIKE)):  # fmt: skip
        counts = Counter(map(of, images)).most_common()
        if np.ptp(np.array([value for value, _ in counts]), axis=0).max() > tolerance:
            faults.append(DataError(f"the images of the series differ in their {what}", where=place, expected="the same in all of them",
                                    found="; ".join(f"{number} image(s) {value}" for value, number in counts[:4]),
                                    fix="move the images that do not belong to the scan out of the folder, or export one reconstruction"))
    low, high = PLAUSIBLE_SPACING_MM
    if not all(low <= mm <= high for mm in images[0].spacing_mm):
        faults.append(DataError("implausible pixel spacing", where=place, found=f"{images[0].spacing_mm} mm", fix=AGAIN,
                                expected=f"{low:g}-{high:g} mm"))  # fmt: skip
    rows, columns = np.reshape(images[0].orientation, (2, 3))
    if not np.allclose([rows @ rows, columns @ columns, rows @ columns], [1, 1, 0], atol=1e-3):
        faults.append(DataError("rows and columns are not perpendicular unit vectors", where=place, found=images[0].orientation, fix=AGAIN,
                                expected="ImageOrientationPatient of two such vectors"))  # fmt: skip
    return faults


def place_faults(place: str, positions_mm: np.ndarray, normal: np.ndarray) -> Iterator[DataError]:
    """positions_mm: (slice, 3) x, y, z of different slices, in order along `normal`, at least two."""
    along = positions_mm @ normal
    steps = np.diff(along)
    usual = float(np.median(steps))
    wide = np.flatnonzero(steps > _GAP * usual)
    even = np.linspace(along[0], along[-1], len(along))
    low, high = PLAUSIBLE_SPACING_MM
    if len(wide) and len(wide) <= max(1, _MANY * len(steps)):
        at = wide[0]
        number = int(np.rint(steps[wide] / usual - 1).sum())
        yield DataError(f"{number} slice(s) are missing", where=place, expected=f"{usual:g} mm from slice to slice",
                        found=f"{len(wide)} gap(s), the first of {steps[at]:g} mm between z = {positions_mm[at, 2]:g} and "
                              f"{positions_mm[at + 1, 2]:g} mm", fix="fetch the missing images: " + AGAIN)  # fmt: skip
    elif np.abs(along - even).max() > PLACE_MM:
        common = Counter(np.round(steps, 2).tolist()).most_common(4)
        yield DataError("the slices are unevenly spaced", where=place, expected=f"one distance, to {PLACE_MM:g} mm",
                        found="; ".join(f"{mm:g} mm {number} time(s)" for mm, number in common),
                        fix="export a reconstruction with even spacing, or resample the scan")
    elif not low <= usual <= high:
        yield DataError("implausible distance between slices", where=place, found=f"{usual:g} mm", fix=AGAIN,
                        expected=f"{low:g}-{high:g} mm")
    sideways = positions_mm - positions_mm[0] - np.outer(along - along[0], normal)
    straight = np.outer((along - along[0]) / (along[-1] - along[0]), sideways[-1])
    tilt = float(np.degrees(np.arctan2(np.linalg.norm(sideways[-1]), along[-1] - along[0])))
    if np.linalg.norm(sideways - straight, axis=1).max() > PLACE_MM:
        yield DataError("slices are shifted against each other", where=place, expected=f"less than {PLACE_MM:g} mm off one line",
                        found=f"up to {np.linalg.norm(sideways, axis=1).max():.2f} mm sideways",
                        fix="export one acquisition; a table that moved sideways needs registration")
    elif tilt >= TILT_DEGREES and np.linalg.norm(sideways[-1]) > PLACE_MM:
        yield DataError("gantry tilt: the slices are not perpendicular to the line through them", where=place,
                        found=f"{tilt:.2f} degrees", expected=f"less than {TILT_DEGREES:g} degrees",
                        fix="resample the scan on a perpendicular grid, for example with 3D Slicer's acquisition geometry regularization")


def same_image_fault(place: str, first: Path, second: Path, z_mm: float) -> DataError:
    """Two images of one place that show different things."""
    return DataError("two different images at one place", where=place, found=f"{first.name} and {second.name} at z = {z_mm:g} mm",
                     expected="one image a slice",
                     fix="the series holds several phases or reconstructions: export them as series of their own")  # fmt: skip


def _rounded(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(round(value, 6) + 0.0 for value in values)


def _said(value: float | None) -> object:
    return "missing" if value is None else f"{value:g}"
