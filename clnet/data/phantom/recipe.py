"""What to make, and making it: five data sets as NIfTI in nnU-Net's raw layout, the same bytes for the same recipe."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from clnet.errors import HostError

from . import atlas, nifti
from .canvas import Canvas
from .collection import COLLECTIONS, Collection
from .patient import Patient

VERSION = 3  # raise it when the same recipe gives other bytes


def _cases() -> dict[str, tuple[int, int]]:
    return {"whole_body": (10, 3), "head_neck": (10, 4), "abdomen": (10, 4), "chest": (8, 3), "lesion": (10, 4)}


@dataclass(frozen=True)
class PhantomRecipe:
    """`cases[slot]` is (training, test) per data set; `coarsen` multiplies every spacing (2 makes a grid of an eighth: for tests)."""

    seed: int = 2024
    cases: Mapping[str, tuple[int, int]] = field(default_factory=_cases)
    coarsen: float = 1.0
    workers: int = 2

    def identity(self) -> str:
        """Hash of all that the bytes depend on; the number of workers is no part of it."""
        content = {"version": VERSION, "seed": self.seed, "coarsen": self.coarsen,
                   "cases": {slot: list(counts) for slot, counts in sorted(self.cases.items())},
                   "collections": {slot: asdict(collection) for slot, collection in COLLECTIONS.items()}}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Job:
    """One scan to make, with its files."""

    slot: str
    split: str
    number: int
    seed: int
    coarsen: float
    image: Path
    label: Path

    def patient(self) -> Patient:
        return Patient((self.seed, list(COLLECTIONS).index(self.slot), ("train", "test").index(self.split), self.number))


def jobs(root: Path, recipe: PhantomRecipe) -> list[Job]:
    """Every scan of the recipe."""
    found = []
    for slot, counts in recipe.cases.items():
        folder = Path(root) / COLLECTIONS[slot].folder
        for split, count, suffix in zip(("train", "test"), counts, ("Tr", "Ts")):
            for number in range(count):
                case = f"{slot}_{split}_{number:03d}"
                found.append(Job(slot, split, number, recipe.seed, recipe.coarsen, folder / f"images{suffix}" / f"{case}_0000.nii.gz",
                                 folder / f"labels{suffix}" / f"{case}.nii.gz"))
    return found


def make(job: Job) -> tuple[np.ndarray, np.ndarray, tuple, tuple]:
    """Image (int16 HU), label map (uint8), spacing_mm and the first voxel's LPS position (x, y, z) of one scan."""
    collection: Collection = COLLECTIONS[job.slot]
    patient, hospital = job.patient(), collection.hospital
    if job.coarsen != 1:
        hospital = replace(hospital, spacing_mm=tuple(s * job.coarsen for s in hospital.spacing_mm))
    scores = collection.partial[job.number % len(collection.partial)] if collection.partial and job.split == "train" else hospital.scores
    z, y, x = hospital.axes(patient, scores)
    canvas = Canvas(patient.points(z, y, x), hospital.spacing_mm, hospital.phase(patient))
    ill = patient.random("ill").random() < collection.lesions
    canvas.paint(atlas.parts(patient, "Kidney_Lesion", ill), patient)
    values = collection.values()
    if ill and "Kidney_Lesion" not in values:  # as in whole-body sets: a tumour is in the picture, and no part of the kidney's label
        values = values | {"Kidney_Lesion": 0}
    table = np.array([values.get(name, 0) if name else 0 for name in canvas.names], np.uint8)
    couch_mm = patient.random("couch").uniform(-900, 300)
    first = (float(x[0]), float(y[0]), float(z[0] + couch_mm))
    return hospital.scan(canvas.image_hu, patient), table[canvas.codes], hospital.spacing_mm, first


def run(job: Job) -> None:
    """Make one scan; its image is published before its label, so a label stands for a finished case. Raises HostError."""
    image, labels, spacing_mm, first = make(job)
    orientation = COLLECTIONS[job.slot].hospital.orientation
    try:
        nifti.write(job.image, image, spacing_mm, first, orientation)
        nifti.write(job.label, labels, spacing_mm, first, orientation)
    except OSError as error:
        raise HostError("cannot write a phantom scan", where=job.image.parent, found=str(error),
                        fix="free some space (200 MB are enough) or choose another folder, then run the same command again") from error


def write(root: Path, recipe: PhantomRecipe, workers: int | None = None) -> None:
    """Write what is missing below `root`/<data set>, in parallel; finished cases of the same recipe are kept, others replaced.

    Raises HostError when the disk refuses. A process that was killed leaves whole files only, and the next call goes on from there.
    """
    root = Path(root)
    mark = root / "phantom.json"
    current = mark.exists() and json.loads(mark.read_text()).get("identity") == recipe.identity()
    todo = [job for job in jobs(root, recipe) if not (current and job.image.exists() and job.label.exists())]
    if not todo:
        return
    if not current:
        for slot, collection in COLLECTIONS.items():  # of another recipe: never mix
            for old in root.glob(f"{collection.folder}/*/{slot}_*.nii.gz"):
                old.unlink()
        root.mkdir(parents=True, exist_ok=True)
        mark.write_text(json.dumps({"identity": recipe.identity(), "seed": recipe.seed}, indent=1) + "\n")
    workers = min(workers or recipe.workers, len(todo))
    if workers <= 1:
        for job in todo:
            run(job)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(run, todo))
