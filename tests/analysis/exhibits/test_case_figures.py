"""Figures 5 to 7 from views of test cases that runs left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from matplotlib.figure import Figure

from analysis.cases import CaseView
from analysis.exhibits import figure5, figure6, figure7, planes, views
from analysis.groups import Group, read_groups

SHAPE, SPACING = (12, 16, 20), (5.0, 2.0, 2.0)
CONFIG = {"data": {"name": "phantom"}, "merging": {"lesions": {"Kidney_Lesion": ["Kidney_L"]}}}


def block(*ends: tuple[int, int]) -> np.ndarray:
    """(z, y, x) mask, true between (low, high) of each axis."""
    mask = np.zeros(SHAPE, bool)
    mask[tuple(slice(*pair) for pair in ends)] = True
    return mask


LIVER, EMPTY = block((2, 8), (3, 12), (2, 9)), block((0, 0), (0, 0), (0, 0))
KIDNEY, LESION = block((2, 6), (8, 12), (12, 17)), block((3, 5), (9, 11), (13, 15))


def view(masks: dict[str, tuple[np.ndarray, np.ndarray]], dsc: dict[str, float], annotated: set[str], dataset="d", case="c") -> CaseView:
    """masks: structure -> reference and prediction."""
    packed = {kind: np.stack([np.packbits(pair[n]) for pair in masks.values()]) for n, kind in enumerate(("reference", "predicted"))}
    known, scores = np.array([name in annotated for name in masks]), np.array([dsc.get(name, np.nan) for name in masks])
    return CaseView(dataset, case, np.zeros(SHAPE, np.int16), np.array(SPACING), tuple(masks), known, scores, packed)


ABDOMEN = view({"Liver": (LIVER, LIVER), "Spleen": (KIDNEY, EMPTY)}, {"Liver": 1.0, "Spleen": 0.0}, {"Liver", "Spleen"})
TUMOUR = view({"Kidney_Lesion": (LESION, LESION), "Kidney_L": (EMPTY, KIDNEY)}, {"Kidney_Lesion": 1.0}, {"Kidney_Lesion"})


@pytest.fixture
def groups_of(run_with, scores) -> Callable[..., list[Group]]:
    """Groups by name, each of one run with views: dataset and case -> view."""

    def make(**runs: dict[tuple[str, str], CaseView]) -> list[Group]:
        folders = []
        for name, held in runs.items():
            folder = run_with(scores, name=name)
            (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
            (folder / "cases").mkdir()
            for (dataset, case), one in held.items():
                np.savez(folder / "cases" / f"{dataset}__{case}.npz", image_hu=one.image_hu, spacing_mm=one.spacing_mm,
                         names=np.array(one.names), annotated=one.annotated, dsc=one.dsc, **one.packed)  # fmt: skip
            folders.append(folder)
        return read_groups([Path(folder) for folder in folders])

    return make


@pytest.fixture
def groups(groups_of) -> list[Group]:
    return groups_of(one={("phantom_abdomen", "a"): ABDOMEN, ("phantom_lesion", "l"): TUMOUR})


def texts(figure: Figure) -> set[str]:
    return {text for axis in figure.axes for text in (axis.get_title(), axis.get_xlabel(), axis.get_ylabel()) if text}


@pytest.mark.parametrize("module", [figure5, figure6, figure7])
def test_without_views_the_reason_stands_there(module, groups_of):
    (exhibit,) = module.EXHIBITS
    for runs in ([], groups_of(bare={})):
        made = exhibit.make(runs)
        assert made.missing == (views.NONE,) and not made.pictures and not made.tables


def test_a_damaged_view_is_said_and_other_runs_are_shown(groups_of):
    runs = groups_of(one={("phantom_abdomen", "a"): ABDOMEN}, two={("phantom_abdomen", "a"): ABDOMEN})
    (runs[0].first.folder / "cases" / "phantom_abdomen__a.npz").write_bytes(b"no archive")
    made = figure5.make(runs)
    assert made.pictures[0].caption.startswith("Anatomies segmented by two") and any("cannot be read" in text for text in made.missing)


def test_figure5_shows_each_group_with_its_score(groups, overlaps):
    made = figure5.make(groups)
    (picture,) = made.pictures
    assert not overlaps(picture.figure)
    assert "Abdomen\nphantom_abdomen\nDSC 0.50, n = 2\n1 not found" in texts(picture.figure)
    sides = picture.figure.axes[:4]
    assert [len(axis.collections) for axis in sides] == [1, 1, 1, 1]
    assert len({tuple(np.ptp([axis.get_xlim(), axis.get_ylim()], axis=1).round(6)) for axis in sides}) == 1  # all to the same scale
    assert "synthetic" in picture.caption and any("lymph node stations" in text for text in made.missing)
    assert {text.get_text() for text in picture.figure.axes[4].get_legend().get_texts()} == {"Liver", "Spleen"}


def test_what_encloses_others_is_seen_through():
    whole, inner = block((0, 12), (0, 16), (0, 20)), block((4, 6), (4, 6), (4, 6))
    assert figure5.hiding({"Liver": whole, "GallBladder": inner}) == {"Liver"}
    assert figure5.hiding({"Bone_Skull": whole, "Bone_Mandible": inner}) == set()
    assert figure5.hiding({"Liver": LIVER, "Stomach": LIVER, "Spleen": EMPTY}) == set()
    assert figure5.hiding({"Lung_LUL": inner}) == {"Lung_LUL"}


@pytest.mark.parametrize("name, expected", [
    ("Bone_Rib4_R", "Bone_Rib"), ("Bone_Rib12_L", "Bone_Rib"), ("Bone_Vert_L1", "Bone_Vert"), ("Eye_L", "Eye"), ("Liver", "Liver"),
    ("Lung_LUL", "Lung_LUL"), ("A_Aorta", "A_Aorta"),
])
def test_numbered_and_paired_structures_share_a_family(name, expected):
    assert views.family(name) == expected


def test_figure6_shows_a_lesion_in_its_organ(groups, overlaps):
    (item,), _ = views.shown(groups)
    (target,) = figure6.targets_of(item)
    assert (target.title, target.view.case, target.organs) == ("Kidney_Lesion", "l", ("Kidney_L",))
    assert np.array_equal(target.organ("reference", "Kidney_L"), KIDNEY)  # as predicted: it has no reference here
    assert np.array_equal(target.mask("reference"), LESION)
    made = figure6.make(groups)
    (picture,) = made.pictures
    assert not overlaps(picture.figure) and "Kidney_Lesion\nphantom_lesion\nDSC 1.00, n = 1" in texts(picture.figure)
    assert [len(axis.collections) for axis in picture.figure.axes] == [1, 1, 1, 1] and len(made.missing) == 1


def test_figure6_says_where_nothing_was_found(groups_of):
    lost = view({"Kidney_Lesion": (LESION, EMPTY)}, {"Kidney_Lesion": 0.0}, {"Kidney_Lesion"})
    (picture,) = figure6.make(groups_of(one={("phantom_lesion", "l"): lost})).pictures
    assert [text.get_text() for axis in picture.figure.axes for text in axis.texts] == ["not found"]
    none = view({"Kidney_Lesion": (EMPTY, LESION)}, {}, {"Kidney_Lesion"})
    assert "No view holds" in figure6.make(groups_of(two={("phantom_lesion", "l"): none})).missing[0]


def test_figure7_marks_errors_on_a_shared_case(groups_of, overlaps):
    """The second method's liver lies a voxel further in x: in each of 6 slices 9 voxels too much and 9 missed of 63."""
    moved = view({"Liver": (LIVER, np.roll(LIVER, 1, 2)), "Spleen": (KIDNEY, KIDNEY)}, {"Liver": 6 / 7, "Spleen": 1.0}, {"Liver", "Spleen"})
    runs = groups_of(one={("phantom_abdomen", "a"): ABDOMEN, ("phantom_abdomen", "b"): ABDOMEN},
                     two={("phantom_abdomen", "b"): moved}, three={("phantom_chest", "b"): ABDOMEN})  # fmt: skip
    entries = figure7.together(views.shown(runs)[0])
    assert [entry.name for entry in entries] == ["one", "two"]
    assert {(entry.view.dataset, entry.view.case) for entry in entries} == {("phantom_abdomen", "b")}
    assert figure7.structures(entries) == ["Liver"]
    made = figure7.make(runs)
    assert made.runs == tuple(entry.name for entry in entries), "its title wraps names, so the page cannot find them there"
    (picture,) = made.pictures
    assert not overlaps(picture.figure) and texts(picture.figure) == {"Liver", "reference", "one", "two", "DSC 1.00", "DSC 0.86"}
    counts = [[int((image.get_array()[..., 3] > 0).sum()) for image in axis.images[1:]] for axis in picture.figure.axes]
    assert counts == [[], [63, 0, 0], [54, 9, 9]]
    assert any("No view of this case: three" in text for text in made.missing) and "phantom_abdomen, b" in picture.caption


