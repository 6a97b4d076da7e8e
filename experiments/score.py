"""One row of scores.csv for one structure of one case, and the policies for what a number means when a mask is empty.

An undefined value is None (an empty cell), never a sentinel, and is left out of means; its status says why, and tables count each status.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from experiments.metrics import cropped, dice, surface_metrics

STATUSES = ("ok", "missed", "false_positive", "both_empty", "not_annotated", "out_of_fov")


@dataclass(frozen=True)
class Scores:
    """What a policy says about one structure of one case."""

    status: str
    dsc: float | None = None
    asd_mm: float | None = None
    hd95_mm: float | None = None
    nsd: float | None = None


@dataclass(frozen=True)
class Missed:
    """A structure that the reference has and the prediction has not."""

    structure: str
    reference_mm3: float
    image_diagonal_mm: float


class Policy(Protocol):
    """How the three cases with an empty mask are scored."""

    def missed(self, case: Missed) -> Scores: ...

    def false_positive(self) -> Scores: ...

    def both_empty(self) -> Scores: ...


@dataclass(frozen=True)
class PaperPolicy:
    """An empty reference is left out of means and counted; a missed structure has no overlap (DSC and NSD 0) and no distance.

    Source: CL-Net leaves it open; the reading taken here is the one under which no method gains by predicting nothing.
    """

    def missed(self, case: Missed) -> Scores:
        return Scores("missed", dsc=0.0, nsd=0.0)

    def false_positive(self) -> Scores:
        return Scores("false_positive")

    def both_empty(self) -> Scores:
        return Scores("both_empty")


@dataclass(frozen=True)
class NnunetPolicy(PaperPolicy):
    """Voxels predicted where the reference is empty score 0; two empty masks are left out.

    Source: nnU-Net v2, evaluate_predictions.compute_metrics (Dice is NaN only if TP + FP + FN = 0; nanmean over cases).
    """

    def false_positive(self) -> Scores:
        return Scores("false_positive", dsc=0.0, nsd=0.0)


@dataclass(frozen=True)
class SatPolicy(NnunetPolicy):
    """As nnU-Net, but two empty masks score 1. Source: SAT's public evaluation code; the paper does not say."""

    def both_empty(self) -> Scores:
        return Scores("both_empty", dsc=1.0, nsd=1.0)


@dataclass(frozen=True)
class CadsPolicy(PaperPolicy):
    """A missed structure is judged by how much of it the scan shows, as a share of its usual volume.

    Above `visible_share`: DSC and NSD 0, HD95 the diagonal of the image. Below `clipped_share`: left out, status out_of_fov. Between them,
    or for a structure whose usual volume is not given: DSC and NSD 0, no distance (the paper is silent).
    Source: CADS, section 5.1 (false negatives) and Table A.5 (volumes in voxels of 1.5 mm).
    """

    usual_voxels: Mapping[str, int] = field(default_factory=dict)
    voxel_mm3: float = 1.5**3
    visible_share: float = 0.9
    clipped_share: float = 0.1

    def missed(self, case: Missed) -> Scores:
        usual = self.usual_voxels.get(case.structure)
        share = case.reference_mm3 / (usual * self.voxel_mm3) if usual else None
        if share is not None and share < self.clipped_share:
            return Scores("out_of_fov")
        penalty_mm = case.image_diagonal_mm if share is not None and share > self.visible_share else None
        return Scores("missed", dsc=0.0, hd95_mm=penalty_mm, nsd=0.0)


def score_case(prediction: np.ndarray | None, reference: np.ndarray | None, spacing_mm: Sequence[float], *, structure: str,
               tolerance_mm: float, annotated: bool = True, in_fov: bool = True, policy: Policy | None = None,
               image_shape_zyx: Sequence[int] | None = None) -> dict:
    """Metrics, voxel counts and status of one structure of one case, keyed as the columns of scores.csv.

    prediction, reference: (z, y, x) masks on the case's native grid. Where the case does not annotate the structure, the reference is
    unknown and may be None. `in_fov` False says that the scan does not reach the structure; voxels predicted there are false positives.
    image_shape_zyx: of the whole grid, where the masks are a box of it that holds all their voxels.
    Raises ValueError for masks of different shapes, and for a missing prediction (None is not an empty mask) or reference.
    """
    policy = policy or PaperPolicy()
    if not annotated:
        return _row(Scores("not_annotated"), None, prediction)
    if prediction is None or reference is None:
        raise ValueError(f"{structure}: no {'prediction' if prediction is None else 'reference'} to score; an empty one is a mask of zeros")
    extent_mm = [size * spacing for size, spacing in zip(image_shape_zyx or np.shape(reference), spacing_mm, strict=True)]
    prediction, reference = cropped(prediction, reference)
    if not reference.any():
        scores = policy.false_positive() if prediction.any() else policy.both_empty() if in_fov else Scores("out_of_fov")
    elif not prediction.any():
        scores = policy.missed(Missed(structure, np.count_nonzero(reference) * math.prod(spacing_mm), math.hypot(*extent_mm)))
    else:
        scores = Scores("ok", dice(prediction, reference), *surface_metrics(prediction, reference, spacing_mm, tolerance_mm))
    return _row(scores, reference, prediction)


def _row(scores: Scores, reference: np.ndarray | None, prediction: np.ndarray | None) -> dict:
    return {"dsc": scores.dsc, "asd_mm": scores.asd_mm, "hd95_mm": scores.hd95_mm, "nsd": scores.nsd,
            "reference_voxels": None if reference is None else int(np.count_nonzero(reference)),
            "predicted_voxels": None if prediction is None else int(np.count_nonzero(prediction)), "status": scores.status}
