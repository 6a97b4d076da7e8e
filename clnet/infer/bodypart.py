"""Which part of the body each slice of a scan shows, and in which part of the body a decoder has its structures.

A slice's score is 0 at the bottom of the pelvis and 1 at the top of the head; it rises along axis 0 of a prepared scan, since LPS
volumes begin at the feet. Slices beyond those ends, such as the legs, have scores below 0 or above 1.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from scipy.optimize import isotonic_regression
from scipy.stats import spearmanr

from clnet.data.store import PreparedCase
from clnet.errors import DataError, UsageError
from clnet.model.bodypart import SliceScorer, SliceView, network_input
from clnet.model.weights import load_weights

WEIGHTS_FILE, RECORD_FILE = "bodypart.safetensors", "bodypart.json"
SMOOTH_MM = 10.0  # neighbouring slices share what they show; more costs nothing on the phantom, but real bodies are no straight lines
_BATCH = 256  # slices a forward pass


@dataclass(frozen=True)
class BodyPartScorer:
    """A trained network and what its raw scores mean.

    spacing_mm: (z, y, x) of the prepared grid that it was trained on, for scans that come without their own. knots: the raw scores that
    become 0, then at equal steps up to the one that becomes 1; between them, and beyond, scores are linear. anchored: training scans
    showed both the bottom of the pelvis and the top of the head. A scorer that is not has never seen some part of the body, and gives
    it the score of any part that it knows: its ranges hold for scans like those that it learned from, and for no others.
    """

    network: SliceScorer
    view: SliceView
    spacing_mm: tuple[float, float, float]
    knots: tuple[float, ...]
    anchored: bool = True
    device: torch.device | str = "cpu"

    @classmethod
    def load(cls, folder: Path, device: torch.device | str = "cpu") -> BodyPartScorer:
        """What `clnet.learn.bodypart.train_scorer` left in `folder`. Raises DataError where a file is missing or damaged."""
        try:
            record = json.loads((Path(folder) / RECORD_FILE).read_text())
            view, network = SliceView(**record["view"]), SliceScorer(record["features"])
            anchored = record["scans_with_zero"] > 0 and record["scans_with_one"] > 0
            spacing_mm, knots = (tuple(map(float, record[name])) for name in ("spacing_mm", "knots"))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                "the record of a body part regression cannot be read", where=Path(folder) / RECORD_FILE, found=repr(error),
                fix="delete the folder that holds the file and run again",
            ) from error  # fmt: skip
        load_weights(network, Path(folder) / WEIGHTS_FILE)
        return cls(network.eval().to(device), view, spacing_mm, knots, anchored, device)

    def raw(self, image_hu: np.ndarray, spacing_mm: Sequence[float] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(z, y, x) int16 HU -> (z,) float64, each slice's score as the network gives it, and (z,) bool, the slices that show a body."""
        shown, body = self.view.slices(image_hu, spacing_mm or self.spacing_mm)
        return raw_scores(self.network, shown, self.device), body

    def order(self, image_hu: np.ndarray, spacing_mm: Sequence[float] | None = None) -> float:
        """How regularly the raw scores of a scan rise: Spearman's correlation with the slices' order, over slices that show a body.

        Close to 1 in scans of what the scorer has learned; lower where it meets parts of the body that it has never seen, whose scores
        mean nothing. 1 for fewer than three slices.
        """
        raw, body = self.raw(image_hu, spacing_mm)
        at = np.flatnonzero(body)
        return float(spearmanr(at, raw[at]).statistic) if len(at) > 2 else 1.0

    def slice_scores(self, image_hu: np.ndarray, spacing_mm: Sequence[float] | None = None) -> np.ndarray:
        """(z, y, x) int16 HU of a prepared scan -> (z,) float64 scores, which never fall from foot to head."""
        raw, body = self.raw(image_hu, spacing_mm)
        return calibrated(monotone(raw, body, (spacing_mm or self.spacing_mm)[0]), self.knots)


@torch.inference_mode()
def raw_scores(network: SliceScorer, shown: np.ndarray, device: torch.device | str = "cpu") -> np.ndarray:
    """(slice, y, x) uint8 of a `SliceView` -> (slice,) float64."""
    batches = torch.from_numpy(shown).split(_BATCH)
    return np.concatenate([network(network_input(batch.to(device))).double().cpu().numpy() for batch in batches])


def monotone(raw: np.ndarray, body: np.ndarray, slice_mm: float, smooth_mm: float = SMOOTH_MM) -> np.ndarray:
    """Raw scores (z,) of slices `slice_mm` apart as a curve that never falls, least squares from the smoothed scores; float64.

    What deviates from a straight line is smoothed by a Gaussian of `smooth_mm`, so that the ends are not flattened. Slices without
    body (`body` false) take no part and get the nearest score; where no slice has any, all take part.
    """
    at = np.flatnonzero(body) if body.any() else np.arange(len(raw))
    values = np.asarray(raw, np.float64)[at]
    if len(at) > 2:
        line = np.polynomial.Polynomial.fit(at, values, 1)(at)
        values = line + gaussian_filter1d(values - line, smooth_mm / slice_mm, mode="nearest")
    return np.interp(np.arange(len(raw)), at, isotonic_regression(values).x)


