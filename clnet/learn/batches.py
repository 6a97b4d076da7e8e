"""Training batches: patches, augmentation and the targets of the decoders that learn from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from clnet.data.augment import Augmentation
from clnet.data.intensity import Intensity
from clnet.data.sampler import PatchSampler, read_patch, with_margin
from clnet.data.store import PreparedCase
from clnet.learn.target import DecoderTarget

PRESENT_SHARE = 0.6  # of the decoders of a step, at most: those with foreground in its batch


@dataclass(frozen=True)
class Sampling:
    """How batches are cut: everything that a scale may set."""

    patch_zyx: tuple[int, int, int]
    batch_size: int
    foreground_share: float
    decoders_per_step: int | None = None  # None: every decoder of the dataset at every step

    def __post_init__(self):
        object.__setattr__(self, "patch_zyx", tuple(int(v) for v in self.patch_zyx))


class TrainingBatches(Dataset):
    """Item i is the whole batch of training step i, a function of the seed and i alone: a resumed run sees what it would have seen.

    Batch keys: see `clnet.types`. With `decoders_per_step` only that many decoders' targets are in a batch: up to
    `PRESENT_SHARE` of them have foreground in it, the others have none, each drawn at random. dataset_weights: see `PatchSampler`.
    """

    def __init__(
        self,
        cases: Sequence[PreparedCase],
        targets: Mapping[str, DecoderTarget],
        sampling: Sampling,
        intensity: Intensity,
        augmentation: Augmentation,
        seed: Sequence[int],
        dataset_weights: Mapping[str, float] | None = None,
    ):
        self.targets, self.sampling, self.intensity, self.augmentation = dict(targets), sampling, intensity, augmentation
        self.seed = [int(value) for value in seed]
        labels = {name: [label.name for label in target.labels] for name, target in self.targets.items()}
        self.sampler = PatchSampler(cases, labels, sampling.foreground_share, dataset_weights)

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        size = self.augmentation.read_size(self.sampling.patch_zyx)
        images, layers, cases = [], [], []
        for sample in range(self.sampling.batch_size):
            seed = [*self.seed, step, sample]
            patch = self.sampler.draw(np.random.default_rng(seed), self.sampling.patch_zyx)
            case = self.sampler.cases[patch.case]
            image_hu, values = read_patch(case, with_margin(patch.start_zyx, self.sampling.patch_zyx, size), size)
            image, values = self.augmentation(
                torch.from_numpy(self.intensity.normalise(image_hu)), torch.from_numpy(values.astype(np.int16)), seed
            )
            images.append(image)
            layers.append(values.numpy())
            cases.append(case)
        batch = {"image": torch.stack(images).float()}
        for name in self._chosen(layers, cases, np.random.default_rng([*self.seed, step, self.sampling.batch_size])):
            target = self.targets[name]
            fits = [target.fits(case) for case in cases]
            known = zip(layers, cases, fits, strict=True)
            encoded = [target.encode(values, case.label_table) if fit else target.nothing(values.shape[1:]) for values, case, fit in known]
            batch[f"target/{name}"] = torch.from_numpy(np.stack(encoded))
            batch[f"valid/{name}"] = torch.tensor(fits)
        return batch

    def _chosen(self, layers: Sequence[np.ndarray], cases: Sequence[PreparedCase], rng: np.random.Generator) -> list[str]:
        names, limit = list(self.targets), self.sampling.decoders_per_step
        if limit is None or limit >= len(names):
            return names
        present = set()
        for values, case in zip(layers, cases, strict=True):
            seen = [set(np.unique(layer).tolist()) for layer in values]
            for name, target in self.targets.items():
                places = (case.label_table[label.name] for label in target.labels if label.name in case.label_table)
                if any(seen[layer] & set(wanted) for layer, wanted in places):
                    present.add(name)
        shuffled = [names[i] for i in rng.permutation(len(names))]
        seen, unseen = ([name for name in shuffled if (name in present) == wanted] for wanted in (True, False))
        first = max(round(limit * PRESENT_SHARE), limit - len(unseen))  # the others learn where they have to be silent
        return sorted([*seen[:first], *unseen, *seen[first:]][:limit], key=names.index)


class StepSampler(Sampler):
    """Global step numbers of one epoch, `rank` of `world` apart, so that shuffling needs no random state of its own."""

    def __init__(self, steps_per_epoch: int, rank: int = 0, world: int = 1, epoch: int = 0):
        self.steps_per_epoch, self.rank, self.world, self.epoch = steps_per_epoch, rank, world, epoch

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer when an epoch begins; too late for the first one, whose iterator is made before."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps_per_epoch

    def __iter__(self) -> Iterator[int]:
        first = self.epoch * self.steps_per_epoch
        return iter(step * self.world + self.rank for step in range(first, first + self.steps_per_epoch))


def batch_loader(
    batches: Dataset, steps_per_epoch: int, workers: int, rank: int = 0, world: int = 1, first_epoch: int = 0
) -> DataLoader:
    """A loader that hands out finished batches in the order of their steps, from those of `first_epoch` on."""
    return DataLoader(
        batches,
        batch_size=None,
        sampler=StepSampler(steps_per_epoch, rank, world, first_epoch),
        num_workers=workers,
        worker_init_fn=_one_thread,
        persistent_workers=workers > 0,
    )


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)
