"""Body part regression, learned from scans alone: slices of a scan are in order, and equally far apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from clnet.atomic import write_json
from clnet.data.store import PreparedCase
from clnet.errors import ClnetError, DataError
from clnet.infer.bodypart import RECORD_FILE, WEIGHTS_FILE, monotone, raw_scores
from clnet.learn.checkpoint import AtomicCheckpointIO, newest_readable
from clnet.learn.progress import RunProgress
from clnet.model.bodypart import SliceScorer, SliceView, network_input
from clnet.model.weights import save_weights

NAME = "body part regression"
STEP_COST = 0.02  # of a training step, in the progress line's units: a decoder's step on the same machine
KNOTS = 31  # of the scale, 3 cm apart in an adult


def order_loss(scores: Tensor) -> Tensor:
    """Sum over neighbours of -log sigmoid(s[i+1] - s[i]), mean over stacks; scores (stack, slice), from foot to head.

    Source: Yan et al. 2018 (cited by CL-Net 4.1), order loss.
    """
    return -F.logsigmoid(scores.diff(dim=1)).sum(dim=1).mean()


def distance_loss(scores: Tensor) -> Tensor:
    """Sum of smooth L1 of how much neighbouring differences differ, mean over stacks; scores (stack, slice) of equidistant slices.

    Source: Yan et al. 2018, distance loss.
    """
    bends = scores.diff(n=2, dim=1)
    return F.smooth_l1_loss(bends, torch.zeros_like(bends), reduction="none").sum(dim=1).mean()


@dataclass(frozen=True)
class BodyPartTraining:
    """How the slice scorer is trained: plain values, as YAML gives them.

    steps of stacks x slices; lr: of AdamW, after a short rise, falling to zero over the last 70 % of the steps. distance_weight: of the
    distance loss. features: channels of the network's stages. shape_yx, pixel_mm, window_hu: what it sees (`SliceView`).
    slice_mm: slices nearer to each other than this are thinned out. shift_mm, zoom, contrast, brightness: largest random change of a
    slice in its plane (mm, share) and in its values (share of the window).
    zero, one: labels whose lowest, and highest, slices are the bottom of the pelvis and the top of the head. Femora won't do: they go
    on below the pelvis. minimum_margin: by which a decoder's range is widened at least (`body_part_range`). minimum_order: scans
    whose slice scores rise less regularly (`BodyPartScorer.order`) are neither bounded nor asked for ranges. checkpoint_every_steps changes
    no result.
    """

    steps: int
    stacks: int
    slices: int
    lr: float
    distance_weight: float
    features: tuple[int, ...]
    shape_yx: tuple[int, int]
    pixel_mm: float
    window_hu: tuple[float, float]
    slice_mm: float
    shift_mm: float
    zoom: float
    contrast: float
    brightness: float
    zero: tuple[str, ...]
    one: tuple[str, ...]
    weight_decay: float = 1e-2
    minimum_margin: float = 0.0
    minimum_order: float = 0.0
    checkpoint_every_steps: int = 200

    def __post_init__(self):
        for name in ("features", "zero", "one"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @property
    def view(self) -> SliceView:
        """What the network sees of a slice."""
        return SliceView(self.shape_yx, self.pixel_mm, self.window_hu)

    def rate(self, step: int) -> float:
        """Learning rate of a step as a share of `lr`."""
        return min(1.0, (step + 1) / min(20, self.steps), (1 - step / self.steps) / 0.7)


@dataclass(frozen=True)
class Shown:
    """A scan as the network sees it: slices (n, y, x) uint8, those with a body, and their places on the scan's z axis."""

    case: PreparedCase
    slices: np.ndarray
    body: np.ndarray
    z: np.ndarray

    @classmethod
    def of(cls, case: PreparedCase, settings: BodyPartTraining) -> Shown:
        """Every slice at least `slice_mm` from the last."""
        z = np.arange(0, case.shape_zyx[0], max(1, round(settings.slice_mm / case.spacing_mm[0])))
        slices, body = settings.view.slices(case.image_hu()[z], case.spacing_mm)
        return cls(case, slices, body, z)

    @property
    def stackable(self) -> np.ndarray:
        """The slices from the first with a body to the last."""
        at = np.flatnonzero(self.body)
        return self.slices[at[0] : at[-1] + 1] if len(at) else self.slices[:0]


