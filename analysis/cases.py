"""Views of test cases that a run left in its folder: the scan, the reference and the prediction, small enough to draw.

`cases/DATASET__CASE.npz` holds, without pickled objects (n structures on a grid of z, y, x voxels, LPS):
    image_hu              (z, y, x) int16
    spacing_mm            (3,) float64, z, y, x
    names                 (n,) str, the dataset's labels that the method knows; after merging also the organs of its lesions
    annotated             (n,) bool, whether the case has a reference of that structure
    reference, predicted  (n, ceil(z * y * x / 8)) uint8, flattened masks packed by `numpy.packbits`; the prediction of the final stage
    dsc                   (n,) float64 in [0, 1], measured on the scan's own grid, NaN where undefined
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from analysis.load import Run
from clnet.errors import DataError

FOLDER = "cases"


@dataclass(frozen=True)
class CaseView:
    """One test case; arrays as the module says, masks still packed."""

    dataset: str
    case: str
    image_hu: np.ndarray
    spacing_mm: np.ndarray
    names: tuple[str, ...]
    annotated: np.ndarray
    dsc: np.ndarray
    packed: dict[str, np.ndarray]  # `reference` and `predicted`

    def mask(self, kind: Literal["reference", "predicted"], name: str) -> np.ndarray:
        """(z, y, x) bool of a structure. Raises ValueError for a structure that the view lacks; without annotation a reference is empty."""
        bits = np.unpackbits(self.packed[kind][self.names.index(name)], count=self.image_hu.size)
        return bits.astype(bool).reshape(self.image_hu.shape)

    def score(self, name: str) -> float:
        """DSC of a structure, NaN where undefined. Raises ValueError for a structure that the view lacks."""
        return float(self.dsc[self.names.index(name)])

    @property
    def annotated_names(self) -> tuple[str, ...]:
        """The structures that have a reference here."""
        return tuple(name for name, known in zip(self.names, self.annotated, strict=True) if known)


def read_cases(run: Run) -> list[CaseView]:
    """All views of a run, by dataset in the order learned and then by name; none where it left none. Raises DataError for a damaged one."""
    return [read_case(path, dataset, path.stem.removeprefix(f"{dataset}__"))
            for dataset in run.learned_at for path in sorted((run.folder / FOLDER).glob(f"{dataset}__*.npz"))]


def read_case(path: Path, dataset: str, case: str) -> CaseView:
    """The view in a file. Raises DataError where it is not what the module says."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            held = {name: file[name] for name in file.files}
        view = CaseView(dataset, case, held["image_hu"], held["spacing_mm"], tuple(map(str, held["names"])), held["annotated"],
                        held["dsc"], {kind: held[kind] for kind in ("reference", "predicted")})
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError("the view of a test case cannot be read", where=path, found=error, fix="run the same command again") from error
    count, size = len(view.names), -(-view.image_hu.size // 8)
    shapes = {"spacing_mm": (3,), "annotated": (count,), "dsc": (count,), "reference": (count, size), "predicted": (count, size)}
    wrong = {name: held[name].shape for name, shape in shapes.items() if held[name].shape != shape}
    if view.image_hu.ndim != 3 or wrong:
        raise DataError("the view of a test case contradicts itself", where=path, found=wrong or view.image_hu.shape,
                        expected={name: shapes[name] for name in wrong} or "(z, y, x)", fix="run the same command again")
    return view
