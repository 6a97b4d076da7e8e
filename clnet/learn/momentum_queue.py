"""A queue of what the encoder made of earlier data, on the CPU, and the loss that holds a later encoder to it."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from clnet.atomic import replace_atomically
from clnet.data.intensity import Intensity
from clnet.data.sampler import anywhere, read_patch, start_around
from clnet.data.store import PreparedCase
from clnet.errors import DataError, HostError
from clnet.model.shape import NetworkShape

Entry = tuple[Tensor, list[Tensor]]  # image (channel, z, y, x), features (channel, z, y, x) of every level, finest first


@dataclass(frozen=True)
class QueuePlan:
    """size: entries at most. half: stored in half precision. pool: edge in voxels of the cells over which features are averaged before
    they are stored (1: as they are). weight: of the loss; batch_size: entries that a step is held to. patch_zyx: of an entry.

    How the queue moves is ours, since the paper does not say (NOTES.md 15): after each dataset but the last an equal share of the
    entries enters, patches of its training scans without augmentation and the features that the encoder now gives them; so it is full when
    the last dataset is learned, and nothing ever leaves it.
    Source: CL-Net 4.2, A4 (1,024 entries, off the GPU), Table S8 (128, 1,024, 4,096).
    """

    size: int
    patch_zyx: tuple[int, int, int]
    batch_size: int
    weight: float
    half: bool = True
    pool: int = 1

    def __post_init__(self):
        object.__setattr__(self, "patch_zyx", tuple(int(v) for v in self.patch_zyx))

    @property
    def dtype(self) -> torch.dtype:
        """Of what is stored."""
        return torch.float16 if self.half else torch.float32

    def entry_bytes(self, shape: NetworkShape, channels: int) -> int:
        """Memory of one entry, exactly."""
        values, size = channels * int(np.prod(self.patch_zyx)), np.array(self.patch_zyx)
        for width, stride in zip(shape.features, shape.strides, strict=True):
            size = -(-size // np.array(stride))
            values += width * int(np.prod([-(-n // self.pool) for n in size]))
        return values * self.dtype.itemsize

    def memory(self, shape: NetworkShape, channels: int) -> str:
        """What the full queue takes, in words. Raises HostError where this machine has less than that free."""
        entry, free = self.entry_bytes(shape, channels), free_memory()
        text = f"{self.size:,} entries of {entry / 2**20:.2f} MiB, {self.size * entry / 2**30:.2f} GiB of memory in all"
        if self.size * entry > free:
            raise HostError("the momentum queue does not fit into memory", where="encoder.stages.supervised.queue", expected=text,
                            found=f"{free / 2**30:.1f} GiB free", fix="a smaller size, half=true, or a larger pool")  # fmt: skip
        return text


def free_memory() -> int:
    """Bytes that programs can still get, by the kernel's estimate; pages that are free where there is none."""
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


class FeatureQueue:
    """First in, first out: what leaves is the oldest."""

    def __init__(self, plan: QueuePlan):
        self.plan = plan
        self.entries: deque[Entry] = deque(maxlen=plan.size)

    def __len__(self) -> int:
        return len(self.entries)

    def add(self, images: Tensor, features: Sequence[Tensor]) -> None:
        """A batch, in its order. images: (batch, channel, z, y, x); features: (batch, channel, z, y, x) of every level; off the GPU."""
        stored = [pooled(level, self.plan.pool) for level in features]
        for sample in range(len(images)):
            parts = (part[sample].detach().to("cpu", self.plan.dtype, copy=True) for part in (images, *stored))
            image, *levels = parts
            self.entries.append((image, levels))

    def draw(self, seed: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
        """A batch of entries, each as likely, the same for the same seed; float32: images, and features of every level."""
        chosen = np.random.default_rng(list(seed)).integers(len(self.entries), size=self.plan.batch_size)
        entries = [self.entries[int(index)] for index in chosen]
        levels = zip(*(features for _, features in entries), strict=True)
        return torch.stack([image for image, _ in entries]).float(), [torch.stack(level).float() for level in levels]

    def save(self, path: Path) -> None:
        """All entries, oldest first, as safetensors."""
        state = {f"{index}.{part}": tensor for index, (image, features) in enumerate(self.entries)
                 for part, tensor in enumerate((image, *features))}  # fmt: skip
        with replace_atomically(path) as temporary:
            save_file(state, temporary, metadata={"entries": str(len(self.entries))})

    @classmethod
    def load(cls, path: Path, plan: QueuePlan) -> FeatureQueue:
        """What `save` wrote. Raises DataError for a damaged file."""
        queue = cls(plan)
        try:
            state = load_file(path)
        except (SafetensorError, OSError) as error:
            raise DataError("the queue cannot be read", where=path, found=error, fix="delete its folder and run again") from error
        parts: dict[int, dict[int, Tensor]] = {}
        for name, tensor in state.items():
            index, part = name.split(".")
            parts.setdefault(int(index), {})[int(part)] = tensor
        for index in sorted(parts):
            image, *features = (parts[index][part] for part in sorted(parts[index]))
            queue.entries.append((image, features))
        return queue


@dataclass(frozen=True)
class Rehearsal:
    """What a training is held to: entries of a queue, drawn anew at every step."""

    queue: FeatureQueue
    seed: int

    def loss(self, encoder: nn.Module, step: int) -> Tensor:
        """The weighted `consistency` of an encoder with the entries of a step."""
        plan, device = self.queue.plan, next(encoder.parameters()).device
        images, stored = self.queue.draw([self.seed, step])
        return plan.weight * consistency(encoder(images.to(device)), [level.to(device) for level in stored], plan.pool)


@torch.no_grad()
def fill(
    queue: FeatureQueue, encoder: nn.Module, cases: Sequence[PreparedCase], intensity: Intensity, seed: Sequence[int], entries: int
) -> None:  # fmt: skip
    """Add patches from anywhere in the cases, and the features that an encoder gives them."""
    device, size = next(encoder.parameters()).device, queue.plan.patch_zyx
    for number in range(entries):
        rng = np.random.default_rng([*seed, number])
        case = cases[rng.integers(len(cases))]
        start = start_around(anywhere(rng, case.shape_zyx), size, case.shape_zyx)
        image = torch.from_numpy(intensity.normalise(read_patch(case, start, size)[0]))[None].float()
        queue.add(image, encoder(image.to(device)))


def pooled(features: Tensor, edge: int) -> Tensor:
    """Means over cells of `edge` voxels a side, smaller at the far borders. features: (batch, channel, z, y, x)."""
    cell = [min(edge, length) for length in features.shape[2:]]
    return features if edge == 1 else F.avg_pool3d(features, cell, ceil_mode=True, count_include_pad=False)


def consistency(features: Sequence[Tensor], stored: Sequence[Tensor], pool: int) -> Tensor:
    """Mean squared difference between an encoder's features and stored ones, averaged over the levels.

    features: (batch, channel, z, y, x) of every level; stored: the same after `pooled`. No gradient reaches what is stored.
    Source: NOTES.md 15 (feature consistency, L2, on queued features of earlier datasets).
    """
    return torch.stack([F.mse_loss(pooled(now, pool), then.detach()) for now, then in zip(features, stored, strict=True)]).mean()
