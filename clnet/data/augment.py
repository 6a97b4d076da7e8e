"""Training augmentation: batchgeneratorsv2's transforms, listed in YAML, made repeatable step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from batchgeneratorsv2.transforms.utils.compose import ComposeTransforms
from batchgeneratorsv2.transforms.utils.random import RandomTransform
from torch import Tensor


class Augmentation:
    """A chain of batchgeneratorsv2 transforms over one patch.

    transforms: pairs of a transform and its probability, in order; the spatial one crops to the final patch.
    margin: how much larger than the final patch, per axis, the patch is read, so that a rotation finds voxels in the corners.
    Source: nnU-Net's default augmentation, to which CL-Net A4 defers.
    """

    def __init__(self, transforms: Sequence[dict], margin: Sequence[float] = (1.0, 1.0, 1.0)):
        self.margin = tuple(float(value) for value in margin)
        self.chain = ComposeTransforms([_with_probability(entry["transform"], entry.get("probability", 1.0)) for entry in transforms])

    def read_size(self, patch_zyx: Sequence[int]) -> tuple[int, ...]:
        """Voxels to read on each axis for a final patch of `patch_zyx`."""
        return tuple(int(np.ceil(size * margin)) for size, margin in zip(patch_zyx, self.margin, strict=True))

    def __call__(self, image: Tensor, layers: Tensor | None, seed: Sequence[int]) -> tuple[Tensor, Tensor | None]:
        """Augment one sample; the same seed gives the same result, and the caller's random state is left as it was.

        image: (channel, z, y, x) float32, normalised; layers: (layer, z, y, x) label values, None without labels. Returns both,
        cropped to the patch.
        """
        state = np.random.get_state()
        with torch.random.fork_rng(devices=[]):
            entropy = np.random.SeedSequence(list(seed)).generate_state(2)
            np.random.seed(entropy[0])
            torch.manual_seed(int(entropy[1]))
            result = self.chain(image=image, **({} if layers is None else {"segmentation": layers}))
        np.random.set_state(state)
        return result["image"], result.get("segmentation")


def _with_probability(transform: Callable, probability: float) -> Callable:
    return transform if probability >= 1.0 else RandomTransform(transform, apply_probability=probability)
