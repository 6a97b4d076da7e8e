"""P7: random windows out of a prepared scan: the project's store against nnU-Net's, and against a compressed NIfTI file."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import blosc2
import numpy as np
import SimpleITK as sitk

from benchmarks.contest import Result, agreement, alternate, speedup
from benchmarks.paper import PATCH_ZYX
from benchmarks.scans import SPACING_MM, image_hu
from clnet.data.intensity import Intensity
from clnet.data.store import load_array, save_array

Box = tuple[slice, ...]
SIZES = {"full": ((400, 300, 300), PATCH_ZYX, 30, 3), "small": ((70, 66, 68), (24, 20, 28), 4, 1)}  # scan, window, windows, repeats
INTENSITY = Intensity([{"center_hu": 0.0, "scale_hu": 250.0}])
# What nnU-Net's rule gives for the paper's patch: blocks that fill at most 80 % of 32 KiB, chunks at most 80 % of 1.375 MiB, in float32.
BLOCK, CHUNK = 16, 64
LAYOUT = ("nnU-Net's layout written out: normalised float32, blosc2 with zstd of level 8, blocks of 16^3 and chunks of 64^3 voxels, "
          "memory map, one thread; ours reads int16 HU and normalises the window")  # fmt: skip


def run(size: str = "full") -> list[Result]:
    """Three results: windows against either rival, and the share of nnU-Net's file size. Files are in the page cache."""
    shape, window, count, repeats = SIZES[size]
    rng = np.random.default_rng(0)
    starts = [[rng.integers(0, n - m + 1) for n, m in zip(shape, window)] for _ in range(count)]
    boxes = [tuple(slice(int(a), int(a) + m) for a, m in zip(start, window)) for start in starts]
    image = image_hu(shape)
    with TemporaryDirectory() as folder:
        ours, nnunet, nifti = Path(folder, "image.b2nd"), Path(folder, "nnunet.b2nd"), Path(folder, "image.nii.gz")
        save_array(ours, image)
        _save_as_nnunet(nnunet, INTENSITY.normalise(image))
        scan = sitk.GetImageFromArray(image)
        scan.SetSpacing(SPACING_MM[::-1])
        sitk.WriteImage(scan, str(nifti))
        sides = {"ours": lambda: [_ours(ours, box) for box in boxes], "nnunet": lambda: [_nnunet(nnunet, box) for box in boxes],
                 "nifti": lambda: [_nifti(nifti, box) for box in boxes]}  # fmt: skip
        apart = max(float(np.abs(_ours(ours, box) - rival(path, box)).max())
                    for box in boxes[:3] for rival, path in ((_nnunet, nnunet), (_nifti, nifti)))  # fmt: skip
        equal = agreement("voxels of three windows", apart, 0.0)
        quick = alternate({name: sides[name] for name in ("ours", "nnunet")}, repeats)
        slow = alternate({name: sides[name] for name in ("ours", "nifti")}, 1)
        share = ours.stat().st_size / nnunet.stat().st_size
    workload = f"{count} windows of {' x '.join(map(str, window))} out of {' x '.join(map(str, shape))}"
    return [
        Result("P7", workload, "int16 and LZ4", "nnU-Net's blosc2", speedup(quick, "ours", "nnunet"), 3.0, True, equal, LAYOUT,
               median(quick["ours"]), median(quick["nnunet"])),
        Result("P7", workload, "int16 and LZ4", "nii.gz", speedup(slow, "ours", "nifti"), 50.0, True, equal, "",
               median(slow["ours"]), median(slow["nifti"])),
        Result("P7", f"file size, {' x '.join(map(str, shape))}", "int16 and LZ4", "nnU-Net's blosc2", share, 0.65, False, equal),
    ]  # fmt: skip


def _ours(path: Path, box: Box) -> np.ndarray:
    return INTENSITY.normalise(load_array(path)[box])


def _save_as_nnunet(path: Path, image: np.ndarray) -> None:
    limits = [(1, *(min(edge, size) for size in image.shape[1:])) for edge in (CHUNK, BLOCK)]
    blosc2.asarray(image, urlpath=str(path), mode="w", chunks=limits[0], blocks=limits[1],
                   cparams={"codec": blosc2.Codec.ZSTD, "clevel": 8, "nthreads": 1})  # fmt: skip


def _nnunet(path: Path, box: Box) -> np.ndarray:
    return blosc2.open(str(path), mode="r", dparams={"nthreads": 1}, mmap_mode="r")[(slice(None), *box)]


def _nifti(path: Path, box: Box) -> np.ndarray:
    scan = sitk.ReadImage(str(path))  # the view below reads its memory
    return INTENSITY.normalise(sitk.GetArrayViewFromImage(scan)[box])
