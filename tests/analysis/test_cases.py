"""Views of test cases as a run folder holds them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.cases import read_cases
from analysis.load import read_run
from clnet.errors import DataError


def write_view(path: Path, masks: dict[str, np.ndarray], **changes: object) -> None:
    """One view in which prediction and reference of each structure are the same mask; `changes` replace arrays."""
    shape = next(iter(masks.values())).shape
    packed = np.stack([np.packbits(mask) for mask in masks.values()])
    path.parent.mkdir(exist_ok=True)
    np.savez_compressed(path, **{"image_hu": np.arange(np.prod(shape), dtype=np.int16).reshape(shape), "spacing_mm": np.array([5.0, 1, 2]),
                                 "names": np.array(list(masks)), "annotated": np.ones(len(masks), bool), "reference": packed,
                                 "predicted": packed, "dsc": np.full(len(masks), 1.0), **changes})


@pytest.fixture
def masks() -> dict[str, np.ndarray]:
    """Two structures on a grid of 3 * 2 * 5 = 30 voxels, which fill no whole number of bytes."""
    grid = np.zeros((2, 3, 2, 5), bool)
    grid[0, 1], grid[1, 2, 1, 4] = True, True
    return {"Liver": grid[0], "Kidney_L": grid[1]}


def test_masks_come_back_as_they_were(run_folder, masks):
    write_view(run_folder / "cases" / "phantom_abdomen__p__1.npz", masks, dsc=np.array([0.5, np.nan]), annotated=np.array([True, False]))
    (view,) = read_cases(read_run(run_folder))
    assert (view.dataset, view.case, view.names) == ("phantom_abdomen", "p__1", ("Liver", "Kidney_L"))
    assert view.image_hu.shape == (3, 2, 5) and view.spacing_mm.tolist() == [5, 1, 2]
    for kind in ("reference", "predicted"):
        assert view.mask(kind, "Liver").sum() == 10 and np.argwhere(view.mask(kind, "Kidney_L")).tolist() == [[2, 1, 4]]
    assert view.score("Liver") == 0.5 and np.isnan(view.score("Kidney_L")) and view.annotated_names == ("Liver",)
    with pytest.raises(ValueError, match="not in"):
        view.mask("reference", "Spleen")


def test_views_come_in_the_order_learned(run_folder, masks):
    assert read_cases(read_run(run_folder)) == []
    for name in ("phantom_chest__a", "phantom_abdomen__b", "phantom_abdomen__a", "unknown__a"):
        write_view(run_folder / "cases" / f"{name}.npz", masks)
    found = [(view.dataset, view.case) for view in read_cases(read_run(run_folder))]
    assert found == [("phantom_abdomen", "a"), ("phantom_abdomen", "b"), ("phantom_chest", "a")]


@pytest.mark.parametrize("change", [{"spacing_mm": np.ones(2)}, {"names": np.array(["Liver"])}, {"reference": np.zeros((2, 3), np.uint8)},
                                    {"image_hu": np.zeros((6, 5), np.int16)}])  # fmt: skip
def test_a_view_that_contradicts_itself_is_refused(run_folder, masks, change):
    write_view(run_folder / "cases" / "phantom_abdomen__a.npz", masks, **change)
    with pytest.raises(DataError, match="contradicts itself"):
        read_cases(read_run(run_folder))


def test_a_damaged_view_is_refused(run_folder, masks):
    path = run_folder / "cases" / "phantom_abdomen__a.npz"
    write_view(path, masks)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match="cannot be read"):
        read_cases(read_run(run_folder))
    write_view(path, masks, names=np.array(["Liver", None], object))
    with pytest.raises(DataError, match="cannot be read"):
        read_cases(read_run(run_folder))