def stack_batch(scans: Sequence[np.ndarray], settings: BodyPartTraining, seed: int, step: int) -> Tensor:
    """Input of one training step, (stacks * slices, 1, y, x) float32, a function of the scans, the seed and the step alone.

    scans: (n, y, x) uint8 each, no shorter than a stack. A stack is equidistant, of a random scan, distance and beginning. Every slice is
    changed on its own: the losses see differences within a stack only, so what all its slices share would teach nothing, and the
    patient's girth, contrast phase and place on the table would shift the scores of a whole scan.
    """
    rng = np.random.default_rng([seed, step])
    stacks = []
    for _ in range(settings.stacks):
        scan = scans[rng.integers(len(scans))]
        gaps = settings.slices - 1
        apart = int(rng.integers(1, (len(scan) - 1) // gaps + 1))
        first = int(rng.integers(len(scan) - gaps * apart))
        stacks.append(scan[first : first + gaps * apart + 1 : apart])
    slices = network_input(torch.from_numpy(np.concatenate(stacks)))
    n = len(slices)
    grid = np.zeros((n, 2, 3), np.float32)
    zoom = 1 + rng.uniform(-settings.zoom, settings.zoom, n)
    grid[:, 0, 0], grid[:, 1, 1] = zoom, zoom * (1 + rng.uniform(-settings.zoom, settings.zoom, n) / 2)
    half_mm = settings.pixel_mm * np.array(settings.shape_yx[::-1]) / 2
    grid[:, :, 2] = rng.uniform(-settings.shift_mm, settings.shift_mm, (n, 2)) / half_mm
    places = F.affine_grid(torch.from_numpy(grid), list(slices.shape), align_corners=False)
    moved = F.grid_sample(slices + 1, places, align_corners=False) - 1  # beyond the square lies what is black: air
    contrast, brightness = (
        torch.from_numpy(rng.uniform(-most, most, (n, 1, 1, 1)).astype(np.float32)) for most in (settings.contrast, 2 * settings.brightness)
    )
    return moved * (1 + contrast) + brightness


def train_scorer(
    cases: Sequence[PreparedCase], settings: BodyPartTraining, folder: Path, seed: int, progress: RunProgress | None = None,
    device: torch.device | str = "cpu",
) -> None:  # fmt: skip
    """Train a slice scorer in `folder`, from the checkpoint of an earlier, killed call if one is there.

    Writes bodypart.safetensors and bodypart.json, which `BodyPartScorer.load` reads; on a CPU the same bits whether killed or not.
    Raises DataError where no scan is long enough for a stack, ClnetError where the loss or what was learned is no use.
    """
    scans = [Shown.of(case, settings) for case in cases]
    usable = [scan.stackable for scan in scans if len(scan.stackable) >= settings.slices]
    if not usable:
        longest = max((len(scan.stackable) for scan in scans), default=0)
        raise DataError(
            f"{NAME}: no scan is long enough for a stack", where=", ".join(sorted({case.dataset for case in cases})),
            found=f"at most {longest} slices with a body, {settings.slice_mm} mm apart", expected=f"{settings.slices}",
            fix="set bpr.slices or bpr.slice_mm lower, or bpr=none",
        )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = SliceScorer(settings.features).to(device)
    _fit(network, usable, settings, folder / "last.ckpt", seed, progress, device)
    network.eval()
    curves, in_order = [], []
    for scan in scans:
        raw = raw_scores(network, scan.slices, device)
        in_order += (np.diff(raw[scan.body]) > 0).tolist()
        spacing_mm = (scan.z[1] - scan.z[0]) * scan.case.spacing_mm[0] if len(scan.z) > 1 else settings.slice_mm
        curves.append(np.interp(np.arange(scan.case.shape_zyx[0]), scan.z, monotone(raw, scan.body, spacing_mm)))
    found = scale(cases, curves, settings.zero, settings.one)
    save_weights(network, folder / WEIGHTS_FILE)
    write_json(
        folder / RECORD_FILE,
        {"view": asdict(settings.view), "features": list(settings.features), "spacing_mm": list(cases[0].spacing_mm),
         "raw_zero": found["knots"][0], "raw_one": found["knots"][-1], **found, "scans": len(cases),
         "neighbours_in_order": float(np.mean(in_order)), "settings": asdict(settings)},
    )  # fmt: skip
    for leftover in folder.glob("*.ckpt"):
        leftover.unlink()


def scale(cases: Sequence[PreparedCase], curves: Sequence[np.ndarray], zero: Sequence[str], one: Sequence[str]) -> dict:
    """What `BodyPartScorer` needs to turn raw scores into heights, `knots`, and of how many scans each end is the median.

    curves: (z,) raw scores of each case, which never fall. 0 is the lower face of the lowest slice of any `zero` label and 1 the upper
    face of the highest of any `one` label, in scans that go on beyond it. Scans that show both ends say what lies between: the raw score
    at each share of the way. Without one the scale is linear between the medians of either end.
    Without a scan that shows an end, that end is the 5th percentile of the scans' lowest scores, or the 95th of their highest: 0 and 1
    then mean the ends of what these scans show, not of the trunk and the head. What they do not show has no meaningful score
    (`BodyPartScorer.anchored`).
    Raises ClnetError where 1 would not lie above 0.
    """
    bottoms, tops, between = [], [], []
    for case, curve in zip(cases, curves, strict=True):
        ends = {name: ends for name, ends in case.record["extent_z"].items() if name in case.annotated}
        low = min((ends[name][0] for name in zero if name in ends), default=0) - 0.5
        high = max((ends[name][1] for name in one if name in ends), default=len(curve) - 1) + 0.5
        places = np.linspace(low, high, KNOTS)
        raw = np.interp(places, np.arange(len(curve)), curve)
        seen = low > 0, high < len(curve) - 1
        bottoms += [raw[0]] if seen[0] else []
        tops += [raw[-1]] if seen[1] else []
        between += [raw] if all(seen) else []
    raw_zero = np.median(bottoms) if bottoms else np.percentile([curve[0] for curve in curves], 5)
    raw_one = np.median(tops) if tops else np.percentile([curve[-1] for curve in curves], 95)
    knots = np.median(between, axis=0) if between else np.array([raw_zero, raw_one])
    if not knots[-1] > knots[0]:
        raise ClnetError(
            f"{NAME}: scores do not rise from the bottom of the pelvis to the top of the head", found=f"{knots[0]:g} and {knots[-1]:g}",
            where=", ".join(sorted({case.dataset for case in cases})), fix="set bpr.steps higher, or bpr=none",
        )  # fmt: skip
    return {"knots": knots.tolist(), "scans_with_zero": len(bottoms), "scans_with_one": len(tops), "scans_with_both": len(between)}


def _fit(
    network: SliceScorer, scans: Sequence[np.ndarray], settings: BodyPartTraining, checkpoint: Path, seed: int,
    progress: RunProgress | None, device: torch.device | str,
) -> None:  # fmt: skip
    """All steps that the newest checkpoint does not hold."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    disk, done = AtomicCheckpointIO(), 0
    if (found := newest_readable(checkpoint)) is not None:
        state = disk.load_checkpoint(found)
        done = state["global_step"]
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
    for step in range(done, settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * settings.rate(step)
        scores = network(stack_batch(scans, settings, seed, step).to(device)).view(settings.stacks, settings.slices)
        loss = order_loss(scores) + settings.distance_weight * distance_loss(scores)
        if not bool(loss.isfinite()):
            raise ClnetError(f"{NAME}: the loss is not finite", where=f"step {step}", fix="set bpr.lr lower")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if progress:
            progress.advance(NAME, STEP_COST, f"{step + 1}/{settings.steps} loss {float(loss.detach()):.3f}")
        if (step + 1) % settings.checkpoint_every_steps == 0 and step + 1 < settings.steps:
            state = {"global_step": step + 1, "network": network.state_dict(), "optimizer": optimizer.state_dict()}
            disk.save_checkpoint(state, checkpoint)
    if progress:
        progress.finish(NAME)
