"""Surfaces of masks and shaded pictures of them: parallel rays, true to scale in mm, the farther triangle painted first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from scipy.ndimage import find_objects
from scipy.sparse import csr_array
from skimage.measure import block_reduce, marching_cubes

FRONT, LEFT, BACK = 0, 90, 180  # azimuth of the eye in degrees, round the patient from the front over the left side
_AMBIENT = 0.35  # brightness of what no light reaches
_LEVEL = 0.45  # share of a voxel at which a surface lies: under one half, so that voxels that meet in an edge hang together


@dataclass(frozen=True)
class Surface:
    """Triangles. corners: (n, 3, 3), triangle x corner x (x, y, z) in mm from the first voxel's centre, LPS; normals: (n, 3), outward."""

    corners: np.ndarray
    normals: np.ndarray


@dataclass(frozen=True)
class Painted:
    """A surface with its colour (any of matplotlib's) and opacity in (0, 1]."""

    surface: Surface
    colour: object
    opacity: float = 1.0


def surface(mask: np.ndarray, spacing_mm: Sequence[float], longest: int = 48) -> Surface:
    """The closed surface of a mask (z, y, x), with its steps smoothed; spacing_mm: z, y, x. An empty mask has no triangle.

    longest: voxels of the mask's box that an axis keeps at most, which bounds the number of triangles: larger masks are averaged over
    blocks of voxels first. Source of the triangles: marching cubes (Lewiner et al. 2003) of scikit-image.
    """
    boxes = find_objects(np.asarray(mask, np.uint8))
    if not boxes:
        return Surface(np.zeros((0, 3, 3)), np.zeros((0, 3)))
    block = -(-max(extent.stop - extent.start for extent in boxes[0]) // longest)
    share = np.pad(block_reduce(mask[boxes[0]].astype(np.float32), block, np.mean), 1)  # zero all round, so that it closes
    corners, triangles, *_ = marching_cubes(share, _LEVEL * min(1.0, float(share.max())), allow_degenerate=False)
    first = np.array([extent.start for extent in boxes[0]]) + (block - 1) / 2 - block
    corners = smoothed((corners * block + first) * np.asarray(spacing_mm), triangles)[:, ::-1]
    flat = np.cross(*(corners[triangles[:, n]] - corners[triangles[:, 0]] for n in (1, 2)))  # twice the triangles' areas long
    flat *= np.sign((flat * corners[triangles[:, 0]]).sum())  # by the volume's sign: outward
    normals = _of_corners(triangles, len(corners)) @ flat
    normals = normals[triangles].sum(1)
    return Surface(corners[triangles], normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12))


def smoothed(corners: np.ndarray, triangles: np.ndarray, rounds: int = 10) -> np.ndarray:
    """The corners (n, 3) of a mesh moved towards the mean of their neighbours and back, which evens steps and keeps the volume.

    triangles: (m, 3) indices of corners. Source: Taubin 1995, with lambda 0.5 and mu -0.53.
    """
    touching = _of_corners(triangles, len(corners))
    near = touching @ touching.T
    near.setdiag(0)
    near = near.multiply(1 / near.sum(1)[:, None]).tocsr()
    for _ in range(rounds):
        for step in (0.5, -0.53):
            corners = corners + step * (near @ corners - corners)
    return corners


def _of_corners(triangles: np.ndarray, count: int) -> csr_array:
    """(corner, triangle) 1 where a triangle has the corner."""
    columns = np.repeat(np.arange(len(triangles)), 3)
    return csr_array((np.ones(columns.size), (triangles.ravel(), columns)), shape=(count, len(triangles)))


def camera(azimuth: float, elevation: float = 0) -> np.ndarray:
    """Rows: the directions to the picture's right, to its top and to the eye, as (x, y, z) in LPS; angles in degrees.

    azimuth: `FRONT` faces the patient, `LEFT` sees the left side; elevation: how far the eye is raised.
    """
    a, e = np.radians((azimuth, elevation))
    level = np.array([np.sin(a), -np.cos(a), 0.0])
    return np.array([[np.cos(a), np.sin(a), 0.0], np.array([0.0, 0.0, np.cos(e)]) - np.sin(e) * level,
                     np.cos(e) * level + np.array([0.0, 0.0, np.sin(e)])])


def draw(axis: Axes, painted: Iterable[Painted], azimuth: float, elevation: float = 0) -> None:
    """Paint surfaces into an axis whose units are mm; triangles that face away are left out. Nothing is drawn of nothing."""
    painted = [item for item in painted if len(item.surface.corners)]
    if not painted:
        return
    eye = camera(azimuth, elevation)
    light = np.array([-0.4, 0.5, 1.0]) @ eye / np.linalg.norm([-0.4, 0.5, 1.0])  # over the viewer's left shoulder
    counts = [len(item.surface.corners) for item in painted]
    normals = np.concatenate([item.surface.normals for item in painted])
    seen = np.flatnonzero(normals @ eye[2] > -0.15)  # a little beyond the rim, so that it has no gaps
    places = np.concatenate([item.surface.corners for item in painted])[seen] @ eye.T
    nearer = np.argsort(places[..., 2].mean(1), kind="stable")
    seen, places = seen[nearer], places[nearer]
    opacity = np.repeat([item.opacity for item in painted], counts)[seen]
    colours = np.repeat([to_rgb(item.colour) for item in painted], counts, axis=0)[seen]
    brightness = _AMBIENT + (1 - _AMBIENT) * np.clip(normals[seen] @ light, 0, 1)
    seams = np.where(opacity == 1, 0.3, 0)  # hair lines close those between solid triangles; translucent ones show none
    axis.add_collection(PolyCollection(places[..., :2], facecolors=np.column_stack((colours * brightness[:, None], opacity)),
                                       edgecolors="face", linewidths=seams, rasterized=True))
    axis.autoscale_view()
    axis.set_aspect("equal")
