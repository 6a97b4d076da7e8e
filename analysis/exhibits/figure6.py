"""Figure 6: lesions and lymph node stations that a run segments, on CT slices and as surfaces among their organs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from analysis import style
from analysis.cases import CaseView
from analysis.exhibit import Exhibit, Made, Picture
from analysis.exhibits import views
from analysis.exhibits.planes import AXIAL, CORONAL, Plane, box_of, fullest, square
from analysis.groups import Group
from analysis.mesh import FRONT, Painted, draw, surface

REFERENCE, PREDICTED, ORGAN = style.COLOURS[5], style.COLOURS[1], style.COLOURS[2]
MARGIN_MM = 55  # round the lesion: about half an organ
MOST_ROWS = 9  # as many as the paper's figure has
_COLUMNS = ("axial", "coronal", "reference", "predicted")


@dataclass(frozen=True)
class Target:
    """What one row shows: structures of a view, and the organs around them that the view has too."""

    title: str
    view: CaseView
    names: tuple[str, ...]
    organs: tuple[str, ...] = ()

    def mask(self, kind: str) -> np.ndarray:
        """(z, y, x) bool of the structures together, in the reference or as predicted."""
        return np.logical_or.reduce([self.view.mask(kind, name) for name in self.names])

    def organ(self, kind: str, name: str) -> np.ndarray:
        """(z, y, x) bool of an organ, as predicted where it has no reference."""
        return self.view.mask(kind if name in self.view.annotated_names else "predicted", name)


def make(groups: Sequence[Group]) -> Made:
    """One picture of one run: the first that has lesions or lymph node stations to show, else the reason why there is none."""
    found, problems = views.shown(groups)
    if not found:
        return Made(missing=(views.NONE, *problems))
    targets = {item.group.name: list(targets_of(item)) for item in found}
    chosen = next((item for item in found if targets[item.group.name]), None)
    if chosen is None:
        return Made(missing=("No view holds a lesion or a lymph node station with a reference.", *problems))
    rows = targets[chosen.group.name]
    if not any(target.title.startswith("lymph") for target in rows):
        problems.append(f"{chosen.group.name} has no view with lymph node stations, which the paper's figure shows in its first two rows.")
    if len(rows) > MOST_ROWS:
        problems.append(f"{len(rows) - MOST_ROWS} more rows are left out.")
    caption = (f"Lesions segmented by {chosen.group.name}, one test case a row: the axial and the coronal slice with most of the lesion, "
               "and surfaces from the front before that coronal slice, the lesion's organs translucent where the run predicts them there. "
               "The paper's Fig. 6 shows its CL-Net's lymph node stations of head, neck and chest on CT, and lesions of seven "
               f"organs: nasopharynx, lung, oesophagus, liver, pancreas, kidney, colon.{views.stand_in(chosen.run)}")  # fmt: skip
    return Made(pictures=(Picture(figure(rows[:MOST_ROWS]), "figure6", caption),), missing=tuple(problems))


def targets_of(item: views.Shown) -> Iterator[Target]:
    """Lymph node stations of a view together, then each lesion in the first view that has voxels of it in the reference."""
    held = [(view, views.in_groups(item.run, view.annotated_names)) for view in item.views]
    for view, groups in held:
        if groups.get("LNS"):
            yield Target("lymph node stations", view, tuple(groups["LNS"]))
    done = set()
    for view, groups in held:
        for name in groups.get("Lesion", ()):
            if name not in done and view.mask("reference", name).any():
                done.add(name)
                yield Target(name, view, (name,), tuple(organ for organ in views.organs_of(item.run, name) if organ in view.names))


def figure(targets: Sequence[Target]) -> Figure:
    """A row for each target: two slices, the reference in space, the prediction in space."""
    with style.applied():
        made = Figure(figsize=(9.6, 2.5 * len(targets) + 0.7), dpi=160, layout="constrained")
        grid = made.subplots(len(targets), len(_COLUMNS), squeeze=False)
        for axes, target in zip(grid, targets, strict=True):
            _row(axes, target)
        for axis, title in zip(grid[0], _COLUMNS, strict=True):
            axis.set_title(title)
        made.legend(handles=[Line2D([], [], color=REFERENCE, label="reference"), Patch(color=PREDICTED, label="predicted"),
                             Patch(color=ORGAN, label="organ")], loc="outside lower center", ncols=3, frameon=False)  # fmt: skip
    return made


def _row(axes: Sequence[Axes], target: Target) -> None:
    view = target.view
    masks = {kind: target.mask(kind) for kind in ("reference", "predicted")}
    box = square(view, box_of(view, masks.values(), MARGIN_MM))
    planes = [Plane(view, normal, fullest(masks["reference"], normal), box) for normal in (AXIAL, CORONAL)]
    for axis, plane in zip(axes, planes, strict=False):
        plane.show(axis)
        plane.fill(axis, masks["predicted"], PREDICTED)
        plane.outline(axis, masks["reference"], REFERENCE)
    for axis, (kind, mask), colour in zip(axes[2:], masks.items(), (REFERENCE, PREDICTED), strict=True):
        planes[1].show(axis, opacity=0.6)
        draw(axis, [*(Painted(surface(target.organ(kind, name), view.spacing_mm), ORGAN, 0.4) for name in target.organs),
                    Painted(surface(mask, view.spacing_mm), colour)], FRONT)  # fmt: skip
        if not mask.any():
            axis.text(0.5, 0.5, "not found", transform=axis.transAxes, ha="center", va="center", fontsize=8)
        axis.set(xlim=axes[1].get_xlim(), ylim=axes[1].get_ylim())
    for axis in axes:
        views.bare(axis)
    scores = [score for name in target.names if not np.isnan(score := view.score(name))]
    mean = f"DSC {np.mean(scores):.2f}, n = {len(scores)}" if scores else "no DSC"
    axes[0].set_ylabel(f"{target.title}\n{view.dataset}\n{mean}", fontsize=8)


EXHIBITS = (Exhibit("Figure 6", "Lesions and lymph node stations segmented", ("python run.py experiment=order1",), make),)