def test_figure7_of_one_method_and_of_other_structures(groups_of):
    other = view({"Spleen": (KIDNEY, KIDNEY), "Stomach": (LIVER, EMPTY), "Heart": (EMPTY, EMPTY)}, {}, {"Spleen", "Stomach", "Heart"})
    made = figure7.make(groups_of(one={("phantom_abdomen", "a"): other}))
    assert {"Stomach", "Spleen", "no DSC"} <= texts(made.pictures[0].figure) and "largest" in made.pictures[0].caption
    assert any("stands alone" in text for text in made.missing)


def test_planes_lie_where_their_voxels_do():
    whole = tuple((0, size) for size in SHAPE)
    mask = block((4, 5), (10, 11), (6, 7))
    axis = Figure().subplots()
    planes.Plane(ABDOMEN, planes.AXIAL, 4, ((2, 8), (5, 16), (1, 20))).fill(axis, mask, "red")
    assert axis.images[0].get_extent() == [1, 39, 31, 9] and np.argwhere(axis.images[0].get_array()[..., 3]).tolist() == [[5, 5]]
    axis = Figure().subplots()
    plane = planes.Plane(ABDOMEN, planes.CORONAL, 10, whole)
    plane.fill(axis, mask, "red")
    assert axis.images[0].get_extent() == [-1, 39, -2.5, 57.5] and axis.images[0].origin == "lower"
    plane.outline(axis, mask, "red")
    assert np.allclose(axis.collections[0].get_paths()[0].vertices.mean(0), [12, 20], atol=1.1)  # x and z in mm
    assert planes.fullest(LIVER.astype(int) + LESION, planes.AXIAL) == 3 and planes.fullest(LESION, planes.CORONAL) == 9


def test_boxes_keep_a_margin_within_the_grid():
    assert planes.box_of(ABDOMEN, [LESION], 4.0) == ((2, 6), (7, 13), (11, 17))
    assert planes.box_of(ABDOMEN, [EMPTY], 4.0) == ((0, 12), (0, 16), (0, 20))
    assert planes.square(ABDOMEN, ((2, 6), (7, 9), (10, 20))) == ((2, 6), (3, 13), (10, 20))
    assert planes.square(ABDOMEN, ((2, 6), (7, 9), (0, 20))) == ((2, 6), (0, 16), (0, 20))
