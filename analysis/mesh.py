"""Surfaces of masks and shaded pictures of them: parallel rays, true to scale in mm, the farther triangle painted first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from scipy.ndimage import find_objects, gaussian_filter
from skimage.measure import marching_cubes

FRONT, LEFT, BACK = 0, 90, 180  # azimuth of the eye in degrees, round the patient from the front over the left side
_AMBIENT = 0.35  # brightness of what no light reaches


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
    """The closed surface of a mask (z, y, x), smoothed by half a voxel; spacing_mm: z, y, x. An empty mask has no triangle.

    longest: voxels of the mask's box that an axis keeps at most, which bounds the number of triangles. What is too thin for the usual
    level of one half is shown at half of its own maximum. Source of the triangles: marching cubes (Lewiner et al. 2003) of scikit-image.
    """
    boxes = find_objects(np.asarray(mask, np.uint8))
    if not boxes:
        return Surface(np.zeros((0, 3, 3)), np.zeros((0, 3)))
    stride = -(-max(extent.stop - extent.start for extent in boxes[0]) // longest)
    sigma, margin = 0.5 * stride, 3 * stride
    smooth = gaussian_filter(np.pad(mask[boxes[0]], margin).astype(np.float32), sigma, mode="constant")[::stride, ::stride, ::stride]
    smooth = np.pad(smooth, 1)  # zero all round, whatever the stride left out
    corners, triangles, normals, _ = marching_cubes(smooth, 0.5 * min(1.0, float(smooth.max())))
    first = np.array([extent.start - margin for extent in boxes[0]]) - stride
    corners = (corners * stride + first) * np.asarray(spacing_mm)
    normals = (normals / np.asarray(spacing_mm))[triangles].sum(1)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return Surface(corners[triangles][..., ::-1], normals[:, ::-1])


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
    solid = opacity == 1  # hair lines close the seams between solid triangles; translucent ones would show them
    axis.add_collection(PolyCollection(places[..., :2], facecolors=np.column_stack((colours * brightness[:, None], opacity)),
                                       edgecolors="face", linewidths=np.where(solid, 0.3, 0), antialiaseds=solid, rasterized=True))
    axis.autoscale_view()
    axis.set_aspect("equal")
