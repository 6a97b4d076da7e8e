"""Whether voxel values can be Hounsfield units at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from clnet.errors import DataError

_SAMPLED = 2_000_000  # voxels looked at
_AIR_HU, _BONE_HU = (-1100, -600), (250, 800)
_SHIFTED_TISSUE = (-150 + 1024, 200 + 1024)  # soft tissue where the usual RescaleIntercept of -1024 was left out


def hounsfield_faults(path: Path, image: np.ndarray) -> list[DataError]:
    """Faults of a whole scan (z, y, x) that was meant to be in HU: wrapped, not rescaled, windowed or empty.

    Heads with flat -1000 around them, metal at 3071 and padding at -3024 are all ordinary.
    """
    finite = np.isfinite(image) if image.dtype.kind == "f" else None
    if finite is not None and not finite.all():
        first = tuple(int(i) for i in np.argwhere(~finite)[0])
        return [
            DataError(
                "voxels that are not finite numbers",
                where=path,
                found=f"{np.count_nonzero(~finite)} voxel(s), the first at (z, y, x) = {first}",
                expected="no NaN, no infinity",
                fix="correct the conversion that made the file; outside the scan use -1024",
            )
        ]
    low, high = float(image.min()), float(image.max())
    span = f"values from {low:g} to {high:g}"
    if low == high:
        return [DataError("every voxel has the same value", where=path, found=f"{low:g}", fix="fetch the scan again, or remove the case")]
    if high > 40000:
        return [
            DataError(
                "negative HU were wrapped by an unsigned type",
                where=path,
                found=span,
                expected="-1024 to a few thousand HU",
                fix="subtract 65536 from values above 32767 and save as int16, or convert the DICOM series again",
            )
        ]
    stride = max(1, round((image.size / _SAMPLED) ** (1 / 3)))
    sample = image[::stride, ::stride, ::stride].ravel()
    inner = sample[sample > low]  # padding and clipped air pile up on the lowest value
    if not len(inner):
        return []
    air, bone, shifted = (_share(inner, *limits) for limits in (_AIR_HU, _BONE_HU, _SHIFTED_TISSUE))
    if air < 0.01 and shifted > max(0.03, bone):  # a crop of bone has fewer such voxels the denser they are
        mode = np.bincount(np.clip(np.rint(inner[inner < 500]), 0, 500).astype(int)).argmax() if np.any(inner < 500) else low
        return [
            DataError(
                "values are not Hounsfield units: the rescale intercept was not applied",
                where=path,
                found=f"{span}; commonest low value {mode:+g}, {shifted:.0%} of the voxels where soft tissue + 1024 would be",
                expected="air at -1000 +- 150 HU",
                fix="add the RescaleIntercept of the DICOM series (usually -1024)",
            )
        ]
    if low >= 0 and high <= 255:
        return [
            DataError(
                "values are not Hounsfield units: normalised or 8 bit",
                where=path,
                found=span,
                expected="air at -1000 HU, bone above 300 HU",
                fix="use the scan as it was before normalisation",
            )
        ]
    if low > -500 and np.mean(sample == low) > 0.05:
        return [
            DataError(
                "the scan was cut to an intensity window",
                where=path,
                found=f"{span}; {np.mean(sample == low):.0%} of the voxels are {low:g}",
                expected="air at -1000 HU",
                fix="use the scan as it was before windowing",
            )
        ]
    return []


def _share(values: np.ndarray, low: float, high: float) -> float:
    return float(np.mean((values >= low) & (values <= high)))
