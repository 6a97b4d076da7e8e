"""Views of a patch for learning without labels: augmented in Hounsfield units, before the network's windows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from batchgeneratorsv2.transforms.base.basic_transform import ImageOnlyTransform
from torch import Tensor

from clnet.data.augment import Augmentation
from clnet.data.intensity import Intensity

UNIT_HU = 1024.0  # intensities are augmented as HU / 1024


def view_of(image_hu: np.ndarray, augmentation: Augmentation, intensity: Intensity, seed: Sequence[int]) -> Tensor:
    """One view, as the network reads it: (channel, z, y, x) float32 of the augmentation's patch.

    image_hu: (z, y, x) int16 of `augmentation.read_size`. Intensities are changed on the scale HU / 1024 and clipped to [-1, 1] there,
    that is to [-1024, 1024] HU. The same seed gives the same view.
    Source: CL-Net A4 (view augmentation); NOTES.md 16.
    """
    scaled = torch.from_numpy(image_hu.astype(np.float32) / UNIT_HU)[None].clamp_(-1, 1)
    augmented = augmentation(scaled, None, seed)[0].clamp(-1, 1)
    return torch.from_numpy(intensity.normalise(np.round(augmented[0].numpy() * UNIT_HU).astype(np.int16)))


class AxisShrink:
    """Draws the share of its voxels that an axis keeps, for batchgeneratorsv2's low resolution: 1 / f with f uniform in the axis's range.

    height: (lowest, highest) f of z; plane: of y and x, which shrink alike. Axes are asked for in the order z, y, x.
    Source: CL-Net A4 (simulation of low resolution: one factor for the axial plane).
    """

    def __init__(self, height: Sequence[float], plane: Sequence[float]):
        self.ranges = {0: (float(height[0]), float(height[1])), 1: (float(plane[0]), float(plane[1]))}

    def __call__(self, *_, dim: int, **__) -> float:
        if dim in self.ranges:
            self.factor = np.random.uniform(*self.ranges[dim])  # noqa: NPY002  (the state that batchgeneratorsv2 draws from)
        return 1.0 / self.factor


class Clip(ImageOnlyTransform):
    """Cuts intensities off at both ends of a range, (lowest, highest)."""

    def __init__(self, limits: Sequence[float]):
        super().__init__()
        self.limits = (float(limits[0]), float(limits[1]))

    def _apply_to_image(self, img: Tensor, **params) -> Tensor:
        return img.clamp(*self.limits)


class ResizedCrop(ImageOnlyTransform):
    """A random part of the patch, stretched to the whole patch: what SimSiam does to photographs, and CL-Net advises against in CT.

    share: (least, largest) share of the patch's volume, drawn evenly; each axis is cut by its cube root, anywhere.
    """

    def __init__(self, share: Sequence[float]):
        super().__init__()
        self.share = (float(share[0]), float(share[1]))

    def get_parameters(self, **data_dict) -> dict:
        shape = data_dict["image"].shape[1:]
        volume, *places = torch.rand(4).tolist()
        edge = (self.share[0] + (self.share[1] - self.share[0]) * volume) ** (1 / 3)
        sizes = [max(1, round(n * edge)) for n in shape]
        starts = [int(place * (n - size + 1)) for place, n, size in zip(places, shape, sizes, strict=True)]
        return {"box": tuple(slice(start, start + size) for start, size in zip(starts, sizes, strict=True))}

    def _apply_to_image(self, img: Tensor, **params) -> Tensor:
        part = img[(slice(None), *params["box"])]
        return F.interpolate(part[None], size=img.shape[1:], mode="trilinear")[0]
