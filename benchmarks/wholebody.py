"""A simulated whole body: all decoders of the registry, where in the body each belongs, the rules of merging, and a scan without a file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import yaml
from hydra.utils import instantiate
from omegaconf import OmegaConf

from clnet.anatomy import registry
from clnet.infer.bodypart import BodyPartRange
from clnet.infer.merging import MergingRules
from clnet.types import Decoder, Geometry, Label, Part

HERE = Path(__file__).resolve().parent
MARGIN = 0.04  # of a range at both ends: twice a standard deviation of 2 % of the way (equations 5 and 6)
LIMITS = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


def decoders() -> list[Decoder]:
    """All 101, supporters before those that they support."""
    return list(registry.load().decoders.values())


def parts(of: Iterable[Decoder]) -> list[Part]:
    """Each decoder as a part that knows all of its structures."""
    return [Part(d.name, tuple(Label(name, (name,)) for name in d.structures), d.name, d.nested) for d in of]


def merging() -> MergingRules:
    """The project's own: conf/merging/default.yaml."""
    return instantiate(OmegaConf.load(HERE.parent / "conf" / "merging" / "default.yaml").merging, _convert_="all")


def ranges() -> dict[str, BodyPartRange]:
    """Decoder -> its organ-level range, from extents.yaml with a margin; lesions have none."""
    table = yaml.safe_load((HERE / "extents.yaml").read_text(encoding="utf-8"))
    return {name: BodyPartRange(max(low - MARGIN, 0.0), min(high + MARGIN, 1.0)) for name, (low, high) in table.items()}


class Body:
    """What body part regression says of a scan from the bottom of the pelvis to the top of the head."""

    def inside(self, case: Scan) -> dict[str, np.ndarray]:
        """Decoder -> (z,) bool on the native grid; as on the prepared one, this body fills the scan."""
        return _inside(case.geometry.shape_zyx[0])

    def inside_prepared(self, case: Scan) -> dict[str, np.ndarray]:
        """On the prepared grid, a slice wider at both ends, as interpolation to the native grid reads."""
        return {name: np.convolve(own, [1, 1, 1], mode="same") > 0 for name, own in _inside(case.shape_zyx[0]).items()}


def _inside(slices: int) -> dict[str, np.ndarray]:
    scores = (np.arange(slices) + 0.5) / slices
    return {name: own.inside(scores) for name, own in ranges().items()}


class Scan:
    """What prediction reads of a prepared case. native_zyx: of the scan's own grid; crop_zyx: (start, stop) of the body there."""

    def __init__(self, image_hu: np.ndarray, native_zyx: tuple[int, int, int] | None = None, crop_zyx: LIMITS | None = None):
        self._image_hu, self.shape_zyx = image_hu, image_hu.shape
        native_zyx = tuple(native_zyx or image_hu.shape)
        self.crop_zyx = crop_zyx or tuple((0, n) for n in native_zyx)
        self.geometry = Geometry(native_zyx, (1.0,) * 3, (0.0,) * 3, tuple(np.eye(3).ravel()))

    def image_hu(self) -> np.ndarray:
        """(z, y, x) int16."""
        return self._image_hu


def body_hu(shape_zyx: tuple[int, int, int], seed: int = 0) -> np.ndarray:
    """(z, y, x) int16: an upright ellipse of smooth soft tissue, -300 to 300 HU, in air."""
    rng = np.random.default_rng(seed)
    z, y, x = (np.linspace(-1, 1, n, dtype=np.float32) for n in shape_zyx)
    waves = [[np.cos(axis * rng.uniform(2, 9) * k + rng.uniform(0, 6)) for axis, k in ((z, 4), (y, 1), (x, 1))] for _ in range(6)]
    outside = (y[:, None] / 0.9) ** 2 + (x[None] / 0.95) ** 2 > 1
    image = np.empty(shape_zyx, np.int16)
    for k in range(len(z)):
        plane = sum(own_z[k] * own_y[:, None] * own_x[None] for own_z, own_y, own_x in waves)
        image[k] = np.where(outside, -1000, 100 * plane)
    return image
