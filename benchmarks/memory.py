"""Peak memory of a whole-body scan with all 101 decoders and 235 structures, in a process of its own.

The scan has 512 x 512 x 800 voxels, windows and prepared grid are the paper's. The networks are the cheapest that still find contiguous
structures all over the body, since what is measured is all around them: sums of windows, interpolation, merging, label maps. They claim
each voxel several times over, as decoders of anatomies that hardly overlap do not: what they claim has to be kept until it is merged.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.contest import Result
from benchmarks.wholebody import Body, Scan, body_hu, decoders, merging, parts
from clnet.data.intensity import Intensity
from clnet.data.labels import value_counts
from clnet.infer.combine import CombinedLabelMap
from clnet.infer.mergedscan import ScanMerging
from clnet.infer.predict import PartNetwork, ScanPredictor
from clnet.infer.window import Windows
from clnet.types import Part

KEY = "MEMORY"
GOAL_GIB = 4.0  # of the whole process, beside the prepared scan
# native size, the body's crop there, its size on a prepared grid of 1.5 x 1 x 1 mm, window, GiB for sums, width of tones
SIZES = {
    "full": ((800, 512, 512), ((0, 800), (40, 470), (30, 482)), (533, 301, 316), (112, 96, 128), 2.0, 0.01),
    "small": ((48, 64, 64), ((0, 48), (4, 60), (2, 62)), (32, 40, 42), (16, 16, 16), 1e-2, 0.1),
}
_POOL = 8  # voxels a side: the networks see and decide that coarsely


def run(size: str = "full") -> list[Result]:
    """One result, whose ratio is the peak in GiB. Raises AssertionError where a structure or a merged voxel is not as it should be."""
    command = [sys.executable, "-m", "benchmarks.memory", "--measure", size, str(torch.get_num_threads())]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).resolve().parents[1])
    if done.returncode:
        raise AssertionError(done.stderr)
    found = json.loads(done.stdout)
    native = SIZES[size][0]
    workload = f"{' x '.join(map(str, native[::-1]))} voxels, {found['decoders']} decoders, {found['structures']} structures"
    note = (f"peak {found['peak_gib']:.2f} GiB of the process, {found['input_gib']:.2f} of them the prepared scan; windows encoded "
            f"{found['passes']} times; a voxel is claimed by {found['claims']:.1f} decoders; merged label maps take "
            f"{found['held_gib']:.3f} GiB")  # fmt: skip
    equal = f"{found['found']} structures found, one winner a voxel in each set"
    return [Result(KEY, workload, "peak in GiB beside the scan", f"all sums at once: {found['dense_gib']:.1f} GiB",
                   found["peak_gib"] - found["input_gib"], GOAL_GIB, False, equal, note, found["seconds"])]  # fmt: skip


def measure(size: str) -> dict:
    """Predict, merge and combine one scan as task=predict does; what it took of this process."""
    native, crop, prepared, patch, sums_gib, width = SIZES[size]
    rules, all_parts = merging(), parts(decoders())
    case, windows = Scan(body_hu(prepared), native, crop), Windows(patch, 0.5, 2)
    intensity, calls = Intensity([{"center_hu": 0.0, "scale_hu": 250.0}]), []

    def encoder(image: Tensor) -> Tensor:
        calls.append(len(image))
        return F.avg_pool3d(image, _POOL)

    tones = [Tones(part, seed, width) for seed, part in enumerate(rules.lesions_first(all_parts))]
    networks = [PartNetwork(own.part, own) for own in tones]
    begin = time.perf_counter()
    scan = ScanMerging(rules, all_parts, Body())(case, ScanPredictor(encoder, networks, windows, intensity, sums_gib=sums_gib))
    combined = CombinedLabelMap(all_parts, native)
    for part, label_map in scan.parts():
        combined.add(part, label_map)
    seconds, channels = time.perf_counter() - begin, sum(network.channels for network in networks)
    for name, values in scan.sets():
        found = set(np.flatnonzero(value_counts(values)).tolist()) - {0}
        assert found and found <= set(scan.names[name]), name
    once = len(windows.starts(prepared[0], 0)) * len(windows.starts(prepared[1], 1)) * len(windows.starts(prepared[2], 2))
    return {
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, "input_gib": case.image_hu().nbytes / 2**30,
        "held_gib": scan.nbytes / 2**30, "dense_gib": channels * patch[0] * prepared[1] * prepared[2] * 4 / 2**30,
        "decoders": len(all_parts), "structures": sum(len(part.labels) for part in all_parts), "found": len(combined.found()),
        "passes": round(sum(calls) / once, 1), "seconds": seconds,
        "claims": sum(float(np.mean(own.claimed)) for own in tones if own.claimed),
    }  # fmt: skip


class Tones:
    """Finds each structure of a part where the tissue's tone is close to the structure's own, drawn at random."""

    def __init__(self, part: Part, seed: int, width: float):
        rng = np.random.default_rng(seed)
        self.part, self.nested, count = part, part.nested, len(part.labels)
        self.tone = torch.tensor(rng.uniform(-0.9, 0.9, count), dtype=torch.float32).reshape(1, -1, 1, 1, 1)
        self.width, self.claimed = width, []  # claimed: share of each batch of windows

    def __call__(self, pooled: Tensor) -> Tensor:
        """(batch, 1, z, y, x) of the coarse grid -> probabilities of the fine one."""
        logits = 3 - ((pooled - self.tone) / self.width) ** 2
        self.claimed.append(float((logits > 0).any(1).float().mean()))
        coarse = logits.sigmoid() if self.nested else torch.cat((torch.zeros_like(pooled), logits), dim=1).softmax(1)
        return F.interpolate(coarse, scale_factor=_POOL, mode="trilinear")


if __name__ == "__main__":  # what `run` starts
    torch.set_num_threads(int(sys.argv[3]))
    print(json.dumps(measure(sys.argv[2])))
