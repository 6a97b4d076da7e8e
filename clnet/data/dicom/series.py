"""Which CT series lie in a folder and below it, and what else lies there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from clnet.data.dicom.header import SliceHeader, is_dicom, read_header
from clnet.errors import DataError

LEAST_SLICES = 3  # fewer are a localizer or a single picture, no volume


@dataclass(frozen=True)
class Series:
    """The images of one series, in no order: `clnet.data.dicom.volume.read_series` makes a volume of them.

    number: SeriesNumber, which tells the series of a study apart; None where the header has none.
    """

    uid: str
    number: int | None
    images: tuple[SliceHeader, ...]

    @property
    def folder(self) -> Path:
        """The innermost folder that holds all of its files."""
        return Path(os.path.commonpath([image.path.parent for image in self.images]))

    @property
    def place(self) -> str:
        """Where it is, for a message."""
        return f"{self.folder}, series {self.uid if self.number is None else self.number}"

    @property
    def title(self) -> str:
        """`s003` after its number, `s` and the end of its UID without one."""
        return f"s{self.uid.rpartition('.')[2]}" if self.number is None else f"s{self.number:03d}"


@dataclass
class Found:
    """series: of CT images, by folder and number; skipped: what was passed over, and why, in words; other: series of images that are
    no CT; broken: files that are DICOM and cannot be read."""

    series: list[Series] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    other: list[Series] = field(default_factory=list)
    broken: list[DataError] = field(default_factory=list)


def find_series(files: Iterable[Path]) -> Found:
    """Sort files into series by their headers; files that are not DICOM are passed over.

    A file that is named as DICOM and is none counts as broken. Localizers, and series of fewer than `LEAST_SLICES` images, are skipped.
    """
    found, groups = Found(), {}
    for path in sorted(files):
        try:
            header = _header_of(path)
        except DataError as error:
            found.broken.append(error)
            continue
        if header is not None:
            groups.setdefault(header.series, []).append(header)
    for uid, headers in groups.items():
        _sort_in(found, Series(uid, headers[0].number, tuple(headers)))
    for own in (found.series, found.other):
        own.sort(key=lambda series: (series.folder, series.number is None, series.number, series.uid))
    return found


def _header_of(path: Path) -> SliceHeader | None:
    """None for what is no image and does not claim to be one. Raises DataError."""
    try:
        if is_dicom(path):
            return read_header(path)
    except OSError as error:
        raise DataError("the file cannot be read", where=path, found=error.strerror, fix="make it readable, or remove it") from None
    if path.suffix.lower() in (".dcm", ".ima"):
        raise DataError("not a DICOM file", where=path, found=f"{path.stat().st_size} bytes", expected="DICM at byte 128",
                        fix="export the series again as DICOM files (Part 10), or remove the file")
    return None


def _sort_in(found: Found, series: Series) -> None:
    """Put a series where it belongs in `found`."""
    modality = series.images[0].modality
    if modality != "CT":
        if any(image.is_image for image in series.images):
            found.other.append(series)
        found.skipped.append(f"{series.place}: {modality}, {len(series.images)} file(s)")
        return
    kept = tuple(image for image in series.images if not image.localizer)
    if len(kept) < LEAST_SLICES and all(image.frames == 1 for image in kept):
        what = "localizer" if not kept else "localizer or single picture"
        found.skipped.append(f"{series.place}: {what}, {len(series.images)} image(s)")
        return
    if len(kept) < len(series.images):
        found.skipped.append(f"{series.place}: {len(series.images) - len(kept)} localizer(s) among its images")
    found.series.append(Series(series.uid, series.number, kept))


def chosen(series: Sequence[Series], wanted: Iterable[object]) -> list[Series]:
    """Those whose number or UID is among `wanted`."""
    names = {str(name) for name in wanted}
    return [one for one in series if names & {one.uid, str(one.number)}]
