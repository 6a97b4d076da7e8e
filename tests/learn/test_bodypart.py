"""Body part regression: its losses by hand, its batches, a kill that costs nothing, and how well it measures height on the phantom."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from scipy.stats import spearmanr

from clnet.data.dataset import dataset_spec
from clnet.data.layout import NnunetRaw
from clnet.data.phantom import PhantomRecipe, recipe, write
from clnet.data.phantom.collection import COLLECTIONS
from clnet.data.phantom.hospital import VERTEX_MM
from clnet.data.prepare import Recipe, prepare_dataset
from clnet.data.reader import read_image
from clnet.errors import ClnetError, DataError
from clnet.infer.bodypart import BodyPartScorer, calibrated
from clnet.learn import bodypart
from clnet.learn.bodypart import BodyPartTraining, distance_loss, order_loss, scale, stack_batch, train_scorer
from clnet.learn.progress import RunProgress

SETTINGS = BodyPartTraining(
    steps=12, stacks=3, slices=5, lr=1e-2, distance_weight=0.2, features=[4, 8], shape_yx=[16, 16], pixel_mm=12.0, window_hu=[-500, 600],
    slice_mm=5.0, shift_mm=10.0, zoom=0.1, contrast=0.1, brightness=0.02, zero=["Hip"], one=["Skull"], checkpoint_every_steps=4,
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Two threads that wait for a busy core take ten times as long."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def softplus(value: float) -> float:
    return float(np.log1p(np.exp(value)))


def test_order_loss_by_hand():
    rising, falling = torch.tensor([[0.0, 1.0, 3.0]]), torch.tensor([[3.0, 1.0, 0.0]])
    assert order_loss(rising).item() == pytest.approx(softplus(-1) + softplus(-2))  # 0.3133 + 0.1269
    assert order_loss(falling).item() == pytest.approx(softplus(2) + softplus(1))
    assert order_loss(torch.cat((rising, falling))).item() == pytest.approx((softplus(-1) + softplus(-2) + softplus(2) + softplus(1)) / 2)
    assert order_loss(torch.tensor([[1000.0, 0.0]])).item() == pytest.approx(1000)


def test_distance_loss_by_hand():
    for scores, expected in (([0, 2, 4], 0), ([0, 0.5, 1.5], 0.125), ([0, 1, 4], 1.5), ([0, 1, 4, 4], 1.5 + 2.5)):
        assert distance_loss(torch.tensor([scores], dtype=torch.float)).item() == pytest.approx(expected)
    assert distance_loss(torch.tensor([[0.0, 2.0, 4.0], [0.0, 1.0, 4.0]])).item() == pytest.approx(0.75)


def test_losses_pull_where_they_should():
    scores = torch.tensor([[5.0, 0.0, 1.0, 2.0]], requires_grad=True)
    order_loss(scores).backward()
    assert scores.grad[0, 0] > 0.5 and scores.grad[0, 1] < 0 and scores.grad[0, 3] < 0
    scores.grad = None
    distance_loss(scores).backward()
    assert scores.grad[0, :3].abs().min() > 0.1
    even = torch.arange(4.0)[None].requires_grad_()
    distance_loss(even).backward()
    assert not even.grad.any()


STILL = replace(SETTINGS, shift_mm=0, zoom=0, contrast=0, brightness=0)


def test_stacks_are_equidistant_and_in_order():
    scans = [np.full((n, 16, 16), 100 * k, np.uint8) + np.arange(n, dtype=np.uint8)[:, None, None] for k, n in enumerate((5, 11, 40))]
    seen, distances = set(), set()
    for step in range(200):
        batch = stack_batch(scans, STILL, 0, step)
        assert batch.shape == (15, 1, 16, 16) and batch.dtype == torch.float32
        for stack in ((batch[:, 0, 8, 8] + 1) * 127.5).round().int().view(3, 5):
            apart = stack.diff().unique()
            assert len(apart) == 1 and apart > 0 and stack[0] // 100 == stack[-1] // 100
            seen |= set(stack.tolist())
            distances.add((int(stack[0]) // 100, int(apart)))
    assert distances == {(0, 1), (1, 1), (1, 2), *((2, n) for n in range(1, 10))}
    assert seen == {*range(5), *range(100, 111), *range(200, 240)}  # the ends of a scan too


def test_a_batch_depends_on_seed_and_step_alone():
    scans = [np.random.default_rng(0).integers(0, 255, (30, 16, 16)).astype(np.uint8)]
    assert torch.equal(stack_batch(scans, SETTINGS, 1, 7), stack_batch(scans, SETTINGS, 1, 7))
    assert not torch.equal(stack_batch(scans, SETTINGS, 1, 7), stack_batch(scans, SETTINGS, 1, 8))
    assert not torch.equal(stack_batch(scans, SETTINGS, 1, 7), stack_batch(scans, SETTINGS, 2, 7))


def test_every_slice_is_changed_on_its_own():
    flat = [np.full((30, 16, 16), 200, np.uint8)]
    values = stack_batch(flat, SETTINGS, 0, 0)[:, 0, 8, 8]
    assert len(values.unique()) == len(values)


@dataclass
class Case:
    """What training asks of a `PreparedCase`, in memory: a disc that grows with height, between a hip and a skull."""

    seed: int
    slices: int = 30
    extent_z: dict = field(default_factory=lambda: {"Hip": [2, 6], "Skull": [20, 26]})
    annotated: frozenset[str] = frozenset({"Hip", "Skull"})
    dataset: str = "memory"
    spacing_mm: tuple = (5.0, 10.0, 10.0)

    def __post_init__(self):
        self.shape_zyx, self.record = (self.slices, 20, 20), {"extent_z": self.extent_z}

    def image_hu(self) -> np.ndarray:
        radius = np.hypot(*np.meshgrid(np.arange(20) - 9.5, np.arange(20) - 9.5))
        inside = radius[None] < np.linspace(3, 9, self.slices)[:, None, None]
        noise = np.random.default_rng(self.seed).normal(0, 20, inside.shape)
        return np.where(inside, noise, -1000).astype(np.int16)


CASES = [Case(1), Case(2, 40), Case(3, 3)]  # the last one is too short for a stack


class Killed(BaseException):
    """Passes every `except Exception`, as the end of a process does."""


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("kills", [(0,), (5,), (3, 8, 11)])
def test_killed_training_ends_with_the_same_bits(tmp_path, monkeypatch, kills):
    train_scorer(CASES, SETTINGS, tmp_path / "whole", 3)
    whole = files(tmp_path / "whole")
    assert set(whole) == {"bodypart.safetensors", "bodypart.json"}
    train_scorer(CASES, SETTINGS, tmp_path / "other", 4)
    assert files(tmp_path / "other")["bodypart.safetensors"] != whole["bodypart.safetensors"]
    cut, steps = tmp_path / "cut", []
    for kill in (*kills, None):

        def until(scans, settings, seed, step, kill=kill):
            if step == kill:
                raise Killed
            steps.append(step)
            return stack_batch(scans, settings, seed, step)

        with monkeypatch.context() as patch:
            patch.setattr(bodypart, "stack_batch", until)
            if kill is None:
                train_scorer(CASES, SETTINGS, cut, 3)
            else:
                with pytest.raises(Killed):
                    train_scorer(CASES, SETTINGS, cut, 3)
    assert files(cut) == whole
    assert steps == [step for first, last in zip((0, *(kill - kill % 4 for kill in kills)), (*kills, 12)) for step in range(first, last)]


def test_a_kill_while_the_checkpoint_is_written(tmp_path, monkeypatch):
    train_scorer(CASES, SETTINGS, tmp_path / "whole", 3)
    saved, calls = torch.save, []

    def half(state, path):
        calls.append(path)
        if len(calls) == 2:
            Path(path).write_bytes(b"half")
            raise Killed
        saved(state, path)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(torch, "save", half)
        train_scorer(CASES, SETTINGS, tmp_path / "cut", 3)
    train_scorer(CASES, SETTINGS, tmp_path / "cut", 3)
    assert files(tmp_path / "cut") == files(tmp_path / "whole")


def test_progress_reaches_its_plan(tmp_path):
    progress = RunProgress(interval_s=1e9)
    progress.plan(bodypart.NAME, SETTINGS.steps * bodypart.STEP_COST)
    train_scorer(CASES, SETTINGS, tmp_path, 3, progress)
    assert progress.share == pytest.approx(1)


def test_scans_that_are_all_too_short_are_refused(tmp_path):
    with pytest.raises(DataError, match="long enough") as error:
        train_scorer([Case(1, 3), Case(2, 4)], SETTINGS, tmp_path, 0)
    assert "memory" in str(error.value) and "at most 4 slices" in str(error.value) and error.value.fix


def test_a_loss_that_is_not_finite_ends_the_training(tmp_path, monkeypatch):
    monkeypatch.setattr(bodypart, "order_loss", lambda scores: scores.sum() * float("nan"))
    with pytest.raises(ClnetError, match="not finite"):
        train_scorer(CASES, SETTINGS, tmp_path, 0)


def cases_of(*extents: dict, annotated=("Hip", "Skull")):
    return [SimpleNamespace(record={"extent_z": extent}, annotated=frozenset(annotated), dataset="memory") for extent in extents]


def test_the_scale_begins_and_ends_at_the_anchors():
    bent = np.array([0, 0, 1, 2, 3, 4, 9, 14, 14, 14.0])
    cases = cases_of({"Hip": [2, 4], "Skull": [5, 7]}, {"Hip": [2, 4], "Skull": [5, 7]}, {"Hip": [0, 4], "Skull": [5, 9]})
    found = scale(cases, [bent, bent + 2, np.arange(10.0) + 50], ["Hip", "Femur"], ["Skull"])  # the third is cut off at both ends
    assert [found[f"scans_with_{end}"] for end in ("zero", "one", "both")] == [2, 2, 2]
    assert found["knots"][0] == pytest.approx(0.5 + 1) and found["knots"][-1] == pytest.approx(14 + 1)  # the outer faces: z = 1.5, 7.5
    assert found["knots"][15] == pytest.approx(3.5 + 1)  # half-way: z = 4.5
    assert calibrated(np.array([1.5, 4.5, 15.0]), found["knots"]) == pytest.approx([0, 0.5, 1])
    assert calibrated(np.array([1.5 - 13.5, 15 + 27]), found["knots"]) == pytest.approx([-1, 3])  # on with the mean slope


def test_the_scale_of_scans_that_show_one_end_each():
    curve = np.arange(10.0)
    found = scale(cases_of({"Hip": [2, 4]}, {"Hip": [3, 4]}, {"Skull": [6, 7]}), [curve, curve + 1, curve + 7], ["Hip"], ["Skull"])
    assert found == {"knots": [(1.5 + 3.5) / 2, 14.5], "scans_with_zero": 2, "scans_with_one": 1, "scans_with_both": 0}
    both = cases_of({"Hip": [2, 4], "Femur": [0, 3], "Skull": [6, 8]}, annotated=("Hip", "Femur", "Skull"))
    assert scale(both, [curve], ["Hip", "Femur"], ["Skull"])["scans_with_zero"] == 0  # the lowest of the two is cut off


def test_the_scale_without_anchors_ends_with_the_scans():
    curves = [np.linspace(low, low + 10, 8) for low in range(21)]
    for cases in (cases_of(*[{}] * 21), cases_of(*[{"Hip": [2, 3], "Skull": [5, 6]}] * 21, annotated=())):
        found = scale(cases, curves, ["Hip"], ["Skull"])
        assert found == {"knots": pytest.approx([1, 29]), "scans_with_zero": 0, "scans_with_one": 0, "scans_with_both": 0}


def test_a_scale_that_falls_is_refused():
    with pytest.raises(ClnetError, match="do not rise"):
        scale(cases_of({"Hip": [3, 4], "Skull": [6, 7]}), [np.zeros(10)], ["Hip"], ["Skull"])


# -- on the phantom, whose scans have a true height: z of the atlas over VERTEX_MM -------------------------------------------------

COARSE = PhantomRecipe(seed=5, cases={"whole_body": (6, 3), "head_neck": (0, 2), "abdomen": (0, 2)}, coarsen=2.0, workers=1)
LEARNED = replace(
    SETTINGS, steps=500, stacks=10, slices=6, lr=5e-3, features=(16, 32, 64, 64), shape_yx=(32, 32), slice_mm=6.0, shift_mm=24.0,
    brightness=0.025, zero=("Bone_Hip_L", "Bone_Hip_R"), one=("Bone_Skull", "Brain"), checkpoint_every_steps=1000,
)  # fmt: skip


def prepared(root: Path, slot: str, split: str) -> list:
    conf = Path(__file__).parents[2] / "conf" / "dataset" / f"phantom_{slot}.yaml"
    spec = yaml.safe_load(conf.read_text())
    name = spec["name"]
    spec = dataset_spec(name=name, root=root / name, layout=NnunetRaw(), labels=spec["labels"], body_group=spec["body_group"])
    return prepare_dataset(spec, split, Recipe((6.0, 6.0, 6.0), smooth=True), root / "prepared" / slot / split, 0)


def true_scores(root: Path, case) -> np.ndarray:
    """(z,) on the prepared grid: mean height of the body's voxels in the patient's own atlas, as a share of the vertex's."""
    job = next(job for job in recipe.jobs(root, COARSE) if job.image.name == f"{case.case}_0000.nii.gz")
    collection, patient = COLLECTIONS[job.slot], job.patient()
    hospital = replace(collection.hospital, spacing_mm=tuple(mm * COARSE.coarsen for mm in collection.hospital.spacing_mm))
    height_mm = patient.points(*hospital.axes(patient, hospital.scores)).z
    body = read_image(job.image)[0] > -500
    assert body.shape == height_mm.shape
    shown = np.flatnonzero(body.sum(axis=(1, 2)) > 5)
    native = [height_mm[z][body[z]].mean() for z in shown]
    (start, stop), slices = case.crop_zyx[0], case.shape_zyx[0]
    place = (np.arange(slices) + 0.5) * (stop - start) / slices - 0.5 + start
    return np.interp(place, shown, native) / VERTEX_MM


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> dict[str, SimpleNamespace]:
    """Trained on whole bodies; per test set: raw scores, scores and true ones of the slices that show a body, one array a scan."""
    root = tmp_path_factory.mktemp("phantom")
    write(root, COARSE)
    train_scorer(prepared(root, "whole_body", "train"), LEARNED, root / "scorer", 0)
    scorer, found = BodyPartScorer.load(root / "scorer"), {}
    for slot in COARSE.cases:
        one = found[slot] = SimpleNamespace(raw=[], score=[], true=[])
        for case in prepared(root, slot, "test"):
            raw, body = scorer.raw(case.image_hu(), case.spacing_mm)
            one.raw.append(raw[body])
            one.score.append(scorer.slice_scores(case.image_hu())[body])
            one.true.append(true_scores(root, case)[body])
        errors_mm = VERTEX_MM * np.abs(np.concatenate(one.score) - np.concatenate(one.true))
        one.mean_mm, one.p95_mm = errors_mm.mean(), np.percentile(errors_mm, 95)
        one.in_order = np.mean(np.concatenate([np.diff(raw) > 0 for raw in one.raw]))
        one.spearman = min(spearmanr(raw, true).statistic for raw, true in zip(one.raw, one.true))
        print(f"{slot}: in order {one.in_order:.3f}, Spearman {one.spearman:.4f}, mm {one.mean_mm:.1f}, P95 {one.p95_mm:.1f}")
    found["record"] = json.loads((root / "scorer" / "bodypart.json").read_text())
    return found


