"""P4: overlapping windows of many channels to one merged label map, against MONAI's sliding window and the scheme of nnU-Net's predictor.

The networks cost nothing: they hand out ready-made windows, one after the other, so that time and memory are those of what comes after
them. A rival keeps every channel of the whole scan (MONAI as it is; nnU-Net's scheme, written out here: sums and weights of all channels
on the host, averaged and made probabilities' labels once all windows have passed). All sides end with the same merging.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import numpy as np
import torch
import torch.nn.functional as F
from monai.data.utils import compute_importance_map
from monai.inferers import sliding_window_inference
from torch import Tensor

from benchmarks.contest import Result, alternate, give_back_memory, process_bytes
from benchmarks.wholebody import Scan
from clnet.data.intensity import Intensity
from clnet.infer.mergedscan import MergedScan
from clnet.infer.merging import MergingRules, merging_rules
from clnet.infer.native import decide
from clnet.infer.predict import PartNetwork, ScanPredictor
from clnet.infer.scanmerger import ScanMerger
from clnet.infer.window import Windows
from clnet.types import Label, Part

# shape, window, channels, channels of the check that memory does not grow with them, repeats, GiB of sums
SIZES = {"full": ((200, 150, 150), (56, 48, 64), 137, 411, 3, 1 / 16), "small": ((24, 20, 20), (8, 8, 8), 12, 36, 1, 1e-4)}
BANK = 4  # windows that the networks hand out in turn
INTENSITY = Intensity([{"center_hu": 0.0, "scale_hu": 100.0}])
GOAL_BYTES, GOAL_TIME, TIE = 30.0, 1.1, 1e-6  # bytes a voxel; of MONAI's time; margin of probabilities that float32 may decide either way


def run(size: str = "full") -> list[Result]:
    """Bytes a voxel at both numbers of channels, and the time against both rivals. Raises AssertionError where labels are wrong."""
    shape, patch, channels, more, repeats, sums_gib = SIZES[size]
    work, voxels = Workload(shape, patch, channels), float(np.prod(shape))
    wrong = work.wrong(work.ours(sums_gib))
    sides = {"ours": lambda: work.ours(sums_gib), "monai": work.monai, "nnunet": work.nnunet}
    times = alternate(sides, repeats)
    taken = {name: peak_bytes(name, size, channels) / voxels for name in times}
    grown = peak_bytes("ours", size, more) / voxels
    equal = f"labels of float64 sums: equal but for {wrong} voxels that are ties to {TIE:g}"
    where = f"{' x '.join(map(str, shape))} voxels, windows {' x '.join(map(str, patch))}"
    memory = f"bytes a voxel: MONAI {taken['monai']:.0f}, nnU-Net's scheme {taken['nnunet']:.0f}"
    seconds = {name: median(values) for name, values in times.items()}
    return [
        Result("P4", f"{channels} channels, {where}", "merged while windows pass", memory, taken["ours"], GOAL_BYTES, False, equal,
               "ratio: extra bytes a voxel"),
        Result("P4", f"{more} channels, {where}", "merged while windows pass", memory, grown, GOAL_BYTES, False, equal,
               "ratio: extra bytes a voxel"),
        *(Result("P4", f"{channels} channels, {where}", "time while windows pass", f"time of {title}", seconds["ours"] / seconds[name],
                 GOAL_TIME, False, equal, "", seconds["ours"], seconds[name])
          for name, title in (("monai", "MONAI"), ("nnunet", "nnU-Net's scheme"))),
    ]  # fmt: skip


class Workload:
    """Decoders of one to five structures in one exclusive set, and the windows that they hand out: contiguous structures, as organs are."""

    def __init__(self, shape: tuple[int, int, int], patch: tuple[int, int, int], channels: int):
        self.shape, self.windows, self.parts, self.channels, first = shape, Windows(patch, 0.5, 4), [], [], 0
        while first < channels:
            count = min(2 + len(self.parts) % 5, channels - first)
            count += channels - first - count == 1  # none is left alone
            names = [f"s{len(self.parts)}_{index}" for index in range(count - 1)]
            self.parts.append(Part(f"d{len(self.parts)}", tuple(Label(name, (name,)) for name in names), ""))
            self.channels.append(slice(first, first + count))
            first += count
        generator = torch.Generator().manual_seed(channels)
        self.bank = 3 * torch.randn((BANK, channels, *(max(n // 8, 2) for n in patch)), generator=generator)
        self.bank[:, [own.start for own in self.channels]] += 6  # a decoder finds nothing in most of the body
        self.bank = F.interpolate(self.bank, patch, mode="trilinear")
        for own in self.channels:
            self.bank[:, own] = self.bank[:, own].softmax(1)
        self.rules: MergingRules = merging_rules({"all": [part.name for part in self.parts]})
        self.scan = Scan(np.full(shape, 100, np.int16))

    def ours(self, sums_gib: float) -> np.ndarray:
        """(z, y, x) merged label map."""
        turn = _turns(len(self.boxes()))

        def encoder(image: Tensor) -> list[int]:
            return [next(turn) for _ in image]

        networks = [PartNetwork(part, lambda at, own=own: self.bank[at, own]) for part, own in zip(self.parts, self.channels, strict=True)]
        predictor = ScanPredictor(encoder, networks, self.windows, INTENSITY, sums_gib=sums_gib)
        ((_, values),) = MergedScan(self.rules, self.parts, {}, self.shape, predictor.slabs(self.scan)).sets()
        return values

    def monai(self) -> np.ndarray:
        """MONAI's sums of all channels, then labels decoder by decoder, then merging."""
        turn = _turns(10**9)
        whole = sliding_window_inference(
            torch.zeros((1, 1, *self.shape)), self.windows.patch_zyx, 4, lambda image: self.bank[[next(turn) for _ in image]],
            overlap=0.5, mode="gaussian", sigma_scale=0.125,
        )  # fmt: skip
        return self._decided(whole[0])

    def nnunet(self) -> np.ndarray:
        """Window by window: the prediction times the weights into sums of all channels, the weights into a map of their own; divided at
        the end, and decided."""
        sums, weight, importance = torch.zeros((self.bank.shape[1], *self.shape)), torch.zeros(self.shape), self._importance()
        for index, box in enumerate(self.boxes()):
            sums[(slice(None), *box)] += self.bank[index % BANK] * importance
            weight[box] += importance
        return self._decided(sums / weight)

    def wrong(self, values: np.ndarray) -> int:
        """Voxels whose label is not that of float64 sums, all of them ties; raises AssertionError for one that is none."""
        merger, tied = ScanMerger(self.rules, self.parts, {}, self.shape), np.zeros(self.shape, bool)
        importance, boxes = self._importance().double(), self.boxes()
        for part, own in zip(self.parts, self.channels, strict=True):
            sums, weight = (torch.zeros((count, *self.shape), dtype=torch.float64) for count in (own.stop - own.start, 1))
            for index, box in enumerate(boxes):
                sums[(slice(None), *box)] += self.bank[index % BANK, own].double() * importance
                weight[(0, *box)] += importance
            mean = sums / weight
            best, second = mean.topk(2, dim=0).values
            labels, confidence = decide(mean, nested=False)
            rounding = ((best * 255).frac() - 0.5).abs() < 255 * TIE
            tied |= ((best - second < TIE) | (rounding & (labels > 0))).numpy()
            merger.add(part, labels.numpy(), confidence.numpy())
        apart = values != merger.set_map("all")
        if (apart & ~tied).any() or not values.any():
            raise AssertionError(f"{np.count_nonzero(apart & ~tied)} of {values.size} labels are not those of float64 sums")
        return np.count_nonzero(apart)

    def boxes(self) -> list[tuple[slice, slice, slice]]:
        """All windows, in order."""
        z, y, x = (self.windows.starts(n, axis) for axis, n in enumerate(self.shape))
        return [tuple(slice(a, a + s) for a, s in zip((i, j, k), self.windows.patch_zyx, strict=True)) for i in z for j in y for k in x]

    def _importance(self) -> Tensor:
        return compute_importance_map(self.windows.patch_zyx, mode="gaussian", sigma_scale=0.125).float()

    def _decided(self, whole: Tensor) -> np.ndarray:
        merger = ScanMerger(self.rules, self.parts, {}, self.shape)
        for part, own in zip(self.parts, self.channels, strict=True):
            labels, confidence = decide(whole[own], nested=False)
            merger.add(part, labels.numpy(), confidence.numpy())
        return merger.set_map("all")


def peak_bytes(side: str, size: str, channels: int) -> int:
    """By how much a process grows at most while a side ("ours", "monai", "nnunet") works (Linux, glibc), gaps of its heap included.

    A process of its own for each: what one side leaves in the heap would count, or not count, as another's.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:
        return other.submit(_growth, side, size, channels, torch.get_num_threads()).result()


def _growth(side: str, size: str, channels: int, threads: int) -> int:
    torch.set_num_threads(threads)
    small, (shape, patch, _, _, _, sums_gib) = SIZES["small"], SIZES[size]
    _side(Workload(*small[:3]), side, small[-1])  # libraries come into memory when they are first used
    work = Workload(shape, patch, channels)
    give_back_memory()
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark begins anew
    before = process_bytes("VmRSS")
    _side(work, side, sums_gib)
    return process_bytes("VmHWM") - before


def _side(work: Workload, side: str, sums_gib: float) -> np.ndarray:
    return work.ours(sums_gib) if side == "ours" else getattr(work, side)()


def _turns(windows: int) -> Iterator[int]:
    """Place in the bank of one window after the other, from the beginning in each pass over the scan."""
    while True:
        yield from (index % BANK for index in range(windows))
