"""The one door through which scans and annotations come in: oriented to LPS, axes (z, y, x), and refused when they are not sound."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from clnet.data.dataset import DatasetSpec
from clnet.data.hounsfield import hounsfield_faults
from clnet.data.integrity import PLAUSIBLE_SPACING_MM, file_faults
from clnet.data.labels import Table, map_faults, mask_faults, pack, whole_numbers
from clnet.errors import DataError
from clnet.types import Geometry, RawCase

SPACING_TOLERANCE_MM, ORIGIN_TOLERANCE_MM, DIRECTION_TOLERANCE = 1e-3, 5e-3, 1e-3
_MASK_ENDINGS = ("", ".nii.gz", ".nii", ".nrrd", ".mha")


def read_image(path: Path) -> tuple[np.ndarray, Geometry]:
    """(z, y, x) HU of a CT in LPS, int16, or float32 where values are not whole or too large, and its grid.

    Raises DataError for a file that is missing, damaged, not 3D, not in HU, or without a plausible grid.
    """
    path = Path(path)
    array, geometry = _read(path)
    if array.dtype.kind == "f" and np.isfinite(array).all() and np.array_equal(array, np.rint(array)):
        array = array.astype(np.int64)
    if array.dtype.kind in "iub" and array.min() >= -32768 and array.max() <= 32767:
        array = array.astype(np.int16, copy=False)
    array = array if array.dtype == np.int16 else array.astype(np.float32)
    refuse(hounsfield_faults(path, array), path)
    return array, geometry


def read_labels(raw: RawCase, spec: DatasetSpec, geometry: Geometry | None) -> tuple[np.ndarray, Table]:
    """(layer, z, y, x) uint8 or uint16 raw label values in LPS, and label name -> (layer, values).

    One label map is one layer; masks in separate files are packed into as few layers as their overlaps allow. Without `geometry`
    the grid is not compared with the image's. Raises DataError for a damaged file, another grid than the image's, values that the
    dataset does not know, or fractions.
    """
    if raw.label is None:
        return np.zeros((0, *geometry.shape_zyx), np.uint8), {}
    if raw.label.is_dir():
        return _read_masks(raw, spec, geometry)
    array, grid = _read(raw.label)
    array, faults = whole_numbers(raw.label, array)
    faults += geometry_faults(raw, raw.label, geometry, grid)
    if array is not None:
        faults += map_faults(raw.label, array, spec)
    refuse(faults, raw.label)
    array = array.astype(np.uint8 if array.max() < 256 else np.uint16)
    return array[None], {label.name: (0, tuple(label.values)) for label in spec.labels}


def _read_masks(raw: RawCase, spec: DatasetSpec, geometry: Geometry | None) -> tuple[np.ndarray, Table]:
    masks, faults = {}, []
    for label in spec.labels:
        union = None
        for name in label.files:
            path = next((path for ending in _MASK_ENDINGS if (path := raw.label / f"{name}{ending}").is_file()), None)
            if path is None:
                if label.name in raw.annotated:
                    faults.append(DataError(f"no mask of {label.name}", where=raw.label / f"{name}.nii.gz", fix="fetch the case again"))
                continue
            try:
                array, grid = _read(path)
            except DataError as error:
                faults.append(error)
                continue
            wrong = geometry_faults(raw, path, geometry, grid) + mask_faults(path, array)
            faults += wrong
            if not wrong:
                union = array != 0 if union is None else union | (array != 0)
        if union is not None:
            masks[label.name] = union
    refuse(faults, raw.label)
    shape = geometry.shape_zyx if geometry else next(iter(masks.values())).shape
    return pack(masks, shape)


def geometry_faults(raw: RawCase, path: Path, image: Geometry | None, label: Geometry) -> list[DataError]:
    """How the grid of a label differs from its image's, beyond rounding; both are in LPS, so storage order does not matter."""
    if image is None:
        return []
    differences = []
    if image.shape_zyx != label.shape_zyx:
        differences.append(("size (z, y, x)", image.shape_zyx, label.shape_zyx))
    for name, ours, theirs, tolerance in (
        ("spacing (z, y, x) in mm", image.spacing_mm, label.spacing_mm, SPACING_TOLERANCE_MM),
        ("origin (x, y, z) in mm", image.origin_mm_xyz, label.origin_mm_xyz, ORIGIN_TOLERANCE_MM),
        ("direction", image.direction_xyz, label.direction_xyz, DIRECTION_TOLERANCE),
    ):
        if not np.allclose(ours, theirs, rtol=0, atol=tolerance):
            differences.append((f"{name} (tolerance {tolerance:g})", *(tuple(round(v, 6) for v in values) for values in (ours, theirs))))
    if not differences:
        return []
    return [
        DataError(
            f"label and image lie on different grids: {', '.join(name for name, _, _ in differences)}",
            where=path,
            found="; ".join(f"{name} {theirs}" for name, _, theirs in differences),
            expected="; ".join(f"{name} {ours}" for name, ours, _ in differences) + f" as in {raw.image}",
            fix="resample the label to its image (nearest neighbour), or copy the image's header if only the header is wrong",
        )
    ]


