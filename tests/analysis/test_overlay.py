"""The picture of a prediction: its slices show what there is, in the colours of the legend, and the file says what it was made of."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from analysis import overlay
from analysis.cases import CaseView
from analysis.exhibits.planes import AXIAL, CORONAL, SAGITTAL, Plane

SPACING = (4.0, 2.0, 2.0)
NAMES = {1: "Liver", 2: "Spleen", 3: "Larynx", 4: "Kidney_L"}


def body() -> tuple[np.ndarray, np.ndarray]:
    """HU and labels (z, y, x): a box of tissue in air with three structures."""
    hu, labels = np.full((30, 40, 50), -1000, np.int16), np.zeros((30, 40, 50), np.uint8)
    hu[:, 5:35, 8:42] = 40
    labels[2:12, 10:25, 10:25], labels[2:10, 12:20, 30:40], labels[22:28, 20:24, 24:28] = 1, 2, 3
    return hu, labels


def test_the_file_holds_the_note_and_the_colours(tmp_path):
    overlay.draw(*body(), SPACING, NAMES, tmp_path / "a.png", "note 1")
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.text == {"Description": "note 1"}
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3).astype(int)
    for value in (1, 2, 3):
        wanted = np.rint(255 * np.array(overlay.colour_of(value)))
        assert (np.abs(pixels - wanted).max(axis=1) <= 2).sum() > 40, value
    absent = np.rint(255 * np.array(overlay.colour_of(4)))
    assert (np.abs(pixels - absent).max(axis=1) <= 2).sum() < 5


def test_the_same_scan_gives_the_same_bytes(tmp_path):
    for name in "ab":
        overlay.draw(*body(), SPACING, NAMES, tmp_path / f"{name}.png", "n")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_slices_are_those_that_show_most():
    hu, labels = body()
    view = CaseView("", "", hu, np.array(SPACING), (), np.empty(0), np.empty(0), {})
    coronal, sagittal, *axial = overlay._panels(view, labels)
    assert set(np.unique(coronal.plane.of(labels))) == {0, 1, 2} and 12 <= coronal.plane.index < 20
    assert set(np.unique(sagittal.plane.of(labels))) in ({0, 1, 3}, {0, 1}) and sagittal.plane.normal == SAGITTAL
    assert [panel.plane.index // 10 for panel in axial] == [2, 1, 0], "from head to feet, one of each third"


@pytest.mark.parametrize("edit", [
    lambda hu, labels: (hu, np.zeros_like(labels)),
    lambda hu, labels: (np.full_like(hu, -1000), labels),
    lambda hu, labels: (hu[:3], labels[2:5]),
    lambda hu, labels: (np.repeat(hu, 30, axis=0), np.repeat(labels, 30, axis=0)),
])  # fmt: skip
def test_odd_scans_have_pictures_too(edit, tmp_path):
    overlay.draw(*edit(*body()), SPACING, NAMES, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert 300 < picture.size[0] < 3000 and 200 < picture.size[1] < 3000


def test_many_structures_have_colours_of_their_own():
    colours = [overlay.colour_of(value) for value in range(1, 61)]
    apart = [np.abs(np.subtract(a, b)).max() for index, a in enumerate(colours) for b in colours[:index]]
    assert min(apart) > 0.02


@pytest.mark.parametrize("normal, corner", [(AXIAL, (0, 0)), (CORONAL, (-1, 0)), (SAGITTAL, (-1, 0))])
def test_head_and_front_and_left_are_where_radiologists_expect_them(normal, corner):
    """One painted voxel: LPS origin, so right, front, feet. It must come out at the left and (axial) top or (others) bottom."""
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[0, 0, 0] = 1
    view = CaseView("", "", np.zeros((4, 4, 4), np.int16), np.ones(3), (), np.empty(0), np.empty(0), {})
    figure = Figure(figsize=(1, 1), dpi=40)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set_axis_off()
    plane = Plane(view, normal, 0, ((0, 4),) * 3)
    plane.show(axis)
    plane.paint(axis, labels, np.array([(0, 0, 0), (1, 0, 0)]), opacity=1.0)
    axis.set_aspect("auto")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    red = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)
    assert tuple(red[corner]) == (255, 0, 0) and tuple(red[-1 - corner[0], -1]) != (255, 0, 0)
