"""How good an encoder's features are, in minutes: what a linear map reads out of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from clnet.atomic import write_json
from clnet.data.intensity import Intensity
from clnet.data.sampler import read_patch, start_around
from clnet.data.store import PreparedCase
from clnet.errors import UsageError
from clnet.learn.archive import Archive, LearnedEncoder
from clnet.learn.workshop import Workshop
from clnet.model.block import with_fast_layout
from clnet.types import Task

RECORD = "probe.json"


@dataclass(frozen=True)
class ProbePlan:
    """patches of each case, of patch_zyx voxels, centred on labelled voxels, every label as likely; ridge: weights of the penalty to
    choose from, for height and label each.

    Half of the cases fit the map, the others are read by it. There are about as many features as patches, so a fixed penalty that is right
    for one encoder is none at all for another: it is chosen within the fitting half, see `ridge_chosen`.
    """

    patches: int
    patch_zyx: tuple[int, int, int]
    ridge: Sequence[float] = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)

    def __post_init__(self):
        object.__setattr__(self, "patch_zyx", tuple(int(v) for v in self.patch_zyx))
        object.__setattr__(self, "ridge", tuple(float(v) for v in self.ridge))


@dataclass(frozen=True)
class Probed:
    """height_mm: mean error of the height in the scan; height_by_mean_mm: of answering the mean instead. tissue: share of labels named
    rightly, averaged over labels; tissue_by_chance: one over their number. n: patches read.
    """

    height_mm: float
    height_by_mean_mm: float
    tissue: float
    tissue_by_chance: float
    n: int


def probed(shop: Workshop, archive: Archive, encoder: LearnedEncoder, task: Task, plan: ProbePlan) -> Probed:
    """The probe of a learned encoder on a dataset's training cases that have labels, as a unit; no test case is looked at.

    Raises UsageError for fewer than two.
    """
    cases = [case for case in task.cases if case.annotated]
    if len(cases) < 2:
        raise UsageError("a probe needs two cases with labels: one half fits the map, the other one is read by it", where=task.dataset,
                         found=len(cases), fix="probe=none, or more labelled_cases")  # fmt: skip
    identity = shop.identity((), [task], probe=plan, encoder=encoder.identity)

    def build(folder: Path) -> None:
        network = with_fast_layout(archive.encoder(encoder.identity), shop.device).eval()
        write_json(folder / RECORD, asdict(probe(network, cases, shop.intensity, plan, [shop.seed], shop.device)))

    folder = shop.built("probe", identity, build, f"probe on {task.dataset}", collective=False)
    return Probed(**json.loads((folder / RECORD).read_text()))


def probe(
    encoder: Callable[[Tensor], list[Tensor]], cases: Sequence[PreparedCase], intensity: Intensity, plan: ProbePlan, seed: Sequence[int],
    device: torch.device | str = "cpu",
) -> Probed:  # fmt: skip
    """Ridge regression of the patch centre's height above the scan's lowest labelled slice, and ridge classification of its label, from the
    features of every level at the centre. Raises ValueError for fewer than two cases.
    """
    if len(cases) < 2:
        raise ValueError("one half of the cases fits the map, the other one is read by it: two at least")
    rows = [_features(encoder, case, intensity, plan, [*seed, number], device) for number, case in enumerate(cases)]
    fitted, read = (_joined(rows[first::2]) for first in (0, 1))
    features, heights, labels = fitted
    names = sorted(set(labels))
    classes = torch.tensor([[float(label == name) for name in names] for label in labels])
    mean, deviation = features.mean(0), features.std(0).clamp_min(1e-6)
    folds = [len(own) for _, own, _ in rows[::2]] if len(rows) > 2 else [len(labels) // 2, len(labels) - len(labels) // 2]
    fitting = (features - mean) / deviation
    maps = [ridge_fit(fitting, targets, ridge_chosen(fitting, targets, folds, plan.ridge)) for targets in (heights[:, None], classes)]
    features, true_heights, true_labels = read
    told_heights, told_classes = (ridge_read((features - mean) / deviation, weights) for weights in maps)
    named = [names[index] for index in told_classes.argmax(1).tolist()]
    return Probed(
        height_mm=float((told_heights[:, 0] - true_heights).abs().mean()),
        height_by_mean_mm=float((heights.mean() - true_heights).abs().mean()),
        tissue=_balanced(true_labels, named), tissue_by_chance=1 / len(names), n=len(true_labels),
    )  # fmt: skip


def ridge_fit(features: Tensor, targets: Tensor, penalty: float) -> Tensor:
    """Least squares with a squared penalty on all weights but the constant's.

    features: (row, feature); targets: (row, target). Returns (feature + 1, target), the constant last.
    """
    return _solved(*_products(features, targets), penalty)


def ridge_chosen(features: Tensor, targets: Tensor, folds: Sequence[int], penalties: Sequence[float]) -> float:
    """The penalty with the least squared error on rows that the map was not fitted to, each fold left out in turn; the largest of equals.

    folds: numbers of rows that belong together, such as those of one case, in their order.
    """
    parts = list(zip(features.split(list(folds)), targets.split(list(folds)), strict=True))
    own = [_products(*part) for part in parts]
    whole = [sum(products) for products in zip(*own, strict=True)]

    def error(penalty: float) -> float:
        total = 0.0
        for (left_out, answers), products in zip(parts, own, strict=True):
            weights = _solved(*(a - b for a, b in zip(whole, products, strict=True)), penalty)
            total += float((ridge_read(left_out, weights) - answers).square().sum())
        return total

    return min(sorted(penalties, reverse=True), key=error)


def _products(features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Features, a constant beside them, times themselves and times the targets."""
    rows = F.pad(features.double(), (0, 1), value=1.0)
    return rows.T @ rows, rows.T @ targets.double()


