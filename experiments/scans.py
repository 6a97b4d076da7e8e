"""Which scans to predict and where everything of them goes; nothing of the user's is overwritten."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from clnet.data.dicom.series import Series, chosen, find_series
from clnet.data.dicom.volume import content_hash, read_series, write_volume
from clnet.data.writer import note_of
from clnet.errors import DataError, UsageError

log = logging.getLogger(__name__)

ENDINGS = (".nii.gz", ".nii")
NOTE = "clnet-bench labels"  # begins the description in the header of every label map written here
_HOW = "task=predict run=RUN_FOLDER input=FILE_OR_FOLDER output=FOLDER"


@dataclass(frozen=True)
class Scan:
    """One scan, its name, and its label map.

    image: its NIfTI file; of a DICOM series its folder, until `readable` makes a file of it. name: of the file without the ending, or
    after the folders in which a series lies; nothing out of a DICOM header but the series' number.
    """

    name: str
    image: Path
    labels: Path
    series: Series | None = None

    @property
    def masks(self) -> Path:
        """Folder of its masks, one per structure, and of its label maps, one per exclusive set."""
        return self.labels.with_name(f"{self.name}_masks")

    @property
    def statistics(self) -> Path:
        """What was found where, in numbers."""
        return self.labels.parent / "statistics" / f"{self.name}.json"

    @property
    def picture(self) -> Path:
        """The scan with what was found in it."""
        return self.labels.parent / "pictures" / f"{self.name}.png"

    @property
    def segmentation(self) -> Path:
        """The label map as DICOM SEG."""
        return self.labels.parent / "segmentations" / f"{self.name}.dcm"

    @property
    def content(self) -> str:
        """Hash of what lies on disk. Raises OSError where a file is gone."""
        if self.series is not None:
            return content_hash(self.series)
        with self.image.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def readable(self, folder: Path) -> Scan:
        """The same with an image that the reader takes: a series becomes a NIfTI file in `folder`, its copies of slices left out.

        Raises DataError for a series that is no sound volume.
        """
        if self.series is None:
            return self
        volume, images = read_series(self.series)
        if len(images) < len(self.series.images):
            log.warning("%s: %d copies of slices are left out", self.name, len(self.series.images) - len(images))
        write_volume(volume, folder / "scan.nii")
        return replace(self, image=folder / "scan.nii", series=replace(self.series, images=tuple(images)))


@dataclass
class Found:
    """scans: by name; skipped: what else lies there and why it is no scan, in words; refused: file -> why it cannot be read."""

    scans: list[Scan] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    refused: dict[str, DataError] = field(default_factory=dict)


def find_scans(source: str | Path | None, output: str | Path | None, wanted: object = None) -> Found:
    """The scans of `source`; the label map of each goes to `output`/NAME.nii.gz.

    source: a NIfTI file; or a folder: all NIfTI files in it (not below it), and all CT series in it and below it. wanted: only series of
    these numbers or UIDs, None: all of them.
    Raises UsageError where either is missing, where there is nothing to predict, where a wanted series is not there, where two scans
    share a name, or where the output would lie among the scans; DataError where there are scans, but none by CT.
    """
    source, output = _places(source, output)
    folder = source if source.is_dir() else source.parent
    files = [source] if source.is_file() else [path for path in _below(folder) if not path.is_relative_to(output)]
    images = sorted(path for path in files if path.parent == folder and path.name.endswith(ENDINGS))
    found, dicom = Found(), find_series(path for path in files if path.is_file() and not path.name.endswith(ENDINGS))
    if source.is_file() and dicom.skipped:
        raise UsageError("one image of a DICOM series is no scan", where=source, fix=f"input={source.parent}")
    series = dicom.series if wanted is None else chosen([*dicom.series, *dicom.other], _listed(wanted))
    if wanted is not None and not series:
        raise UsageError("no series of this number or UID", where=source, found=f"predict.series={wanted}", fix="predict.series=NUMBER",
                         expected="; ".join(one.place for one in dicom.series) or "no CT series lies there")  # fmt: skip
    foreign = [one for one in series if one in dicom.other]
    if foreign or dicom.other and not (series or images):
        other = (foreign or dicom.other)[0]
        raise DataError("not a CT", where=other.place, found=f"modality {other.images[0].modality}", expected="modality CT",
                        fix="choose the CT series of the study")  # fmt: skip
    found.refused = {str(error.where.relative_to(folder)): error for error in dicom.broken}
    found.skipped = dicom.skipped
    if not (images or series or found.refused):
        raise UsageError("no NIfTI file or CT series to predict", where=source, expected=f"{' or '.join(ENDINGS)}, or DICOM files",
                         found="; ".join(dicom.skipped) or f"{len(files)} other file(s)",
                         fix="input=FOLDER names the folder that holds the NIfTI files itself, or that holds DICOM series in or below it")
    named = [(_name(path), path, None) for path in images]
    names = zip(_series_names(dicom.series, folder), dicom.series, strict=True)  # of all, so that a choice changes no name
    named += [(name, one.folder, one) for name, one in names if one in series]
    found.scans = [Scan(name, image, output / f"{name}.nii.gz", one) for name, image, one in named]
    twice = sorted(name for name, number in Counter(name for name, _, _ in named).items() if number > 1)
    if twice:
        raise UsageError("scans of the same name", where=source, found=", ".join(twice), expected="one scan a name",
                         fix="remove or rename one of the files or folders")
    return found


def refuse_foreign(scans: Sequence[Scan]) -> None:
    """Raise UsageError if files that this program did not write stand where label maps would go."""
    notes = {scan.labels: note_of(scan.labels) for scan in scans if scan.labels.exists()}
    foreign = [path for path, note in notes.items() if note is not None and not note.startswith(NOTE)]  # None: damaged, so made anew
    if foreign:
        raise UsageError("the output folder holds other files of these names", where=foreign[0].parent,
                         found=", ".join(path.name for path in foreign), fix="output=ANOTHER_FOLDER, or move these files away")


def _places(source: str | Path | None, output: str | Path | None) -> tuple[Path, Path]:
    """Both as absolute paths that can be what they are meant to be."""
    unset = [key for key, value in (("input", source), ("output", output)) if not value]
    if unset:
        raise UsageError(f"not set: {', '.join(unset)}", fix=_HOW)
    source, output = Path(source).expanduser().absolute(), Path(output).expanduser().absolute()
    if not source.exists():
        parent = next(folder for folder in source.parents if folder.exists())
        raise UsageError("input does not exist", where=source, found=f"nearest existing folder: {parent}", fix=_HOW)
    if output.exists() and not output.is_dir():
        raise UsageError("output is not a folder", where=output, fix=_HOW)
    if output.resolve() == (source if source.is_dir() else source.parent).resolve():
        raise UsageError("output is the folder of the scans themselves", where=output, fix="output=ANOTHER_FOLDER")
    return source, output


def _below(folder: Path) -> Iterator[Path]:
    """All files in a folder and below it, but hidden ones; links to folders are not followed."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place) / name for name in sorted(names) if not name.startswith("."))


def _listed(wanted: object) -> Sequence[object]:
    return wanted if isinstance(wanted, (list, tuple)) else [wanted]


def _series_names(series: Sequence[Series], root: Path) -> list[str]:
    """The folders from `root` to a series, joined; `root`'s own name in it itself. Where a folder holds several, their titles follow."""
    shared = Counter(one.folder for one in series)
    names = ["_".join(one.folder.relative_to(root).parts) or root.name for one in series]
    names = [f"{name}_{one.title}" if shared[one.folder] > 1 else name for name, one in zip(names, series, strict=True)]
    before: Counter[str] = Counter()
    for place, name in enumerate(names):
        before[name] += 1
        if before[name] > 1 and shared[series[place].folder] > 1:  # the same number again, of another study or of a copy with other UIDs
            names[place] = f"{name}_{before[name]}"
    return names


def _name(path: Path) -> str:
    return next(path.name.removesuffix(ending) for ending in ENDINGS if path.name.endswith(ending))
