"""Body part ranges by hand (equations 5 to 7), monotone scores, and a scorer's way to disk and back."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from clnet.errors import DataError, UsageError
from clnet.infer.bodypart import BodyPartRange, BodyPartScorer, DecoderExtent, body_part_range, monotone
from clnet.model.bodypart import SliceScorer
from clnet.model.weights import save_weights


def case(annotated=("Liver", "Spleen"), **extent_z):
    return SimpleNamespace(annotated=frozenset(annotated), record={"extent_z": {name: list(ends) for name, ends in extent_z.items()}})


def test_range_by_hand():
    bottoms, tops = [0.30, 0.32, 0.34, 0.36, 0.38], [0.50, 0.51, 0.52, 0.53, 0.54]
    lower, upper = body_part_range(bottoms, tops, 0.01)  # P5 = 0.30 + 0.2 * 0.02, P95 = 0.53 + 0.8 * 0.01
    assert (lower, upper) == (pytest.approx(0.304 - 0.02), pytest.approx(0.538 + 0.02))


def test_range_stays_on_the_scale():
    assert body_part_range([0.03], [0.97], 0.02) == (0.0, 1.0)
    assert body_part_range([-0.2, -0.1], [1.2, 1.3], 0.0) == (0.0, 1.0)
    assert body_part_range([-0.4], [-0.2], 0.05) == (0.0, 0.0)  # feet
    assert body_part_range([1.1], [1.2], 0.0) == (1.0, 1.0)


def test_one_case_and_the_minimum_margin():
    assert body_part_range([0.4], [0.6], 0.0) == (0.4, 0.6)
    assert body_part_range([0.4], [0.6], 0.0, 0.03) == (pytest.approx(0.37), pytest.approx(0.63))
    assert body_part_range([0.4], [0.6], 0.02, 0.03) == (pytest.approx(0.36), pytest.approx(0.64))


@pytest.mark.parametrize("bottoms,tops,std", [([], [], 0.0), ([0.1], [float("nan")], 0.0), ([0.1], [0.2], float("nan"))])
def test_range_of_nothing_is_refused(bottoms, tops, std):
    with pytest.raises(UsageError, match="finite scores"):
        body_part_range(bottoms, tops, std)


def test_inside_is_closed_and_open_beyond_the_scale():
    scores = np.array([-0.3, 0.0, 0.2, 0.4, 0.6, 1.0, 1.2])
    assert BodyPartRange(0.2, 0.6).inside(scores).tolist() == [False, False, True, True, True, False, False]
    assert BodyPartRange(0.0, 0.2).inside(scores).tolist() == [True, True, True, False, False, False, False]
    assert BodyPartRange(0.6, 1.0).inside(scores).tolist() == [False, False, False, False, True, True, True]
    assert BodyPartRange(0.0, 0.0).inside(scores).tolist() == [True, True, False, False, False, False, False]
    assert BodyPartRange().inside(scores).all()


def test_extent_of_a_case():
    scores = np.linspace(0, 0.9, 10)
    both = case(Liver=(3, 5), Spleen=(4, 7), Heart=(0, 9))
    assert DecoderExtent.of_case(both, ["Liver"], scores) == (pytest.approx(0.3), pytest.approx(0.5))
    assert DecoderExtent.of_case(both, ("Liver", "Spleen"), scores) == (pytest.approx(0.3), pytest.approx(0.7))
    assert DecoderExtent.of_case(both, ["Heart"], scores) is None  # not annotated: what is marked may be a part of it
    assert DecoderExtent.of_case(case(Liver=(3, 5)), ("Liver", "Spleen"), scores) == (pytest.approx(0.3), pytest.approx(0.5))
    assert DecoderExtent.of_case(case(("Liver",), Liver=(3, 5)), ("Liver", "Spleen"), scores) is None
    assert DecoderExtent.of_case(case(), ["Liver"], scores) is None


def test_extents_of_datasets():
    first = DecoderExtent.of([(0.2, 0.4), None, (0.3, 0.6)])
    assert first == DecoderExtent((0.2, 0.3), (0.4, 0.6))
    merged = first.merged_with(DecoderExtent((0.1,), (0.2,)))
    assert merged == DecoderExtent((0.2, 0.3, 0.1), (0.4, 0.6, 0.2))
    assert DecoderExtent.from_json(json.loads(json.dumps(merged.to_json()))) == merged
    sigma = np.std([0.2, 0.3])  # of the lengths 0.2 and 0.3: 0.05
    assert first.range() == BodyPartRange(*(pytest.approx(v) for v in (0.205 - 2 * sigma, 0.59 + 2 * sigma)))
    assert first.range(0.15) == BodyPartRange(*(pytest.approx(v) for v in (0.055, 0.74)))
    assert DecoderExtent().range() == BodyPartRange()  # nothing is known: nothing is ruled out


def test_monotone_is_the_isotonic_fit():
    body = np.ones(4, bool)
    assert monotone(np.array([1.0, 3.0, 2.0, 4.0]), body, 5.0, smooth_mm=1e-6) == pytest.approx([1, 2.5, 2.5, 4])
    straight = np.linspace(-3, 7, 30)
    assert monotone(straight, np.ones(30, bool), 6.0) == pytest.approx(straight)  # smoothing does not flatten the ends


def test_monotone_fills_slices_without_body():
    raw, body = np.array([99.0, 0.0, 1.0, -50.0, 3.0, 4.0, -99.0]), np.array([False, True, True, False, True, True, False])
    assert monotone(raw, body, 5.0) == pytest.approx([0, 0, 1, 2, 3, 4, 4])
    assert monotone(raw[:1], body[:1], 5.0).tolist() == [99.0]
    assert np.all(np.diff(monotone(raw, np.zeros(7, bool), 5.0)) >= 0)


def test_noise_becomes_a_monotone_curve_nearer_the_truth():
    truth = np.linspace(0, 1, 100) ** 1.2
    raw = truth + np.random.default_rng(0).normal(0, 0.03, 100)
    curve = monotone(raw, np.ones(100, bool), 6.0)
    assert (np.diff(curve) >= 0).all() and np.abs(curve - truth).mean() < 0.6 * np.abs(raw - truth).mean()


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    save_weights(SliceScorer([4, 8]), tmp_path / "bodypart.safetensors")
    record = {"view": {"shape_yx": [16, 16], "pixel_mm": 20.0, "window_hu": [-500, 500]}, "features": [4, 8],
              "spacing_mm": [6.0, 5.0, 5.0], "knots": [-2.0, 3.0], "scans_with_zero": 2, "scans_with_one": 1}  # fmt: skip
    (tmp_path / "bodypart.json").write_text(json.dumps(record))
    return tmp_path


def test_a_scorer_from_disk(folder):
    scorer = BodyPartScorer.load(folder)
    assert scorer.anchored
    image_hu = np.random.default_rng(0).integers(-300, 300, (300, 50, 60)).astype(np.int16)
    image_hu[:2] = -1000
    raw, body = scorer.raw(image_hu)
    assert raw.shape == (300,) and raw.dtype == np.float64 and not body[:2].any() and body[2:].all()
    scores = scorer.slice_scores(image_hu)
    assert scores == pytest.approx((monotone(raw, body, 6.0) + 2) / 5) and (np.diff(scores) >= 0).all()
    assert np.array_equal(scores, scorer.slice_scores(image_hu, (6.0, 5.0, 5.0)))
    assert not np.allclose(raw, scorer.raw(image_hu, (6.0, 2.0, 2.0))[0])


def test_a_scorer_that_has_not_seen_the_whole_body_says_so(folder):
    for end in ("scans_with_zero", "scans_with_one"):
        record = json.loads((folder / "bodypart.json").read_text()) | {end: 0}
        (folder / "bodypart.json").write_text(json.dumps(record))
        assert not BodyPartScorer.load(folder).anchored


def test_a_damaged_scorer_is_refused(folder):
    record = (folder / "bodypart.json").read_text()
    for text in (record[:-5], record.replace("knots", "ropes")):
        (folder / "bodypart.json").write_text(text)
        with pytest.raises(DataError, match="cannot be read"):
            BodyPartScorer.load(folder)
    (folder / "bodypart.json").unlink()
    with pytest.raises(DataError, match="cannot be read"):
        BodyPartScorer.load(folder)
    (folder / "bodypart.json").write_text(record.replace("[4, 8]", "[4, 9]"))
    with pytest.raises(DataError, match="do not fit"):
        BodyPartScorer.load(folder)