def calibrated(raw: np.ndarray, knots: Sequence[float]) -> np.ndarray:
    """Raw scores (z,) on the scale of `knots` (`BodyPartScorer`); beyond it they go on with its mean slope."""
    inside = np.interp(raw, knots, np.linspace(0, 1, len(knots)))
    return inside + (np.minimum(raw - knots[0], 0) + np.maximum(raw - knots[-1], 0)) / (knots[-1] - knots[0])


@dataclass(frozen=True)
class BodyPartRange:
    """Where a decoder's structures can be, in scores of 0 to 1. The default is the whole scan, as for lesions.

    The scale ends where the scorer is calibrated, but bodies do not: a range that reaches down to 0 holds everything below as well
    (femora go on under the pelvis), and one that reaches up to 1 everything above.
    """

    lower: float = 0.0
    upper: float = 1.0

    def inside(self, slice_scores: np.ndarray) -> np.ndarray:
        """(z,) scores -> (z,) bool. Source: CL-Net eq. (7), J between the bounds, which is the same for all voxels of a slice."""
        above = (slice_scores >= self.lower) | (self.lower <= 0)
        return above & ((slice_scores <= self.upper) | (self.upper >= 1))


@dataclass(frozen=True)
class DecoderExtent:
    """The scores at which a decoder's labels begin and end in training cases, all its structures together; one entry a case.

    Where a scan ends within a structure its entry is the scan's end.
    """

    bottoms: tuple[float, ...] = ()
    tops: tuple[float, ...] = ()

    @staticmethod
    def of_case(case: PreparedCase, label_names: Iterable[str], slice_scores: np.ndarray) -> tuple[float, float] | None:
        """Scores of the lowest and the highest slice that hold one of the labels, from (z,) scores of the prepared grid.

        None where the case has no voxel of them, or does not annotate them all: the others may reach further.
        """
        names, ends = set(label_names), case.record["extent_z"]
        present = [ends[name] for name in sorted(names) if name in ends]
        if not names <= case.annotated or not present:
            return None
        return float(slice_scores[min(low for low, _ in present)]), float(slice_scores[max(high for _, high in present)])

    @classmethod
    def of(cls, extents: Iterable[tuple[float, float] | None]) -> DecoderExtent:
        """Out of what `of_case` gave for each case."""
        known = [pair for pair in extents if pair is not None]
        return cls(tuple(bottom for bottom, _ in known), tuple(top for _, top in known))

    def merged_with(self, other: DecoderExtent) -> DecoderExtent:
        """Both datasets' cases."""
        return DecoderExtent(self.bottoms + other.bottoms, self.tops + other.tops)

    def range(self, minimum_margin: float = 0.0) -> BodyPartRange:
        """The decoder's range (`body_part_range`); the whole scan where no case is known, since nothing can then be ruled out."""
        if not self.bottoms:
            return BodyPartRange()
        return BodyPartRange(*body_part_range(self.bottoms, self.tops, float(np.std(np.subtract(self.tops, self.bottoms))), minimum_margin))

    def to_json(self) -> dict[str, list[float]]:
        """As JSON's own types."""
        return {"bottoms": list(self.bottoms), "tops": list(self.tops)}

    @classmethod
    def from_json(cls, record: Mapping[str, Sequence[float]]) -> DecoderExtent:
        """What `to_json` gave."""
        return cls(tuple(map(float, record["bottoms"])), tuple(map(float, record["tops"])))


def body_part_range(
    bottom_scores: Sequence[float], top_scores: Sequence[float], extent_std: float, minimum_margin: float = 0.0
) -> tuple[float, float]:
    """(lower, upper) in [0, 1]: the 5th percentile of the bottoms and the 95th of the tops, widened by 2 * extent_std.

    bottom_scores, top_scores: where the structures begin and end, one of each a case. extent_std: standard deviation of top - bottom
    over the cases; 0 for a single one, hence minimum_margin: the range is widened by no less than that.
    Raises UsageError without a score, or for one that is not a number.
    Source: CL-Net eq. (5), (6), in scores as paper note 18 reads them.
    """
    bottoms, tops = np.asarray(bottom_scores, np.float64), np.asarray(top_scores, np.float64)
    if not bottoms.size or not tops.size or not np.isfinite([*bottoms.ravel(), *tops.ravel(), extent_std]).all():
        raise UsageError(
            "a body part range needs finite scores of at least one case",
            found=f"bottoms {bottom_scores}, tops {top_scores}, standard deviation {extent_std}",
            fix="leave the decoder unbounded: BodyPartRange()",
        )
    margin = max(2 * float(extent_std), minimum_margin)
    lower, upper = max(0.0, float(np.percentile(bottoms, 5)) - margin), min(1.0, float(np.percentile(tops, 95)) + margin)
    return min(lower, 1.0), max(upper, 0.0)
