"""H4: instance normalisation on a GPU, forward and backward in bfloat16, against torch's own two ways."""

from __future__ import annotations

from functools import partial
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.contest import Result, agreement, alternate, speedup
from benchmarks.paper import PATCH_ZYX, Place, with_seed
from clnet.model.norm import Normalised

# samples and channels of each contest, size of the volumes, repeats
SIZES = {"full": (((4, 16), (4, 32), (2, 16), (2, 32), (2, 8)), PATCH_ZYX, 7), "small": (((1, 2),), (8, 8, 8), 1)}
RIVALS = {"torch's group normalisation": lambda x, w, b: F.group_norm(x, len(w), w, b),
          "torch's instance normalisation": lambda x, w, b: F.instance_norm(x, weight=w, bias=b)}  # fmt: skip
TOLERANCE = 2e-2  # of gradients in bfloat16, relative to their norm


def run(size: str = "full") -> list[Result]:
    """Two results for each number of samples and channels."""
    contests, volume, repeats = SIZES[size]
    place, results = Place.best(), []
    for shape in contests:
        image = with_seed(lambda shape=shape: torch.randn(*shape, *volume)).to(place.device)
        weight, bias = (with_seed(lambda n=shape[1]: torch.rand(n), seed).to(place.device).requires_grad_() for seed in (1, 2))
        image = (image.bfloat16() if place.device == "cuda" else image).requires_grad_()
        ways = {"ours": lambda x, w, b: Normalised.apply(x, w, b, 1e-5), **RIVALS}
        sides = {name: partial(place.finished, partial(_step, way, image, weight, bias)) for name, way in ways.items()}
        own = sides["ours"]()
        times = alternate(sides, repeats)
        for rival in RIVALS:
            pairs = zip(own, sides[rival](), strict=True)
            apart = max(float((mine - theirs).float().norm() / theirs.float().norm()) for mine, theirs in pairs)
            results.append(Result("H4", f"{shape[0]} x {shape[1]} channels of {' x '.join(map(str, volume))}{place.words}",
                                  "sums and one pass", rival, speedup(times, "ours", rival), 1.0, True,
                                  agreement("gradients, relative to their norm", apart, TOLERANCE), "",
                                  median(times["ours"]), median(times[rival])))  # fmt: skip
    return results


def _step(way, image: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, ...]:
    result = way(image, weight, bias)
    return torch.autograd.grad(result, (image, weight, bias), torch.ones_like(result) * result.detach())
