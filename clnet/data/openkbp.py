"""The OpenKBP repository's sparse CSV files, turned into volumes.

A patient there is a folder of CSV files, each a sparse array of 128 x 128 x 128 voxels in C order whose axes run from anterior to
posterior, from right to left and from superior to inferior. Here arrays are (z, y, x) in LPS: z upwards, y to posterior, x to the left.
Source: Babier et al., OpenKBP, Medical Physics 48, 2021; github.com/ababier/open-kbp.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from clnet.errors import DataError

SHAPE = (128, 128, 128)
TARGET = "PTV70"
ORGANS = {  # their file name -> (our label, value in the label map); where two overlap, the smaller value stays
    "Brainstem": ("BrainStem", 1),
    "SpinalCord": ("SpinalCord", 2),
    "Mandible": ("Bone_Mandible", 3),
    "LeftParotid": ("GlnD_Parotid_L", 4),
    "RightParotid": ("GlnD_Parotid_R", 5),
    "Larynx": ("Larynx", 6),
    "Esophagus": ("Eso", 7),
}
FILES = ("ct", "voxel_dimensions", *ORGANS, TARGET)
_HU_OFFSET = -1000
_HIGHEST = 4095  # 12 bit; what lies above is overflow of metal


@dataclass(frozen=True)
class Volumes:
    """One patient on one grid: int16 HU, uint8 label map and uint8 target, all (z, y, x) in LPS; spacing in mm, (z, y, x)."""

    image_hu: np.ndarray
    labels: np.ndarray
    target: np.ndarray
    spacing_mm: tuple[float, float, float]
    annotated: tuple[str, ...]  # labels that somebody contoured; the others are unknown, not absent

    def masks(self) -> dict[str, np.ndarray]:
        """Label name -> bool mask, of what is annotated, and of the target."""
        masks = {label: self.labels == value for label, value in ORGANS.values() if label in self.annotated}
        return {**masks, TARGET: self.target > 0}


@dataclass(frozen=True)
class Plausible:
    """What a patient must fulfil to be of use.

    In many patients the CT is blanked out where contours still are: each slice with a contour needs `minimum_body_voxels` above
    `body_threshold_hu`. A volume out of its range (cm3) is a contour of something else, or a fraction of one.
    """

    minimum_body_voxels: int
    volume_cm3: Mapping[str, tuple[float, float]]
    body_threshold_hu: float = -500.0

    def problems(self, volumes: Volumes) -> list[str]:
        """Why a patient is refused; nothing for one that is fine."""
        found, masks = [], volumes.masks()
        contoured = np.any([mask.any(axis=(1, 2)) for mask in masks.values()], axis=0)
        body = (volumes.image_hu > self.body_threshold_hu).sum(axis=(1, 2))
        blank = np.flatnonzero(contoured & (body < self.minimum_body_voxels))
        if blank.size:
            found.append(f"the body is blanked out on {blank.size} slice(s) with contours, first at z = {blank[0]} of {contoured.size}")
        voxel_cm3 = float(np.prod(volumes.spacing_mm)) / 1000
        for label, (lowest, highest) in self.volume_cm3.items():
            volume = np.count_nonzero(masks[label]) * voxel_cm3 if label in masks else lowest
            if not lowest <= volume <= highest:
                found.append(f"{label} has {volume:.1f} cm3, expected {lowest:g} to {highest:g}")
        return found


def convert(patient: str, files: Mapping[str, bytes]) -> Volumes:
    """A patient's files (names as in FILES, without .csv; organs may be missing) as volumes.

    Raises DataError, naming the file, for content that is not what its name says.
    """
    spacing = _dimensions(patient, files["voxel_dimensions"])
    image = np.zeros(SHAPE, np.int16)
    indices, values = _sparse(patient, "ct", files["ct"], with_values=True)
    image.reshape(-1)[indices] = np.clip(values, 0, _HIGHEST).astype(np.int16)
    labels = np.zeros(SHAPE, np.uint8)
    present = [name for name in ORGANS if name in files]
    for name in reversed(present):
        labels.reshape(-1)[_sparse(patient, name, files[name])[0]] = ORGANS[name][1]
    target = np.zeros(SHAPE, np.uint8)
    target.reshape(-1)[_sparse(patient, TARGET, files[TARGET])[0]] = 1
    return Volumes(_to_lps(image) + np.int16(_HU_OFFSET), _to_lps(labels), _to_lps(target), (spacing[2], spacing[0], spacing[1]),
                   tuple(ORGANS[name][0] for name in present))


def _to_lps(array: np.ndarray) -> np.ndarray:
    """(anterior to posterior, right to left, superior to inferior) -> (z, y, x) in LPS."""
    return np.ascontiguousarray(array.transpose(2, 0, 1)[::-1])


def _dimensions(patient: str, data: bytes) -> tuple[float, float, float]:
    """Voxel size in mm along the array's own axes."""
    try:
        spacing = tuple(float(line) for line in data.split())
    except ValueError:
        spacing = ()
    if len(spacing) != 3 or not all(0 < value < 20 for value in spacing):
        raise DataError("voxel dimensions are not three lengths in mm", where=f"{patient}/voxel_dimensions.csv", found=data[:80],
                        fix="fetch the file again")
    return spacing


def _sparse(patient: str, name: str, data: bytes, with_values: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
    """(flat indices, values or None) of a sparse array: a header `,data`, then lines `index,value`; masks have no value."""
    header, _, body = data.partition(b"\n")
    lines = body.splitlines()
    try:
        if header.strip() != b",data":
            raise ValueError(f"header {header[:40]!r}")
        if with_values:
            table = np.loadtxt(lines, delimiter=",", ndmin=2, dtype=np.float64) if lines else np.empty((0, 2))
            if table.shape[1] != 2 or not np.isfinite(table).all():
                raise ValueError(f"{table.shape[1]} columns or values that are not finite")
            indices, values = table[:, 0].astype(np.int64), table[:, 1]
        else:
            indices, values = np.array([int(line.partition(b",")[0]) for line in lines], dtype=np.int64), None
        if indices.size and not 0 <= indices.min() <= indices.max() < np.prod(SHAPE):
            raise ValueError(f"index {indices.max()} lies outside {SHAPE}")
    except ValueError as error:
        raise DataError("not a sparse array of OpenKBP", where=f"{patient}/{name}.csv", found=error, expected="`,data`, then index,value",
                        fix="fetch the file again") from error
    return indices, values
