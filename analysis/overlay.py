"""A scan with what a model found in it: coronal, sagittal and axial slices, each structure in a colour and under its number."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from scipy.ndimage import distance_transform_edt

from analysis import style
from analysis.cases import CaseView
from analysis.exhibits.planes import AXIAL, CORONAL, SAGITTAL, Plane, box_of
from clnet.atomic import replace_atomically

_LONGEST = 400  # voxels of an axis, to draw
_AIR_HU, _MARGIN_MM = -500, 5.0  # what is cut away around the body
_HEIGHT, _LEGEND_ROW, _LEGEND_COLUMNS = 6.0, 0.165, 6  # inches; entries side by side
_NUMBER_SHARE = 0.012  # of the picture's height: inner radius from which a structure has room for its number
_AXIAL_SLICES = 3


@dataclass(frozen=True)
class _Panel:
    title: str
    plane: Plane

    @property
    def size_mm(self) -> tuple[float, float]:
        """Height and width."""
        box, spacing = self.plane.box, self.plane.view.spacing_mm
        return tuple((box[axis][1] - box[axis][0]) * spacing[axis] for axis in range(3) if axis != self.plane.normal)


def draw(
    image_hu: np.ndarray, values: np.ndarray, spacing_mm: Sequence[float], names: Mapping[int, str], path: Path, note: str = ""
) -> None:  # fmt: skip
    """Write a PNG: one coronal, one sagittal and three axial slices, chosen so that most structures are seen.

    image_hu, values: (z, y, x) in LPS, HU and label map; spacing_mm: z, y, x; names: value -> structure; note: kept in the file as its
    description. Numbers are the label map's values. Every axis keeps each n-th voxel of large scans. Raises HostError for a full disk.
    """
    grid = tuple(slice(None, None, -(-size // _LONGEST)) for size in image_hu.shape)
    spacing = np.array([mm * part.step for mm, part in zip(spacing_mm, grid, strict=True)])
    view = CaseView("", "", image_hu[grid], spacing, (), np.empty(0), np.empty(0), {})
    labels = values[grid]
    panels = _panels(view, labels)
    shown = sorted({int(value) for panel in panels for value in np.unique(panel.plane.of(labels)) if value})
    hidden = [names[int(value)] for value in np.unique(values) if value and int(value) not in shown]
    with style.applied(), replace_atomically(path) as temporary:
        figure = _figure(panels, labels, shown, names, hidden)
        figure.savefig(temporary, dpi=110, format="png", metadata={"Description": note, "Software": None})


def colour_of(value: int) -> tuple[float, float, float]:
    """RGB of a label map's value: hues by the golden ratio, in three brightnesses, so that neighbours differ."""
    return colorsys.hsv_to_rgb(value * 0.6180339887 % 1, (0.95, 0.6, 0.8)[value % 3], (1.0, 1.0, 0.75)[value % 3])


def _panels(view: CaseView, labels: np.ndarray) -> list[_Panel]:
    box = box_of(view, [view.image_hu > _AIR_HU], _MARGIN_MM)
    inside = labels[tuple(slice(*ends) for ends in box)]
    planes = [("coronal", CORONAL, [slice(None)]), ("sagittal", SAGITTAL, [slice(None)])]
    used = np.flatnonzero(inside.any(axis=(1, 2)))
    ends = np.linspace(used[0], used[-1] + 1, _AXIAL_SLICES + 1).astype(int) if len(used) else [0, len(inside)]
    planes.append(("axial", AXIAL, [slice(a, b) for a, b in reversed(list(zip(ends[:-1], ends[1:]))) if b > a]))
    panels = []
    for title, normal, parts in planes:
        richness = _richness(inside, normal)
        for part in parts:
            index = box[normal][0] + (part.start or 0) + int(np.argmax(richness[part]))
            panels.append(_Panel(f"{title}, {index * view.spacing_mm[normal]:.0f} mm", Plane(view, normal, index, box)))
    return panels


def _richness(labels: np.ndarray, normal: int) -> np.ndarray:
    """How much each slice shows: its number of structures first, then their voxels."""
    count, size = labels.shape[normal], int(labels.max(initial=0)) + 1
    places = np.nonzero(labels)
    voxels = np.bincount(places[normal] * size + labels[places], minlength=count * size).reshape(count, size)
    return (voxels > 0).sum(1) + voxels.sum(1) / (labels.size + 1)


