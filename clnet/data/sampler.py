"""Where training patches are cut: in proportion on labels and anywhere in the body, decided by seed and step alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clnet.data.intensity import AIR_HU
from clnet.data.store import PreparedCase
from clnet.errors import DataError


@dataclass(frozen=True)
class Patch:
    """A place in a case: `start_zyx` may lie outside the volume, which is then padded."""

    case: int
    start_zyx: tuple[int, int, int]


class PatchSampler:
    """Draws a patch centred on a labelled voxel with probability `foreground_share`, anywhere otherwise.

    cases: prepared training cases. groups: decoder name -> the labels that it learns. A decoder is drawn first, then one of its
    labels, then a case that has it, so that a decoder of many labels does not crowd out the others.
    dataset_weights: dataset -> how often it is drawn, in proportion; then, instead of a decoder, a dataset is drawn first, one of the
    labels that its cases have, and one of these cases.
    Raises DataError when a label has no voxel in any case.
    Source: nnU-Net oversamples foreground in a third of the batch; the order of draws is ours.
    """

    def __init__(
        self, cases: Sequence[PreparedCase], groups: Mapping[str, Sequence[str]], foreground_share: float,
        dataset_weights: Mapping[str, float] | None = None,
    ):  # fmt: skip
        self.cases = list(cases)
        self.groups = {name: tuple(labels) for name, labels in groups.items()}
        self.foreground_share = foreground_share
        self.holders = {label: self._cases_with(label) for labels in self.groups.values() for label in labels}
        empty = [label for label, holders in self.holders.items() if not holders]
        if empty:
            dataset = self.cases[0].dataset if self.cases else "no case at all"
            raise DataError(
                "labels without a single training voxel",
                where=f"training cases of {dataset}",
                found=", ".join(empty),
                expected="at least one case that annotates each label",
                fix="drop these labels in the dataset's YAML, or add cases",
            )

        self.owned: dict[str, dict[str, list[int]]] = {}  # dataset -> label -> its cases that have it
        for label, holders in self.holders.items() if dataset_weights else ():
            for case in holders:
                self.owned.setdefault(self.cases[case].dataset, {}).setdefault(label, []).append(case)
        self.weights = np.array([dataset_weights[dataset] for dataset in self.owned], dtype=float)

    def _cases_with(self, label: str) -> list[int]:
        return [i for i, case in enumerate(self.cases) if label in case.annotated and len(case.locations(label))]

    def draw(self, rng: np.random.Generator, size_zyx: Sequence[int]) -> Patch:
        """One patch of `size_zyx` voxels."""
        if self.owned:
            holders = list(self.owned.values())[rng.choice(len(self.owned), p=self.weights / self.weights.sum())]
            group = tuple(holders)
        else:
            names, holders = list(self.groups), self.holders
            group = self.groups[names[rng.integers(len(names))]]
        label = group[rng.integers(len(group))]
        case = int(rng.choice(holders[label]))
        shape = self.cases[case].shape_zyx
        if rng.random() < self.foreground_share:
            locations = self.cases[case].locations(label)
            centre = locations[rng.integers(len(locations))]
        else:
            centre = anywhere(rng, shape)
        return Patch(case, start_around(centre, size_zyx, shape))


def anywhere(rng: np.random.Generator, shape_zyx: Sequence[int]) -> list[int]:
    """A voxel (z, y, x) of a volume, each as likely."""
    return [int(rng.integers(n)) for n in shape_zyx]


def start_around(centre_zyx: Sequence[int], size_zyx: Sequence[int], shape_zyx: Sequence[int]) -> tuple[int, int, int]:
    """First voxel (z, y, x) of a window centred on a voxel, moved into the volume where it fits."""
    return tuple(_start(int(c), int(s), int(n)) for c, s, n in zip(centre_zyx, size_zyx, shape_zyx, strict=True))


def with_margin(start_zyx: Sequence[int], size_zyx: Sequence[int], read_zyx: Sequence[int]) -> list[int]:
    """First voxel of a larger window around a window; it may lie outside the volume, else no patch would ever show the border."""
    return [first - (n - m) // 2 for first, n, m in zip(start_zyx, read_zyx, size_zyx, strict=True)]


def _start(centre: int, size: int, length: int) -> int:
    """First voxel of a window centred on `centre`, inside the volume where it fits and centred on the volume where it does not."""
    if size >= length:
        return (length - size) // 2
    return min(max(centre - size // 2, 0), length - size)


def read_patch(case: PreparedCase, start_zyx: Sequence[int], size_zyx: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """HU (z, y, x) int16 and label layers (layer, z, y, x) of a window; air and background outside the volume."""
    inside = tuple(slice(max(a, 0), min(a + s, n)) for a, s, n in zip(start_zyx, size_zyx, case.shape_zyx, strict=True))
    image, layers = case.image_hu(inside), case.layers(inside)
    pad = [(box.start - a, a + s - box.stop) for box, a, s in zip(inside, start_zyx, size_zyx, strict=True)]
    if any(before or after for before, after in pad):
        image = np.pad(image, pad, constant_values=AIR_HU)
        layers = np.pad(layers, [(0, 0), *pad])
    return image, layers
