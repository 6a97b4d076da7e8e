"""Surfaces of masks and where they come to lie in a picture."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from analysis.mesh import BACK, FRONT, LEFT, Painted, camera, draw, surface

SPACING = (3.0, 1.0, 2.0)


def ball(radius_mm: float, shape=(21, 61, 31)) -> np.ndarray:
    """A ball round the grid's centre, voxel (10, 30, 15) = (30, 30, 30) mm."""
    grid = np.meshgrid(*(np.arange(n) * mm for n, mm in zip(shape, SPACING)), indexing="ij")
    return sum((axis - 30) ** 2 for axis in grid) <= radius_mm**2


@pytest.mark.parametrize("longest, tolerance", [(48, 1.2), (12, 2.4)])  # mm; blocks of 3 x 1 x 2 and of 12 x 4 x 8
def test_a_ball_keeps_its_place_and_size_and_its_normals_point_outward(longest, tolerance):
    found = surface(ball(20), SPACING, longest)
    centres = found.corners.mean(1) - 30
    distances = np.linalg.norm(centres, axis=1)
    assert np.abs(distances - 20).max() < tolerance and np.abs(centres.mean(0)).max() < tolerance / 3
    outward = (found.normals * centres).sum(1) / distances
    assert outward.min() > 0.5 and np.allclose(np.linalg.norm(found.normals, axis=1), 1)


def test_fewer_voxels_give_fewer_triangles():
    assert len(surface(ball(20), SPACING, 12).corners) < len(surface(ball(20), SPACING, 48).corners) / 4


def test_edges_single_voxels_and_nothing():
    corners = surface(np.ones((2, 3, 4), bool), SPACING).corners.reshape(-1, 3)
    quarter = 0.25 * np.array(SPACING[::-1])  # of a voxel: what smoothing may move an end by
    assert (np.abs(corners.min(0) - [-1, -0.5, -1.5]) < quarter).all()  # half a voxel before the first one's centre, (x, y, z)
    assert (np.abs(corners.max(0) - [7, 2.5, 4.5]) < quarter).all()
    one = np.zeros((5, 5, 5), bool)
    one[2, 1, 3] = True
    assert np.allclose(surface(one, SPACING).corners.mean((0, 1)), [6, 1, 6], atol=0.1)  # x, y, z
    assert len(surface(np.zeros((2, 2, 2), bool), SPACING).corners) == 0


@pytest.mark.parametrize("azimuth, right, to_eye", [(FRONT, (1, 0, 0), (0, -1, 0)), (LEFT, (0, 1, 0), (1, 0, 0)),
                                                    (BACK, (-1, 0, 0), (0, 1, 0))])  # fmt: skip
def test_views_are_those_of_radiology(azimuth, right, to_eye):
    """LPS: x grows to the patient's left, which is on the right of a picture from the front; y grows to the back."""
    assert np.allclose(camera(azimuth), [right, (0, 0, 1), to_eye])
    raised = camera(azimuth, 30)
    assert np.allclose(raised @ raised.T, np.eye(3)) and raised[2, 2] == pytest.approx(0.5)
    assert np.allclose(np.cross(raised[0], raised[1]), raised[2])


def test_the_nearer_surface_is_painted_last():
    """A small ball in front of (at lower y than) a large one: from the front its triangles come last, from the back first."""
    small = surface(ball(6), SPACING)
    small = type(small)(small.corners - [0, 40, 0], small.normals)
    for azimuth, last in ((FRONT, (1, 0, 0)), (BACK, (0, 0, 1))):
        axis = Figure().subplots()
        draw(axis, [Painted(small, (1, 0, 0)), Painted(surface(ball(20), SPACING), (0, 0, 1), 0.5)], azimuth)
        (collection,) = axis.collections
        colour = collection.get_facecolors()[-1]
        assert np.array_equal(colour[:3] > 0, np.array(last) > 0) and colour[3] == (1 if last[0] else 0.5)
    axis = Figure().subplots()
    draw(axis, [Painted(surface(np.zeros((2, 2, 2), bool), SPACING), "red")], FRONT)
    assert not axis.collections