def _solved(gram: Tensor, answers: Tensor, penalty: float) -> Tensor:
    gram = gram.clone()
    gram.diagonal()[:-1] += penalty
    return torch.linalg.solve(gram, answers).float()


def ridge_read(features: Tensor, weights: Tensor) -> Tensor:
    """What `ridge_fit` predicts: (row, target)."""
    return F.pad(features, (0, 1), value=1.0) @ weights


@torch.no_grad()
def _features(
    encoder: Callable, case: PreparedCase, intensity: Intensity, plan: ProbePlan, seed: Sequence[int], device: torch.device | str
) -> tuple[Tensor, Tensor, list[str]]:  # fmt: skip
    """Of one case: features (patch, all levels' channels) at the centres, heights in mm, labels."""
    rng = np.random.default_rng(list(seed))
    present = sorted(name for name in case.annotated if len(case.locations(name)))
    lowest = min(int(case.locations(name)[:, 0].min()) for name in present)
    rows, heights, labels = [], [], []
    for _ in range(plan.patches):
        name = present[rng.integers(len(present))]
        places = case.locations(name)
        centre = places[rng.integers(len(places))]
        start = start_around(centre, plan.patch_zyx, case.shape_zyx)
        image = torch.from_numpy(intensity.normalise(read_patch(case, start, plan.patch_zyx)[0]))[None].float()
        levels = encoder(image.repeat(2, 1, 1, 1, 1).to(device))  # a single sample takes longer on a CPU than two
        share = [(int(c) - s + 0.5) / n for c, s, n in zip(centre, start, plan.patch_zyx, strict=True)]
        at = [tuple(min(int(part * n), n - 1) for part, n in zip(share, level.shape[2:], strict=True)) for level in levels]
        rows.append(torch.cat([level[0, :, z, y, x].float().cpu() for level, (z, y, x) in zip(levels, at, strict=True)]))
        heights.append((int(centre[0]) - lowest) * case.spacing_mm[0])
        labels.append(name)
    return torch.stack(rows), torch.tensor(heights), labels


def _joined(rows: Sequence[tuple[Tensor, Tensor, list[str]]]) -> tuple[Tensor, Tensor, list[str]]:
    features, heights, labels = zip(*rows, strict=True)
    return torch.cat(features), torch.cat(heights), [label for part in labels for label in part]


def _balanced(true: Sequence[str], named: Sequence[str]) -> float:
    hits = {name: [t == n for t, n in zip(true, named, strict=True) if t == name] for name in set(true)}
    return float(np.mean([np.mean(each) for each in hits.values()]))