def _figure(panels: Sequence[_Panel], labels: np.ndarray, shown: Sequence[int], names: Mapping[int, str], hidden: Sequence[str]) -> Figure:
    """Coronal and sagittal beside a column of the axial slices, the legend below."""
    large, small = panels[:2], panels[2:]
    widths = [_HEIGHT * panel.size_mm[1] / panel.size_mm[0] for panel in large]
    small_height = _HEIGHT / len(small)
    widths.append(max(small_height * panel.size_mm[1] / panel.size_mm[0] for panel in small))
    scale = 1.0 if sum(widths) >= 9 else min(9 / sum(widths), 1.6)
    scale = min(scale, 16 / sum(widths))
    widths, height = [max(width * scale, 1.5) for width in widths], _HEIGHT * scale
    rows = -(-len(shown) // _LEGEND_COLUMNS) + (2 if hidden else 1)
    total = height + rows * _LEGEND_ROW + 0.3
    figure = Figure(figsize=(max(sum(widths), 9.0), total), facecolor="white")
    picture, legend = figure.add_gridspec(2, 1, height_ratios=(height + 0.3, rows * _LEGEND_ROW), hspace=0.02,
                                          left=0.01, right=0.99, top=0.97, bottom=0.01)  # fmt: skip
    columns = picture.subgridspec(1, 3, width_ratios=widths, wspace=0.02)
    places = [columns[0], columns[1], *columns[2].subgridspec(len(small), 1, hspace=0.12)]
    table = np.array([(0, 0, 0), *(colour_of(value) for value in range(1, int(labels.max(initial=0)) + 1))], float)
    for panel, place in zip(panels, places, strict=True):
        _draw_panel(figure.add_subplot(place), panel, labels, table)
    _draw_legend(figure.add_subplot(legend), shown, names, hidden)
    return figure


def _draw_panel(axis: Axes, panel: _Panel, labels: np.ndarray, colours: np.ndarray) -> None:
    panel.plane.show(axis)
    panel.plane.paint(axis, labels, colours)
    flat = panel.plane.of(labels)
    axis.set_axis_off()
    axis.set_title(panel.title, fontsize=8, pad=2)
    for value in np.unique(flat[flat > 0]).tolist():
        panel.plane.outline(axis, labels == value, colours[value])
        _draw_number(axis, panel, flat == value, value)


def _draw_number(axis: Axes, panel: _Panel, mask: np.ndarray, value: int) -> None:
    """At the innermost point of the structure, where it has room."""
    rows, columns = (n for n in range(3) if n != panel.plane.normal)
    spacing = panel.plane.view.spacing_mm
    depth = distance_transform_edt(np.pad(mask, 1), sampling=(spacing[rows], spacing[columns]))[1:-1, 1:-1]
    row, column = np.unravel_index(np.argmax(depth), depth.shape)
    if depth[row, column] < _NUMBER_SHARE * panel.size_mm[0]:
        return
    at = [(panel.plane.box[n][0] + place) * spacing[n] for n, place in ((columns, column), (rows, row))]
    axis.text(*at, str(value), color="white", fontsize=6.5, ha="center", va="center",
              path_effects=[withStroke(linewidth=1.4, foreground="black")])


def _draw_legend(axis: Axes, shown: Sequence[int], names: Mapping[int, str], hidden: Sequence[str]) -> None:
    axis.set_axis_off()
    handles = [Patch(color=colour_of(value), label=f"{value} {names[value]}") for value in shown]
    if handles:
        axis.legend(handles=handles, loc="upper left", bbox_to_anchor=(0, 0, 1, 1), mode="expand", ncols=_LEGEND_COLUMNS, frameon=False,
                    fontsize=7, handlelength=1.0, handleheight=0.8, borderaxespad=0, labelspacing=0.35)  # fmt: skip
    if hidden or not shown:
        listed = ", ".join(hidden[:8]) + (f" and {len(hidden) - 8} more" if len(hidden) > 8 else "")
        axis.text(0, 0, f"found, not in these slices: {listed}" if hidden else "nothing was found", fontsize=7, va="bottom",
                  transform=axis.transAxes)  # fmt: skip
