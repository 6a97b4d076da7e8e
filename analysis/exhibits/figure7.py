"""Figure 7: methods beside each other on one test case, with what each of them got wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from analysis import style
from analysis.cases import CaseView
from analysis.exhibit import Exhibit, Made, Picture
from analysis.exhibits import views
from analysis.exhibits.planes import AXIAL, Plane, box_of, fullest, square
from analysis.groups import Group

PAPER = ("Liver", "V_VenaCava_I", "Eso", "Pancreas")
MOST_METHODS = 5  # as many as the paper's figure has
MARGIN_MM = 20
RIGHT, TOO_MUCH, MISSED = style.COLOURS[0], style.COLOURS[1], "#F0E442"  # dark, middle and light in grey print
REFERENCE = style.COLOURS[5]


@dataclass(frozen=True)
class Entry:
    """A method by name and its view of the case that all show."""

    name: str
    view: CaseView


def make(groups: Sequence[Group]) -> Made:
    """One picture of the test case of which most methods left a view."""
    found, problems = views.shown(groups)
    if not found:
        return Made(missing=(views.NONE, *problems))
    entries = together(found)
    apart = [item.group.name for item in found if item.group.name not in {entry.name for entry in entries}]
    if len(entries) == 1:
        problems.append("No test case was left by two methods, so one method stands alone.")
    elif apart:
        problems.append(f"No view of this case: {', '.join(apart)}.")
    if len(entries) > MOST_METHODS:
        problems.append(f"Left out for want of space: {', '.join(entry.name for entry in entries[MOST_METHODS:])}.")
        entries = entries[:MOST_METHODS]
    problems.append("SAT-Pro and BiomedParse, which the paper's figure has beside CL-Net, nnU-Net and MultiTalent, are not run here.")
    names, first = structures(entries), entries[0].view
    if not names:
        return Made(missing=(f"{first.dataset}, case {first.case}: no structure with a reference.", *problems))
    caption = (f"Methods on one test case ({first.dataset}, {first.case}); each row the axial slice in which all methods together have "
               f"most wrong voxels, with the DSC of the whole structure. {_choice(names)}{views.stand_in(found[0].run)}")  # fmt: skip
    shown = tuple(entry.name for entry in entries)
    return Made(pictures=(Picture(figure(entries, names), "figure7", caption),), missing=tuple(problems), runs=shown)


def together(found: Sequence[views.Shown]) -> list[Entry]:
    """Views of the case that most methods share on the same grid; of equals the one with more of the paper's structures, then the first."""
    cases: dict[tuple, list[Entry]] = {}
    for item in found:
        for view in item.views:
            cases.setdefault((view.dataset, view.case, view.image_hu.shape), []).append(Entry(item.group.name, view))
    return max(cases.values(), key=lambda entries: (len(entries), sum(name in PAPER for name in _shared(entries))))


def structures(entries: Sequence[Entry]) -> list[str]:
    """The paper's four, as far as all views have them with a reference; else the four largest that they have."""
    first, shared = entries[0].view, _shared(entries)
    sizes = {name: size for name in shared if (size := int(first.mask("reference", name).sum()))}
    return [name for name in PAPER if name in sizes] or sorted(sizes, key=sizes.get, reverse=True)[:4]


def _shared(entries: Sequence[Entry]) -> list[str]:
    return [name for name in entries[0].view.annotated_names if all(name in entry.view.names for entry in entries)]


def _choice(names: Sequence[str]) -> str:
    paper = "The paper's Fig. 7 shows liver, inferior vena cava, oesophagus and pancreas with arrows at the errors."
    if set(names) == set(PAPER):
        return paper
    ours = "Those of them that the case has are shown" if set(names) <= set(PAPER) else "The case has none of them; its largest are shown"
    return f"{paper} {ours}."


def figure(entries: Sequence[Entry], names: Sequence[str]) -> Figure:
    """A row for each structure; the scan with the reference, then a column for each method."""
    with style.applied():
        made = Figure(figsize=(1.75 * (len(entries) + 1) + 0.5, 1.9 * len(names) + 0.9), dpi=160, layout="constrained")
        grid = made.subplots(len(names), len(entries) + 1, squeeze=False)
        for axes, name in zip(grid, names, strict=True):
            _row(axes, entries, name)
        for axis, title in zip(grid[0], ["reference", *(entry.name for entry in entries)], strict=True):
            axis.set_title(fill(title.replace("__", " "), 18), fontsize=8)
        made.legend(handles=[Line2D([], [], color=REFERENCE, label="reference"), Patch(color=RIGHT, label="true positive"),
                             Patch(color=TOO_MUCH, label="false positive"), Patch(color=MISSED, label="false negative")],
                    loc="outside lower center", ncols=2, frameon=False, fontsize=8)  # fmt: skip
    return made


def _row(axes: Sequence[Axes], entries: Sequence[Entry], name: str) -> None:
    first = entries[0].view
    reference = first.mask("reference", name)
    predicted = [entry.view.mask("predicted", name) for entry in entries]
    wrong = np.sum([reference ^ mask for mask in predicted], axis=0)
    z = fullest(wrong if wrong.any() else reference, AXIAL)
    plane = Plane(first, AXIAL, z, square(first, box_of(first, [reference, *predicted], MARGIN_MM)))
    for axis, mask in zip(axes, [None, *predicted], strict=True):
        plane.show(axis)
        if mask is not None:
            plane.fill(axis, reference & mask, RIGHT)
            plane.fill(axis, mask & ~reference, TOO_MUCH, opacity=0.85)
            plane.fill(axis, reference & ~mask, MISSED, opacity=0.85)
        plane.outline(axis, reference, REFERENCE)
        views.bare(axis)
    axes[0].set_ylabel(name, fontsize=8)
    for axis, entry in zip(axes[1:], entries, strict=True):
        score = entry.view.score(name)
        axis.set_xlabel("no DSC" if np.isnan(score) else f"DSC {score:.2f}", fontsize=7.5, labelpad=2)


EXHIBITS = (Exhibit("Figure 7", "Methods beside each other on one case",
                    ("python run.py experiment=order1 gallery.cases=99", "python run.py experiment=order1 pruning=short gallery.cases=99"),
                    make),)  # fmt: skip
