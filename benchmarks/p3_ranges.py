"""P3: windows that body part ranges spare: how many (window, decoder) pairs are left, and that no label changes."""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import Tensor

from benchmarks.contest import Result
from benchmarks.paper import with_seed
from benchmarks.wholebody import Body, Scan, body_hu, decoders, merging, parts
from clnet.data.intensity import Intensity
from clnet.infer.mergedscan import Anywhere, MergedScan, ScanMerging
from clnet.infer.predict import PartNetwork, ScanPredictor
from clnet.infer.window import Windows

# slices and plane of the scan, window
SIZES = {"full": ((400, 48, 56), (112, 24, 32)), "small": ((60, 12, 12), (16, 8, 8))}
INTENSITY = Intensity([{"center_hu": 0.0, "scale_hu": 250.0}])
GOAL = 0.58


def run(size: str = "full") -> list[Result]:
    """One result, whose ratio is the share of pairs that run. Raises AssertionError where a merged label differs."""
    shape, patch = SIZES[size]
    contest = Ranges(Scan(body_hu(shape)), Windows(patch, 0.5, 2))
    skipping, pairs, ours_s = contest.merged(Body())
    whole, all_pairs, rival_s = contest.merged(_Bounded())
    labels = 0
    for part in contest.parts:
        own, other = skipping.label_map(part), whole.label_map(part)
        if not np.array_equal(own, other):
            raise AssertionError(f"{part.name}: {np.count_nonzero(own != other)} labels differ")
        labels += len(np.unique(own)) - 1
    workload = f"{shape[0]} slices of {shape[1]} x {shape[2]}, windows {' x '.join(map(str, patch))}, {len(contest.parts)} decoders"
    return [Result("P3", workload, "windows by organ-level ranges", "all windows", pairs / all_pairs, GOAL, False,
                   f"merged labels equal, {labels} structures found", "ratio: share of (window, decoder) pairs",
                   ours_s, rival_s)]  # fmt: skip


class Ranges:
    """A tiny network for each decoder: one convolution over two features."""

    def __init__(self, scan: Scan, windows: Windows):
        self.scan, self.windows, self.rules, self.parts, self.pairs = scan, windows, merging(), parts(decoders()), 0
        self.encoder = with_seed(lambda: torch.nn.Conv3d(1, 2, 3, padding=1))
        self.networks = []
        for seed, part in enumerate(self.rules.lesions_first(self.parts)):
            channels = len(part.labels) + (not part.nested)
            decoder = with_seed(lambda channels=channels: torch.nn.Conv3d(2, channels, 3, padding=1), seed)
            self.networks.append(PartNetwork(part, lambda encoded, own=(decoder, part.nested): self._probabilities(encoded, *own)))

    def merged(self, body) -> tuple[MergedScan, int, float]:
        """The scan, how many pairs ran, and seconds."""
        self.pairs, begin = 0, time.perf_counter()
        merging_scan = ScanMerging(self.rules, self.parts, body)
        scan = merging_scan(self.scan, ScanPredictor(lambda image: self.encoder(image).relu(), self.networks, self.windows, INTENSITY))
        return scan, self.pairs, time.perf_counter() - begin

    def _probabilities(self, encoded: Tensor, decoder: torch.nn.Module, nested: bool) -> Tensor:
        self.pairs += len(encoded)
        logits = 4 * decoder(encoded)
        return logits.sigmoid() if nested else logits.softmax(1)


class _Bounded(Body):
    """Ranges bound what is merged, but no window is left out."""

    inside_prepared = Anywhere.inside
