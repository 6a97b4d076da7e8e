"""Prepared cases on disk: compressed arrays that give up a patch without unpacking the rest.

A case folder holds
    image.b2nd      (z, y, x) int16, clipped HU on the prepared grid
    labels.b2nd     (layer, z, y, x) uint8 or uint16, raw label values; case.json maps label names to them
    locations.b2nd  (n, 3) int32, voxels of each label to sample from, one label after the other
    histogram.b2nd  (n_hu,) int64, labelled voxels at each HU from clip_hu[0] up, of all labels together
    reference.b2nd  (layer, z, y, x), the labels on the scan's own grid in LPS, for validation and tests; a scan without labels has none
    case.json       everything else; written last, so a folder without it is unfinished
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import blosc2
import numpy as np

from clnet.atomic import write_bytes
from clnet.errors import DataError
from clnet.types import Geometry

CASE_FILE = "case.json"
_COMPRESSION = {"codec": blosc2.Codec.LZ4, "clevel": 5, "nthreads": 1}
_CHUNK, _BLOCK = 64, 32  # voxels a side: a patch unpacks whole blocks, and little more than itself
Box = Sequence[slice]


def save_array(path: Path, array: np.ndarray) -> None:
    """Write an array as blosc2 b2nd, atomically. Raises HostError when the disk is full."""
    array = np.ascontiguousarray(array)
    limits = [1] * (array.ndim - 3) if array.ndim > 3 else []
    chunks, blocks = ([min(n, side) or 1 for n, side in zip(array.shape, limits + [edge] * array.ndim)] for edge in (_CHUNK, _BLOCK))
    if array.ndim < 3:
        chunks = blocks = None
    packed = blosc2.asarray(array, cparams=_COMPRESSION, chunks=chunks, blocks=blocks) if array.size else blosc2.asarray(array)
    write_bytes(path, packed.to_cframe())


def load_array(path: Path) -> blosc2.NDArray:
    """Open an array for slicing, in one thread: loaders have a process a core. Raises DataError if it is not a whole b2nd file."""
    try:
        return blosc2.open(str(path), mode="r", dparams={"nthreads": 1})
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        raise DataError("not a readable array", where=path, found=str(error), fix=_fix(Path(path).parent)) from error


class PreparedCase:
    """One prepared scan; arrays are opened when they are first asked for, also after a trip to another process."""

    def __init__(self, folder: Path, record: dict):
        self.folder, self.record = Path(folder), record
        self.dataset: str = record["dataset"]
        self.case: str = record["case"]
        self.annotated = frozenset(record["annotated"])
        self.spacing_mm = tuple(record["spacing_mm"])
        self.shape_zyx = tuple(record["shape_zyx"])
        self.label_table = {name: (layer, tuple(values)) for name, (layer, values) in record["label_table"].items()}
        self.geometry = Geometry(**{key: tuple(value) if isinstance(value, list) else value for key, value in record["geometry"].items()})
        self.crop_zyx = tuple((start, stop) for start, stop in record["crop_zyx"])
        self.voxels: dict[str, int] = record["voxels"]

    @classmethod
    def open(cls, folder: Path) -> PreparedCase:
        """The case in `folder`. Raises DataError if it is unfinished, of another version, or not what its case.json says."""
        folder = Path(folder)
        try:
            case = cls(folder, json.loads((folder / CASE_FILE).read_text()))
            files = case.record["files"]
        except FileNotFoundError:
            raise DataError("not a prepared case, or an unfinished one", where=folder, expected=CASE_FILE, fix=_fix(folder)) from None
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                "the description of a prepared case is damaged", where=folder / CASE_FILE, found=repr(error), fix=_fix(folder)
            ) from error
        for name, expected in files.items():
            path = folder / name
            size = path.stat().st_size if path.exists() else None
            if size != expected["bytes"]:
                raise DataError(
                    "an array of a prepared case was lost or changed",
                    where=path,
                    expected=f"{expected['bytes']} bytes",
                    found="no such file" if size is None else f"{size} bytes",
                    fix=_fix(folder),
                )
            array = load_array(path)
            if list(array.shape) != expected["shape"] or str(array.dtype) != expected["dtype"]:
                raise DataError(
                    "an array of a prepared case is not the one described",
                    where=path,
                    found=f"{array.shape} {array.dtype}",
                    expected=f"{expected['shape']} {expected['dtype']}",
                    fix=_fix(folder),
                )
        return case

    def image_hu(self, box: Box | None = None) -> np.ndarray:
        """(z, y, x) int16 HU of a box inside the prepared grid, or of all of it."""
        return self._image[tuple(box) if box is not None else slice(None)]

    def layers(self, box: Box | None = None) -> np.ndarray:
        """(layer, z, y, x) raw label values."""
        return self._labels[(slice(None), *box) if box is not None else slice(None)]

    def mask(self, label: str, box: Box | None = None) -> np.ndarray:
        """(z, y, x) bool. Raises KeyError for a label that the dataset lacks; one not annotated here is whatever its voxels say."""
        layer, values = self.label_table[label]
        return select(self._labels[(layer, *box) if box is not None else layer], values)

    def locations(self, label: str) -> np.ndarray:
        """(n, 3) int32 voxels (z, y, x) of a label, n at most Recipe.locations_per_label; empty if it has none."""
        start, stop = self.record["locations"].get(label, (0, 0))
        return self._locations[start:stop]

    def histogram(self) -> tuple[int, np.ndarray]:
        """(lowest HU, voxels of any label at each HU from there up)."""
        return self.record["histogram_from_hu"], self._open("histogram.b2nd")[:]

    def reference_layers(self) -> np.ndarray:
        """(layer, z, y, x) labels of the whole scan on its own LPS grid. Raises DataError for a scan without labels."""
        return self._reference[:]

    def reference_mask(self, label: str) -> np.ndarray:
        """(z, y, x) bool of a label on the scan's own LPS grid."""
        layer, values = self.label_table[label]
        return select(self._reference[layer], values)

    @cached_property
    def _image(self) -> blosc2.NDArray:
        return self._open("image.b2nd")

    @cached_property
    def _labels(self) -> blosc2.NDArray:
        return self._open("labels.b2nd")

    @cached_property
    def _reference(self) -> blosc2.NDArray:
        if "reference.b2nd" not in self.record["files"]:
            raise DataError("the case was prepared without a reference on the native grid", where=self.folder,
                            fix=f"delete {self.folder.parent} and run the same command again, with the labels")  # fmt: skip
        return self._open("reference.b2nd")

    @cached_property
    def _locations(self) -> np.ndarray:
        return self._open("locations.b2nd")[:]

    def _open(self, name: str) -> blosc2.NDArray:
        return load_array(self.folder / name)

    def __getstate__(self):
        return {"folder": self.folder, "record": self.record}

    def __setstate__(self, state):
        self.__init__(**state)

    def __repr__(self):
        return f"PreparedCase({self.dataset}/{self.case}, {self.shape_zyx} at {self.spacing_mm} mm)"


def select(layer: np.ndarray, values: Sequence[int]) -> np.ndarray:
    """Voxels of a raw label layer that hold one of `values`; same shape, bool."""
    if len(values) == 1:
        return layer == values[0]
    return np.isin(layer, values, kind="table")


def _fix(folder: Path) -> str:
    return f"delete {folder} and run the same command again: the case is then prepared anew"
