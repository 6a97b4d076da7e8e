"""P8: a pruned decoder on disk, against `torch.save` of the same weights."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch

from benchmarks.contest import Result, agreement, alternate, speedup
from benchmarks.paper import SMALL, paper_shape, with_seed
from clnet.model.decoder import DecoderNetwork
from clnet.model.mask import apply_masks, choose_masks, prunable
from clnet.model.sparse import load_sparse, save_sparse

RATE = 0.975
SIZES = {"full": (16, 7), "small": (4, 1)}  # width, repeats
NOTE = ("loading puts the weights into a network; ours also compares the hash of what it read with the one that was "
        "saved, torch.load checks nothing")  # fmt: skip


def run(size: str = "full") -> list[Result]:
    """Two results: file size and time to load."""
    width, repeats = SIZES[size]
    shape = paper_shape() if size == "full" else SMALL
    network, copy, other = (with_seed(lambda: DecoderNetwork(shape, 3, width), seed) for seed in range(3))
    masks = choose_masks(prunable(network), RATE)
    apply_masks(network, masks)
    with TemporaryDirectory() as folder:
        sparse, dense = Path(folder, "decoder.safetensors"), Path(folder, "decoder.pt")
        save_sparse(network, masks, sparse)
        torch.save(network.state_dict(), dense)
        sides = {"ours": lambda: load_sparse(copy, sparse), "torch": lambda: other.load_state_dict(torch.load(dense, weights_only=True))}
        times = alternate(sides, repeats)
        bytes_ours, bytes_dense = sparse.stat().st_size, dense.stat().st_size
    pairs = zip(network.state_dict().values(), copy.state_dict().values(), strict=True)
    equal = agreement("weights, bit for bit", float(sum(not torch.equal(a, b) for a, b in pairs)), 0.0)
    workload = f"D{width} with {100 * RATE:g} % of its {sum(p.numel() for p in network.parameters()) / 1e6:.3g} M weights removed"
    return [
        Result("P8", f"{workload}: file size", f"sparse file, {bytes_ours / 1e6:.3g} MB", f"torch.save, {bytes_dense / 1e6:.3g} MB",
               bytes_dense / bytes_ours, 30.0, True, equal),
        Result("P8", f"{workload}: time to load", "sparse file", "torch.load", 1.0 / speedup(times, "ours", "torch"), 1.2, False, equal,
               NOTE, median(times["ours"]), median(times["torch"])),
    ]  # fmt: skip