def refuse(faults: Sequence[DataError], path: Path) -> None:
    """Raise the fault, or one DataError that lists them all; nothing if there are none."""
    if len(faults) == 1:
        raise faults[0]
    if faults:
        error = DataError(f"{len(faults)} faults", where=path, found="\n" + "\n".join(_indented(str(fault)) for fault in faults))
        error.faults = tuple(faults)
        raise error


def _indented(text: str) -> str:
    return "\n".join("    " + line for line in text.splitlines())


def _read(path: Path) -> tuple[np.ndarray, Geometry]:
    """Voxels (z, y, x) in LPS with the file's own type, and the grid."""
    refuse(file_faults(path), path)
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        reason = next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), "")
        raise DataError("SimpleITK cannot read the file", where=path, found=reason, fix="fetch or convert the file again") from error
    refuse(list(_grid_faults(path, image)), path)
    code = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(image.GetDirection())
    oriented = image if code == "LPS" else sitk.DICOMOrient(image, "LPS")
    geometry = Geometry(
        shape_zyx=tuple(oriented.GetSize()[::-1]),
        spacing_mm=tuple(oriented.GetSpacing()[::-1]),
        origin_mm_xyz=tuple(oriented.GetOrigin()),
        direction_xyz=tuple(oriented.GetDirection()),
        file_orientation=code,
    )
    return sitk.GetArrayFromImage(oriented), geometry


def _grid_faults(path: Path, image: sitk.Image) -> Iterable[DataError]:
    if image.GetDimension() != 3:
        yield DataError(
            "not a 3D volume",
            where=path,
            found=f"{image.GetDimension()}D, size {image.GetSize()}",
            expected="one 3D volume",
            fix="write the wanted volume into a file of its own",
        )
        return
    if image.GetNumberOfComponentsPerPixel() != 1:
        yield DataError(
            "several values a voxel", where=path, found=image.GetNumberOfComponentsPerPixel(), expected=1, fix="export HU, not colours"
        )
    low, high = PLAUSIBLE_SPACING_MM
    if not all(math.isfinite(mm) and low <= mm <= high for mm in image.GetSpacing()):
        yield DataError(
            "implausible voxel spacing",
            where=path,
            found=f"(x, y, z) = {image.GetSpacing()} mm",
            expected=f"{low:g}-{high:g} mm",
            fix="write the true spacing into the header",
        )
    axes = np.array(image.GetDirection()).reshape(3, 3)
    shear = np.degrees(np.arcsin(np.clip(np.abs((axes.T @ axes)[np.triu_indices(3, 1)]), 0, 1))).max()
    if shear >= 0.05:
        yield DataError(
            "sheared voxel grid",
            where=path,
            found=f"axes are {shear:.3f} degrees off being perpendicular",
            expected="less than 0.05 degrees",
            fix="resample the scan on a perpendicular grid (gantry tilt) or orthonormalise the header",
        )
