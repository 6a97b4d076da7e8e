"""Figure 5: the anatomies that a run segments, as surfaces from several sides, one row a group of structures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analysis import style
from analysis.cases import CaseView
from analysis.exhibit import Exhibit, Made, Picture
from analysis.exhibits import views
from analysis.groups import Group
from analysis.load import Run
from analysis.mesh import BACK, FRONT, LEFT, Painted, draw, surface

ROWS = ("Head & Neck", "Chest", "Abdomen", "Bone", "LNS")
COLUMNS = (("reference", FRONT, "reference"), ("predicted", FRONT, "predicted"), ("predicted", LEFT, "from the left"),
           ("predicted", BACK, "from behind"))  # fmt: skip
_WORDS = {"LNS": "lymph node stations", "Bone": "bones"}
_VEILED, _ENVELOPE = 0.25, 10  # opacity of what hides others; how many times their volume it has at least


def make(groups: Sequence[Group]) -> Made:
    """One picture of one run: its case with the most structures of each group."""
    found, problems = views.shown(groups)
    if not found:
        return Made(missing=(views.NONE, *problems))
    chosen = found[0]
    rows = {group: best for group in ROWS if (best := richest(chosen.run, chosen.views, group))}
    problems += [f"{chosen.group.name} has no view with {_WORDS.get(group, group)}, which the paper's figure shows."
                 for group in ROWS if group not in rows]  # fmt: skip
    if not rows:
        return Made(missing=tuple(problems))
    caption = (f"Anatomies segmented by {chosen.group.name}, one test case a row, with its DSC (mean over the n structures that have one). "
               "Reference and prediction from the front, prediction from the left and from behind; what encloses or hides others is "
               "translucent. The paper's Fig. 5 shows its CL-Net's segmentations in this way: organs and lymph node stations of head, neck "
               f"and chest, organs of the abdomen, bones.{views.stand_in(chosen.run)}")  # fmt: skip
    return Made(pictures=(Picture(figure(rows), "figure5", caption),), missing=tuple(problems))


def richest(run: Run, cases: Sequence[CaseView], group: str) -> tuple[CaseView, list[str]] | None:
    """The view with the most annotated structures of a group, the first of equals, and these structures; None where no view has one."""
    held = [(view, views.in_groups(run, view.annotated_names).get(group, [])) for view in cases]
    view, names = max(held, key=lambda item: len(item[1]))
    return (view, names) if names else None


def figure(rows: dict[str, tuple[CaseView, list[str]]]) -> Figure:
    """A row for each group, a column for each side, a key at the right."""
    with style.applied():
        made = Figure(figsize=(9.6, 2.6 * len(rows) + 0.3), dpi=160, layout="constrained")
        grid = made.subplots(len(rows), len(COLUMNS) + 1, squeeze=False, width_ratios=[*[1] * len(COLUMNS), 0.95])
        for axes, (group, (view, names)) in zip(grid, rows.items(), strict=True):
            _row(axes, group, view, names)
        for axis, (_, _, title) in zip(grid[0], COLUMNS, strict=False):
            axis.set_title(title)
    return made


def _row(axes: np.ndarray, group: str, view: CaseView, names: list[str]) -> None:
    masks = {kind: {name: view.mask(kind, name) for name in names} for kind in ("reference", "predicted")}
    veiled, colours = hiding(masks["reference"]), views.colours_of(names)
    own = views.varied(names, colours)
    painted = {kind: [Painted(surface(mask, view.spacing_mm), own[name], _VEILED if name in veiled else 1.0) for name, mask in held.items()]
               for kind, held in masks.items()}  # fmt: skip
    for axis, (kind, azimuth, _) in zip(axes, COLUMNS, strict=False):
        draw(axis, painted[kind], azimuth)
        views.bare(axis)
    views.alike(axes[: len(COLUMNS)])
    views.rule(axes[0])
    scores = [score for name in names if not np.isnan(score := view.score(name))]
    absent = sum(not mask.any() for mask in masks["predicted"].values())
    words = [group, view.dataset, f"DSC {np.mean(scores):.2f}, n = {len(scores)}" if scores else "no DSC"]
    axes[0].set_ylabel("\n".join(words + ([f"{absent} not found"] if absent else [])), fontsize=8)
    _key(axes[-1], names, colours)


def _key(axis, names: list[str], colours: dict) -> None:
    """Families with how many structures each has; the 18 that have colours of their own."""
    counts = {name: sum(views.family(other) == name for other in names) for name in colours}
    handles = [Patch(color=colours[name], label=f"{name} ({count})" if count > 1 else name) for name, count in counts.items()][:18]
    axis.legend(handles=handles, loc="center left", bbox_to_anchor=(0, 0.5), frameon=False, fontsize=6.5, handlelength=1, labelspacing=0.25)
    axis.set_axis_off()


def hiding(masks: dict[str, np.ndarray]) -> set[str]:
    """Structures to see through: lungs, and those whose box holds the box of another of a tenth of their volume or less; bones never."""
    boxes = {name: np.argwhere(mask) for name, mask in masks.items() if mask.any()}
    boxes = {name: (places.min(0), places.max(0), len(places)) for name, places in boxes.items()}
    found = {name for name in masks if name.startswith("Lung")}
    for name, (low, high, volume) in boxes.items():
        inside = (other for other, (bottom, top, size) in boxes.items()
                  if other != name and (low <= bottom).all() and (top <= high).all() and _ENVELOPE * size <= volume)  # fmt: skip
        if not name.startswith("Bone") and any(inside):
            found.add(name)
    return found


EXHIBITS = (Exhibit("Figure 5", "Anatomies segmented, in three dimensions", ("python run.py experiment=order1",), make),)
