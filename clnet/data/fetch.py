"""`task=fetch`: the public OpenKBP repository, downloaded, checked and converted to NIfTI, patient by patient.

Nothing that exists is overwritten; each patient is finished before the next is begun and entered in manifest.json with the hashes of its
files, so that the same command continues after any interruption, and says which file has changed since. cases.csv, without which no
dataset is found, is written last.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from filelock import FileLock, Timeout

from clnet import atomic
from clnet.data.download import download
from clnet.data.openkbp import FILES, TARGET, Plausible, Volumes, convert
from clnet.errors import DataError, UsageError

_INVENTORY = Path(__file__).with_name("openkbp_files.csv")
_COLUMNS = ("case", "split", "spacing_x_mm", "spacing_y_mm", "spacing_z_mm", "annotated_structures", "ptv70_voxels")


@dataclass(frozen=True)
class OpenKbpFetch:
    """Fetches `patients` (None: all of the inventory) from `url` into images/, labels/, targets/ and cases.csv under `root`.

    splits: folder of the repository -> split here. inventory: CSV with the git hash of every file of every patient; an empty cell is a
    structure that was not contoured. Calling it returns the cases that are there, in the order of the inventory; raises UsageError,
    DataError or HostError, each of which leaves all finished patients in place.
    """

    root: str | Path
    url: str
    splits: Mapping[str, str]
    plausible: Plausible
    patients: Sequence[str] | None = None
    inventory: str | Path = _INVENTORY
    retries: int = 5
    backoff_s: float = 2.0
    timeout_s: float = 60.0
    workers: int = 8
    say: Callable[[str], None] = print

    def __call__(self) -> list[str]:
        root = Path(self.root).expanduser().resolve()
        wanted = self._wanted()
        _refuse_foreign(root)
        with atomic.explained(root):
            root.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(root / ".fetch.lock", timeout=0):
                return self._fetch(root, wanted)
        except Timeout:
            raise UsageError("another fetch into this folder is running", where=root,
                             fix="let it finish, or set data.root to another folder") from None

    def _fetch(self, root: Path, wanted: list[dict[str, str]]) -> list[str]:
        manifest = _read_manifest(root, self.url)
        _refuse_changed(root, manifest)
        patients = manifest["patients"]
        missing = [row for row in wanted if not _finished(root, patients.get(row["patient"]))]
        self.say(f"openkbp: {len(wanted) - len(missing)} of {len(wanted)} patients are in {root}")
        with ThreadPoolExecutor(self.workers) as pool:
            for number, row in enumerate(missing, start=1):
                patients[row["patient"]] = self._one(root, row, pool)
                atomic.write_json(root / "manifest.json", manifest)
                refused = patients[row["patient"]].get("refused")
                self.say(f"openkbp: {number}/{len(missing)} {row['patient']}{': left out, ' + '; '.join(refused) if refused else ''}")
        table = _table([patients[row["patient"]]["row"] for row in self._rows() if "row" in patients.get(row["patient"], {})])
        if manifest["table_sha256"] != hashlib.sha256(table).hexdigest() or not (root / "cases.csv").exists():
            (root / "cases.csv").unlink(missing_ok=True)  # ours, as checked above; gone before the manifest names its successor
            manifest["table_sha256"] = hashlib.sha256(table).hexdigest()
            atomic.write_json(root / "manifest.json", manifest)
            atomic.write_bytes(root / "cases.csv", table)
        return [row["patient"] for row in wanted if "row" in patients[row["patient"]]]

    def _one(self, root: Path, row: Mapping[str, str], pool: ThreadPoolExecutor) -> dict:
        """Download and convert one patient; its entry in the manifest."""
        patient, base = row["patient"], f"{self.url.rstrip('/')}/{row['folder']}/{row['patient']}"
        names = [name for name in FILES if row[name]]
        contents = pool.map(lambda name: download(f"{base}/{name}.csv", blob_sha1=row[name], retries=self.retries,
                                                  backoff_s=self.backoff_s, timeout_s=self.timeout_s), names)
        volumes = convert(patient, dict(zip(names, contents)))
        refused = self.plausible.problems(volumes)
        if refused:
            return {"refused": refused}
        z_mm, y_mm, x_mm = volumes.spacing_mm
        values = (patient, self.splits[row["folder"]], x_mm, y_mm, z_mm, " ".join(volumes.annotated), int(volumes.target.sum()))
        return {"row": dict(zip(_COLUMNS, values)), "files": dict(_publish(root, patient, volumes))}

    def _rows(self) -> list[dict[str, str]]:
        with Path(self.inventory).open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def _wanted(self) -> list[dict[str, str]]:
        rows = self._rows()
        unknown = sorted(set(self.patients or ()) - {row["patient"] for row in rows})
        if unknown:
            raise UsageError("no such patients in the repository", where="data.fetch.patients", found=unknown,
                             expected=f"names in {self.inventory}")
        folders = sorted({row["folder"] for row in rows} - set(self.splits))
        if folders:
            raise UsageError("folders of the repository without a split", where="data.fetch.splits", found=folders)
        return [row for row in rows if self.patients is None or row["patient"] in set(self.patients)]


def _publish(root: Path, patient: str, volumes: Volumes) -> Iterator[tuple[str, str]]:
    """Write a patient's three files where they are not there yet; yields (path below root, SHA-256)."""
    for folder, array in (("images", volumes.image_hu), ("labels", volumes.labels), ("targets", volumes.target)):
        path = root / folder / f"{patient}.nii.gz"
        if not path.exists():
            image = sitk.GetImageFromArray(array)
            image.SetSpacing(volumes.spacing_mm[::-1])
            with atomic.replace_atomically(path, lambda written, array=array: _refuse_unlike(written, array), array.nbytes) as temporary:
                sitk.WriteImage(image, str(temporary), useCompression=True)
        else:
            _refuse_unlike(path, array)
        yield f"{folder}/{path.name}", _sha256(path)


def _refuse_unlike(path: Path, array: np.ndarray) -> None:
    try:
        same = np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(path))), array)
    except RuntimeError:
        same = False
    if not same:
        raise DataError("file exists and holds something else; it is not overwritten", where=path, fix="move it away, or set data.root")


def _refuse_foreign(root: Path) -> None:
    if (root / "cases.csv").exists() and not (root / "manifest.json").exists():
        raise UsageError("the folder holds a table of cases that this command did not write", where=root / "cases.csv",
                         fix=f"use it as it is: experiment=openkbp data.root={root}; or set data.root to an empty folder to fetch into")


def _read_manifest(root: Path, url: str) -> dict:
    path = root / "manifest.json"
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    return {"source": url, "target": TARGET, "patients": {}, "table_sha256": None}


def _finished(root: Path, entry: Mapping | None) -> bool:
    return entry is not None and all((root / name).exists() for name in entry.get("files", ()))


def _refuse_changed(root: Path, manifest: Mapping) -> None:
    """DataError with every file whose content is not what was written."""
    known = {name: sha for entry in manifest["patients"].values() for name, sha in entry.get("files", {}).items()}
    if manifest["table_sha256"]:
        known["cases.csv"] = manifest["table_sha256"]
    changed = [name for name, sha in known.items() if (root / name).exists() and _sha256(root / name) != sha]
    if changed:
        raise DataError(f"{len(changed)} file(s) changed since they were fetched", where=root, found=", ".join(changed),
                        fix="remove them and run the same command again: it fetches what is missing")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _table(rows: Sequence[Mapping]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
