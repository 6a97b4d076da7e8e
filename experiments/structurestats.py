"""What was found in a scan, in numbers: volume, mean HU, slices, body part range and confidence of each structure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from clnet.atomic import write_json, write_text
from clnet.data.store import PreparedCase
from clnet.infer.native import Claim
from clnet.infer.predict import Claims, ScanPredictor
from clnet.types import Geometry, Part

COLUMNS = ("scan", "structure", "value", "part", "voxels", "volume_ml", "mean_hu", "lowest_slice", "highest_slice", "range_lowest_slice",
           "range_highest_slice", "mean_confidence")  # fmt: skip
TABLE_FILE = "statistics.csv"


class Confidences:
    """Sums each part's confidence while its predictions pass by to merging, so that no map of it has to be kept.

    The mean that `of` gives is that of the probability at the voxels predicted before merging, inside the part's body part range.
    """

    def __init__(self):
        self._sums: dict[str, np.ndarray] = {}  # part -> (label, z, 2) float64: voxels, 255 times the sum of probabilities

    def watched(self, predictor: ScanPredictor) -> Watched:
        """The same predictor of prepared scans, looked at."""
        return Watched(predictor, self)

    def add(self, part: Part, claim: Claim, slices: int) -> None:
        """What a part claims in some of a scan's `slices`; nested labels are left out: they have no single probability a voxel."""
        if not part.nested:
            sums = self._sums.setdefault(part.name, np.zeros((len(part.labels), slices, 2)))
            sums[:, claim.box[0]] += _sums(claim.labels, claim.confidence, len(part.labels))

    def of(self, part: Part, label: int, inside: np.ndarray) -> float | None:
        """Mean probability, 0 to 1, of the part's label number `label`; inside: (z,) bool. None for nested labels and where none is."""
        if part.name not in self._sums:
            return None
        voxels, total = self._sums[part.name][label, inside].sum(axis=0)
        return float(total / voxels / 255) if voxels else None


class Watched:
    """A predictor whose claims pass by `confidences` on their way to merging."""

    def __init__(self, predictor: ScanPredictor, confidences: Confidences):
        self.predictor, self.confidences = predictor, confidences

    def slabs(self, case: PreparedCase, reach: Mapping[str, np.ndarray] | None = None) -> Iterator[tuple[slice, Claims]]:
        """As `ScanPredictor.slabs`."""
        for rows, claims in self.predictor.slabs(case, reach):
            yield rows, self._noted(claims, case.geometry.shape_zyx[0])

    def _noted(self, claims: Claims, slices: int) -> Claims:
        for part, own in claims:
            for claim in own:
                self.confidences.add(part, claim, slices)
            yield part, own


class StructureStatistics:
    """Fills a row for each structure found. image_hu: (z, y, x) of the native grid in LPS; values: structure -> value in the label map.

    Slices are those of the LPS grid, 0 at the feet. Structures that overlap are each measured whole, also where the combined label map
    hides one behind another.
    """

    def __init__(self, image_hu: np.ndarray, geometry: Geometry, values: Mapping[str, int], confidences: Confidences):
        self.image_hu, self.values, self.confidences = image_hu, values, confidences
        self.voxel_ml = float(np.prod(geometry.spacing_mm)) / 1000
        self.rows: list[dict] = []

    def add(self, part: Part, label_map: np.ndarray, inside: np.ndarray) -> None:
        """label_map: (z, y, x) of a part after merging; inside: (z,) bool, the slices of its body part range."""
        sums = _sums(label_map, self.image_hu, len(part.labels), part.nested)
        limits = _ends(inside) if inside.any() and not inside.all() else (None, None)
        for index, label in enumerate(part.labels):
            voxels, total = sums[index].sum(axis=0)
            if not voxels:
                continue
            title, confidence = part.title(label), self.confidences.of(part, index, inside)
            numbers = (title, self.values[title], part.name, int(voxels), round(voxels * self.voxel_ml, 3), round(total / voxels, 1),
                       *_ends(sums[index, :, 0] > 0), *limits, None if confidence is None else round(confidence, 3))  # fmt: skip
            self.rows.append(dict(zip(COLUMNS[1:], numbers, strict=True)))

    def write(self, path: Path, name: str, geometry: Geometry, note: str) -> None:
        """As JSON: scan, grid, note of what it was made of, and the rows in the order of their values."""
        rows = sorted(self.rows, key=lambda row: row["value"])
        write_json(path, {"scan": name, "note": note, "shape_zyx": list(geometry.shape_zyx), "spacing_mm": list(geometry.spacing_mm),
                          "structures": rows})  # fmt: skip


def read_statistics(path: Path) -> dict | None:
    """What `StructureStatistics.write` left in a file; None where there is no such file."""
    try:
        held = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return held if isinstance(held, dict) and {"note", "scan", "structures"} <= held.keys() else None


def write_table(path: Path, statistics: Iterable[Mapping]) -> None:
    """The rows of all scans as one CSV; undefined values are empty cells."""
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    for held in statistics:
        table.writerows({"scan": held["scan"], **row} for row in held["structures"])
    write_text(path, text.getvalue())


def _sums(label_map: np.ndarray, weights: np.ndarray, labels: int, nested: bool = False) -> np.ndarray:
    """(label, z, 2) float64: for each label and slice the voxels, and the sum of `weights` (z, y, x) over them."""
    sums = np.zeros((labels, len(label_map), 2))
    for z in np.flatnonzero(label_map.reshape(len(label_map), -1).max(axis=1, initial=0)):
        values = label_map[z].ravel()
        at = np.flatnonzero(values)
        values, own = values[at], weights[z].ravel()[at].astype(np.float64)
        voxels, totals = (np.bincount(values, weight, 2**labels if nested else labels + 1) for weight in (None, own))
        for index in range(labels):
            chosen = [value for value in range(len(voxels)) if value >> index & 1] if nested else [index + 1]
            sums[index, z] = voxels[chosen].sum(), totals[chosen].sum()
    return sums


def _ends(slices: np.ndarray | Sequence[bool]) -> tuple[int, int]:
    """First and last of the slices that are true."""
    at = np.flatnonzero(slices)
    return int(at[0]), int(at[-1])
