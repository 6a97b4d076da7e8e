"""Which test cases are drawn, and what of them is written."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from analysis.cases import read_case, read_cases
from analysis.load import read_run
from clnet.types import Geometry, Label, Part
from experiments import gallery
from experiments.gallery import middle, view
from experiments.metrics import dice

LIVER, KIDNEY, OTHER = (Label(name, (name,)) for name in ("Liver", "Kidney_L", "Kidney_R"))
PARTS = (Part("Liver", (LIVER,), "a"), Part("Kidney", (KIDNEY, OTHER), "b"))
SHAPE = (5, 3, 8)
REFERENCE = np.zeros(SHAPE, bool)
REFERENCE[2:, :, 4:] = True


class Case:
    """5 x 3 x 8 voxels; the liver fills a corner, the left kidney is annotated and not there, the right one is not annotated."""

    case, annotated = "p", frozenset({"Liver", "Kidney_L"})
    geometry = Geometry(SHAPE, (3.0, 1.0, 1.5), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))

    def reference_mask(self, label: str) -> np.ndarray:
        return REFERENCE if label == "Liver" else np.zeros(SHAPE, bool)


def rows(scores: dict[str, list[float | None]], dataset: str = "abdomen") -> list[dict]:
    return [{"dataset": dataset, "case": case, "structure": name, "dsc": value}
            for case, values in scores.items() for name, value in zip(("Liver", "Kidney_L", "Kidney_R"), values)]  # fmt: skip


def label_maps(*_) -> list:
    """The liver as it is, the right kidney in the first slice."""
    kidneys = np.zeros(SHAPE, np.uint8)
    kidneys[0] = 2
    return [(PARTS[0], (LIVER,), REFERENCE.astype(np.uint8)), (PARTS[1], (KIDNEY, OTHER), kidneys)]


def test_the_median_case_is_shown():
    """Means: a 0.9, b 0.5 (of one score), c 0.7, d 0.7; e has no score."""
    own = rows({"a": [0.9, 0.9], "b": [0.5, None], "d": [0.6, 0.8], "c": [0.7, 0.7], "e": [None, None]})
    assert middle(own, 1) == ["c"] and middle(own, 2) == ["c", "d"] and middle(own, 9) == ["b", "c", "d", "a"]
    assert middle(own[:4], 1) == ["b"] and middle(own[-2:], 1) == [] == middle([], 1)


@pytest.mark.parametrize("longest, strides", [(192, (1, 1, 1)), (5, (1, 1, 2)), (3, (2, 1, 3))])
def test_an_axis_keeps_every_nth_voxel(tmp_path, longest, strides):
    image = np.arange(np.prod(SHAPE)).reshape(SHAPE) - 40.4
    arrays = view(Case(), image, {"Liver": 0.75, "Kidney_L": None}, label_maps(), longest)
    np.savez_compressed(tmp_path / "view.npz", **arrays)
    found, grid = read_case(tmp_path / "view.npz", "abdomen", "p"), tuple(slice(None, None, stride) for stride in strides)
    assert max(found.image_hu.shape) <= longest and found.image_hu.dtype == np.int16
    assert np.array_equal(found.image_hu, np.rint(image)[grid]) and np.allclose(found.spacing_mm, np.multiply((3, 1, 1.5), strides))
    assert found.names == ("Liver", "Kidney_L", "Kidney_R") and found.annotated_names == ("Liver", "Kidney_L")
    for kind in ("reference", "predicted"):
        assert np.array_equal(found.mask(kind, "Liver"), REFERENCE[grid]) and not found.mask(kind, "Kidney_L").any()
    right = found.mask("predicted", "Kidney_R")
    assert right[0].all() and not right[1:].any() and not found.mask("reference", "Kidney_R").any()
    assert found.score("Liver") == 0.75 and np.isnan([found.score("Kidney_L"), found.score("Kidney_R")]).all()


def test_intensities_beyond_16_bits_end_at_their_limits():
    image = np.full(SHAPE, 1e6)
    image[0] = -1e6
    found = view(Case(), image, {}, label_maps(), 192)["image_hu"]
    assert (found[0] == -32768).all() and (found[1:] == 32767).all()


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Writes views of two datasets; the first is without any score."""
    monkeypatch.setattr(gallery, "image_of", lambda test, case: np.zeros(SHAPE))
    tests = {name: SimpleNamespace(cases=(Case(),)) for name in ("chest", "abdomen")}
    own = rows({"p": [None]}, "chest") + rows({"p": [0.5, 0.7]})

    def write(cases: int, own=own) -> list[str]:
        gallery.write(tmp_path, own, SimpleNamespace(seen=("chest", "abdomen")), tests, label_maps, cases=cases, longest=192)
        return sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))

    return write


def test_views_replace_those_of_an_earlier_call(tmp_path, written):
    assert written(0) == []
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "abdomen__old.npz").write_bytes(b"")
    assert written(0) == ["cases", "cases/abdomen__old.npz"]
    assert written(1) == ["cases", "cases/abdomen__p.npz"]
    assert written(1, []) == ["cases"]


def test_an_error_leaves_the_earlier_views(tmp_path, written, monkeypatch):
    before = written(1)

    def broken(*_):
        raise OSError("gone")

    monkeypatch.setattr(gallery, "image_of", broken)
    with pytest.raises(OSError, match="gone"):
        written(1)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == before


def test_a_run_leaves_a_view_of_each_dataset_that_agrees_with_its_scores(first_run):
    run = read_run(first_run.folder)
    last = run.scores[(run.scores["step"] == 1) & (run.scores["stage"] == "merged")].set_index(["dataset", "case", "structure"])["dsc"]
    views = read_cases(run)
    assert [one.dataset for one in views] == ["phantom_chest", "phantom_abdomen"]
    for one in views:
        for name in one.annotated_names:
            again = dice(one.mask("predicted", name), one.mask("reference", name))
            assert one.score(name) == last[one.dataset, one.case, name] == pytest.approx(again, nan_ok=True)
