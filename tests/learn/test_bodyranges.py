"""Ranges of decoders: out of labels, over several datasets, on a scan's own slices, and back from a saved folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from clnet.atomic import write_json
from clnet.infer.bodypart import DecoderExtent
from clnet.learn import bodyranges
from clnet.learn.bodyranges import BodyRanges
from clnet.learn.target import decoder_variants
from clnet.types import Decoder, Geometry, Label, Task

LIVER, LESION = Decoder("Liver", "Abdomen", ("Liver",)), Decoder("Liver_Lesion", "Lesion", ("Liver_Lesion",))
LABELS = (Label("Liver", ("Liver",)), Label("Liver_Lesion", ("Liver_Lesion",)))


@dataclass
class Case:
    """Eight prepared slices of 4 mm, scores 0 to 0.7; on the native grid 16 slices of 2 mm after a margin of 4 slices below."""

    case: str
    ends: dict
    annotated: frozenset[str] = frozenset({"Liver", "Liver_Lesion"})
    crop_zyx = ((4, 20), (0, 1), (0, 1))
    geometry = Geometry((24, 1, 1), (2.0, 1.0, 1.0), (0.0,) * 3, (1.0,) * 9)
    spacing_mm, shape_zyx = (4.0, 1.0, 1.0), (8, 1, 1)

    @property
    def record(self) -> dict:
        return {"extent_z": self.ends}

    def image_hu(self) -> np.ndarray:
        return np.zeros(self.shape_zyx, np.int16)


class Scorer:
    regular = 1.0

    @classmethod
    def load(cls, folder: Path, device) -> Scorer:
        return cls()

    def order(self, image_hu, spacing_mm) -> float:
        return self.regular

    def slice_scores(self, image_hu, spacing_mm) -> np.ndarray:
        return 0.1 * np.arange(len(image_hu))


@pytest.fixture
def body(tmp_path, monkeypatch):
    """With a scorer that knows the height of each slice, and units that are built at once."""

    def built(kind, identity, build, name, collective):
        place = tmp_path / f"{kind}-{len(list(tmp_path.iterdir()))}"
        place.mkdir()
        build(place)
        return place

    monkeypatch.setattr(bodyranges, "BodyPartScorer", Scorer)
    monkeypatch.setattr(bodyranges, "train_scorer", lambda cases, training, place, **_: [
        write_json(place / name, {}) for name in (bodyranges.WEIGHTS_FILE, bodyranges.RECORD_FILE)])  # fmt: skip
    shop = SimpleNamespace(identity=lambda *_, **more: more, built=built, cases=lambda tasks: ([c for t in tasks for c in t.cases], []),
                           seed=0, progress=None, device="cpu")  # fmt: skip
    return BodyRanges(shop, SimpleNamespace(minimum_margin=0.0, minimum_order=0.9))


def learn(body: BodyRanges, name: str, *cases: Case) -> None:
    body.learn([Task(0, name, LABELS, cases, name)], decoder_variants([LIVER, LESION], {name: LABELS}))


def test_the_range_is_that_of_all_labels_but_lesions(body):
    learn(body, "a", Case("1", {"Liver": (2, 4), "Liver_Lesion": (0, 7)}), Case("2", {"Liver": (2, 4)}), Case("3", {}))
    assert set(body.extents) == {"Liver"} and body.extents["Liver"].bottoms == pytest.approx((0.2, 0.2))
    known = body.range_of("Liver")
    assert (known.lower, known.upper) == pytest.approx((0.2, 0.4)) and body.range_of("Liver_Lesion") is None
    learn(body, "b", Case("4", {"Liver": (1, 4)}))
    # bottoms 0.2, 0.2, 0.1: 5th percentile 0.11; tops 0.4; heights 0.2, 0.2, 0.3: twice the deviation 0.0943
    wider = body.range_of("Liver")
    assert wider.lower == pytest.approx(0.11 - 0.0943, abs=1e-3) and wider.upper == pytest.approx(0.4 + 0.0943, abs=1e-3)
    assert body.identity("Liver")[1:3] == [wider.lower, wider.upper] and body.identity("Liver_Lesion") is None


def test_slices_of_both_grids(body):
    learn(body, "a", Case("1", {"Liver": (2, 4)}))
    prepared, native = (inside["Liver"] for inside in (body.inside_prepared(Case("1", {})), body.inside(Case("1", {}))))
    assert np.flatnonzero(prepared).tolist() == [1, 2, 3, 4, 5], "one slice more at both ends"
    # native slice n has its centre at (n - 4 + 0.5) / 2 - 0.5 of the prepared slices: 2 to 4 are natives 9 (2.25) to 12 (3.75)
    assert np.flatnonzero(native).tolist() == [9, 10, 11, 12] and native.shape == (24,)


def test_a_scan_that_the_scorer_does_not_understand_is_not_bounded(body, monkeypatch):
    learn(body, "a", Case("1", {"Liver": (2, 4)}))
    monkeypatch.setattr(Scorer, "regular", 0.8)
    assert body.inside(Case("1", {})) == {} == body.inside_prepared(Case("1", {}))
    learn(body, "b", Case("2", {"Liver": (0, 7)}))
    assert body.extents["Liver"] == DecoderExtent((0.2,), (pytest.approx(0.4),)), "nor does it say where the liver is"


def test_the_margin_is_added(body):
    body.limits = (0.05, 0.9)
    learn(body, "a", Case("1", {"Liver": (2, 4)}))
    assert (body.range_of("Liver").lower, body.range_of("Liver").upper) == pytest.approx((0.15, 0.45))


def test_without_body_part_regression_nothing_is_bounded(body):
    body = BodyRanges(body.shop, None)
    learn(body, "a", Case("1", {"Liver": (2, 4)}))
    assert body.inside(Case("1", {})) == {} == body.inside_prepared(Case("1", {})) and body.identity("Liver") is None


def test_ranges_survive_saving(body, tmp_path):
    learn(body, "a", Case("1", {"Liver": (2, 4)}))
    (folder := tmp_path / "model").mkdir()
    body.save(folder)
    again = BodyRanges(body.shop, None)
    again.load(folder)
    assert again.extents == body.extents == {"Liver": DecoderExtent((0.2,), (pytest.approx(0.4),))}
    assert again.identity("Liver") == body.identity("Liver") and again.inside(Case("1", {}))["Liver"].any()
    empty = BodyRanges(body.shop, None)
    (nothing := tmp_path / "other").mkdir()
    empty.save(nothing)
    assert not list(nothing.iterdir())
