"""Which scans to predict and where their label maps go; nothing of the user's is overwritten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clnet.data.writer import note_of
from clnet.errors import UsageError

ENDINGS = (".nii.gz", ".nii")
NOTE = "clnet-bench labels"  # begins the description in the header of every label map written here
_HOW = "task=predict run=RUN_FOLDER input=FILE_OR_FOLDER output=FOLDER"


@dataclass(frozen=True)
class Scan:
    """One scan, its name without the ending, and its label map."""

    name: str
    image: Path
    labels: Path

    @property
    def masks(self) -> Path:
        """Folder of its masks, one per structure, and of its label maps, one per exclusive set."""
        return self.labels.with_name(f"{self.name}_masks")


def find_scans(source: str | Path | None, output: str | Path | None) -> list[Scan]:
    """The NIfTI file `source`, or those in the folder `source` (not below it), sorted by name; each goes to `output`/NAME.nii.gz.

    Raises UsageError where either is missing, where there is nothing to predict, where two scans share a name, or where the output
    would lie among the scans.
    """
    unset = [key for key, value in (("input", source), ("output", output)) if not value]
    if unset:
        raise UsageError(f"not set: {', '.join(unset)}", fix=_HOW)
    source, output = Path(source).expanduser().absolute(), Path(output).expanduser().absolute()
    if not source.exists():
        parent = next(folder for folder in source.parents if folder.exists())
        raise UsageError("input does not exist", where=source, found=f"nearest existing folder: {parent}", fix=_HOW)
    if output.exists() and not output.is_dir():
        raise UsageError("output is not a folder", where=output, fix=_HOW)
    folder = source if source.is_dir() else source.parent
    if output.resolve() == folder.resolve():
        raise UsageError("output is the folder of the scans themselves", where=output, fix="output=ANOTHER_FOLDER")
    files = sorted(folder.iterdir()) if source.is_dir() else [source]
    files = [path for path in files if not path.is_dir() and not path.name.startswith(".")]
    images = [path for path in files if path.name.endswith(ENDINGS)]
    if not images:
        raise UsageError("no NIfTI file to predict", where=source, found=f"{len(files)} other file(s)", expected=" or ".join(ENDINGS),
                         fix="convert DICOM series to NIfTI first; input=FOLDER names the folder that holds the files itself")
    scans = [Scan(name := _name(path), path, output / f"{name}.nii.gz") for path in images]
    names = [scan.name for scan in scans]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError("scans of the same name", where=source, found=", ".join(twice), expected="one file a name",
                         fix="remove or rename the .nii or the .nii.gz")
    return scans


def refuse_foreign(scans: Sequence[Scan]) -> None:
    """Raise UsageError if files that this program did not write stand where label maps would go."""
    notes = {scan.labels: note_of(scan.labels) for scan in scans if scan.labels.exists()}
    foreign = [path for path, note in notes.items() if note is not None and not note.startswith(NOTE)]  # None: damaged, so made anew
    if foreign:
        raise UsageError("the output folder holds other files of these names", where=foreign[0].parent,
                         found=", ".join(path.name for path in foreign), fix="output=ANOTHER_FOLDER, or move these files away")


def _name(path: Path) -> str:
    return next(path.name.removesuffix(ending) for ending in ENDINGS if path.name.endswith(ending))
