"""What the header of one DICOM file says of an image's place in its series. Nothing that names a patient is read."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError
from pydicom.uid import UID, MediaStorageDirectoryStorage

from clnet.errors import DataError

AGAIN = "export the series from its archive again"
_TAGS = ["SeriesInstanceUID", "SOPInstanceUID", "SeriesNumber", "Modality", "ImageType", "NumberOfFrames", "Rows", "Columns",
         "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept", "SamplesPerPixel",
         "PhotometricInterpretation", "BitsAllocated"]  # fmt: skip


@dataclass(frozen=True)
class SliceHeader:
    """One file's header; what it lacks, or holds in a form that is no number, is None.

    position_mm: centre of the first voxel (x, y, z); orientation: cosines of a row's and of a column's direction; spacing_mm: between
    rows, between columns; syntax: the transfer syntax.
    """

    path: Path
    series: str
    instance: str | None
    number: int | None
    modality: str
    localizer: bool
    frames: int
    rows: int | None
    columns: int | None
    bits: int | None
    samples: int | None
    photometric: str | None
    position_mm: tuple[float, float, float] | None
    orientation: tuple[float, ...] | None
    spacing_mm: tuple[float, float] | None
    slope: float | None
    intercept: float | None
    syntax: UID

    @property
    def is_image(self) -> bool:
        """Whether there are pixels at all: reports, plans and structure sets have none."""
        return self.rows is not None or self.frames > 1


@contextmanager
def quiet() -> Iterator[None]:
    """Let pydicom read what it can without a word: its warnings repeat values of the header, which may name the patient."""
    log, mode = logging.getLogger("pydicom"), pydicom.config.settings.reading_validation_mode
    disabled, log.disabled = log.disabled, True
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.disabled, pydicom.config.settings.reading_validation_mode = disabled, mode


def is_dicom(path: Path) -> bool:
    """Whether the file has DICOM's mark after its preamble."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def read_header(path: Path) -> SliceHeader | None:
    """The header of a DICOM file; None for a DICOMDIR. Raises DataError for a header that breaks off or cannot be read."""
    try:
        with quiet():
            held = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=_TAGS)
            syntax, kind = held.file_meta.get("TransferSyntaxUID"), held.file_meta.get("MediaStorageSOPClassUID")
            values = {tag: held.get(tag) for tag in _TAGS}
    except (InvalidDicomError, OSError, EOFError, ValueError, TypeError, AttributeError, NotImplementedError, KeyError) as error:
        raise DataError("the DICOM header cannot be read", where=path, found=type(error).__name__, fix=AGAIN) from None
    if kind == MediaStorageDirectoryStorage:
        return None
    if not values["SeriesInstanceUID"] or not syntax:
        raise DataError("the DICOM header breaks off: the file is truncated", where=path, found=f"{path.stat().st_size} bytes",
                        expected="a SeriesInstanceUID and a transfer syntax", fix=AGAIN)  # fmt: skip
    return SliceHeader(
        path, str(values["SeriesInstanceUID"]), values["SOPInstanceUID"] and str(values["SOPInstanceUID"]), _whole(values["SeriesNumber"]),
        str(values["Modality"] or "unknown"), "LOCALIZER" in _texts(values["ImageType"]), _whole(values["NumberOfFrames"]) or 1,
        _whole(values["Rows"]), _whole(values["Columns"]), _whole(values["BitsAllocated"]), _whole(values["SamplesPerPixel"]),
        values["PhotometricInterpretation"], _numbers(values["ImagePositionPatient"], 3), _numbers(values["ImageOrientationPatient"], 6),
        _numbers(values["PixelSpacing"], 2), _number(values["RescaleSlope"]), _number(values["RescaleIntercept"]), UID(syntax),
    )  # fmt: skip


def _texts(value: object) -> list[str]:
    return [value] if isinstance(value, str) else [str(item) for item in value or ()]


def _number(value: object) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _whole(value: object) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


def _numbers(values: Sequence | None, count: int) -> tuple[float, ...] | None:
    found = tuple(_number(value) for value in values) if isinstance(values, Sequence) and not isinstance(values, str) else ()
    return found if len(found) == count and None not in found else None