SLOTS = tuple(COARSE.cases)


@pytest.mark.parametrize("slot", SLOTS)
def test_axis_zero_runs_from_foot_to_head(measured, slot):
    assert all((np.diff(true) > 0).all() for true in measured[slot].true)


@pytest.mark.parametrize("slot,in_order,spearman", [("whole_body", 0.64, 0.99), ("head_neck", 0.6, 0.95), ("abdomen", 0.66, 0.99)])
def test_raw_scores_rise_with_height(measured, slot, in_order, spearman):
    assert measured[slot].in_order > in_order and measured[slot].spearman > spearman
    assert all((np.diff(score) >= 0).all() for score in measured[slot].score)


@pytest.mark.parametrize("slot,mean_mm,p95_mm", [("whole_body", 16, 45), ("head_neck", 18, 55), ("abdomen", 16, 40)])
def test_scores_are_heights(measured, slot, mean_mm, p95_mm):
    """Heads and abdomens alone, from other scanners, by a scorer that has seen whole bodies only."""
    assert measured[slot].mean_mm < mean_mm and measured[slot].p95_mm < p95_mm


def test_part_scans_lie_in_their_part_of_the_scale(measured):
    for slot, (bottom, top) in {"whole_body": (0.0, 1.0), "head_neck": (0.62, 1.0), "abdomen": (0.06, 0.58)}.items():
        for score in measured[slot].score:
            assert score[0] == pytest.approx(bottom, abs=0.08) and score[-1] == pytest.approx(top, abs=0.08), slot
    assert measured["record"]["scans_with_both"] >= 3
