"""DSC of many structures in panels by body group: level rows with names at the left, or upright names below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import style

ROW_INCH, SLOT_INCH = 0.2, 0.19  # a structure in `level_panels`, in `upright_panels`
BAND = "0.955"  # behind every other structure
SPREAD = 0.56  # of a row or slot that its marks are spread over, so that equal values do not hide each other
PAPER, OURS = ("s", "^", "o"), ("D", "P", "v")  # markers: open, filled
COLOURED = ("0.25", *(style.COLOURS[index] for index in (4, 0, 1, 2)), "black")  # of PAPER, then OURS
GREY = ("0.25", "0.6", "0.25", "black", "black", "black")  # where colour says the body group


def level_panels(structures: pd.DataFrame, paper: Mapping[str, pd.Series], ours: Mapping[str, pd.Series]) -> Figure:
    """Structures as rows in two columns, groups under headings; the paper's marks are open, ours are filled.

    structures: index the name, columns `label` (what stands at the row) and `group`; paper, ours: method -> DSC in percent by structure,
    at most three of each; a structure without a value has no mark.
    """
    entries = [entry for group, part in structures.groupby("group", sort=False)
               for entry in [("", group), *zip(part.index, part["label"], strict=True)]]
    half = -(-len(entries) // 2)
    with style.applied():
        figure = Figure(figsize=(9.2, ROW_INCH * half + 1.2), layout="constrained")
        axes = figure.subplots(1, 2, sharex=True)
        for axis, column in zip(axes, (entries[:half], entries[half:]), strict=True):
            for values, look, shift in _series(paper, ours, COLOURED):
                at = values.reindex([name for name, _ in column])
                axis.scatter(at, np.arange(len(column)) + shift, **look)
            axis.set_yticks(range(len(column)), [label for _, label in column], fontsize=7.5)
            for text, (name, _) in zip(axis.get_yticklabels(), column, strict=True):
                text.set_fontweight("normal" if name else "bold")
            axis.set(ylim=(half - 0.4, -0.6), xlabel="DSC (%)")
            axis.tick_params(axis="y", length=0, pad=2)
            for y in range(0, len(column), 2):
                axis.axhspan(y - 0.5, y + 0.5, color=BAND, linewidth=0, zorder=0)
            axis.grid(axis="y", visible=False)
        figure.legend(*_key(paper, ours, COLOURED), loc="outside lower center", ncols=3, frameon=False)
    return figure


def upright_panels(structures: pd.DataFrame, rows: Sequence[Sequence[str]], colours: Mapping[str, str], paper: Mapping[str, pd.Series],
                   ours: Mapping[str, pd.Series]) -> Figure:
    """Structures side by side, `rows` of groups below each other, one scale; the paper's last method bears its group's colour.

    structures, paper, ours: as for `level_panels`; colours: group -> colour.
    """
    slots = max(structures["group"].isin(groups).sum() for groups in rows)
    with style.applied():
        figure = Figure(figsize=(SLOT_INCH * slots + 1.0, 3.3 * len(rows) + 0.4), layout="constrained")
        for axis, groups in zip(figure.subplots(len(rows), 1, sharey=True, squeeze=False)[:, 0], rows, strict=True):
            members = pd.concat([structures[structures["group"] == group] for group in groups])
            x = np.arange(len(members))
            for index, (values, look, shift) in enumerate(_series(paper, ours, GREY)):
                edge = members["group"].map(colours).tolist() if index == len(paper) - 1 else look["edgecolor"]
                axis.scatter(x + shift, values.reindex(members.index), **look | {"edgecolor": edge, "s": 13})
            for place in x[::2]:
                axis.axvspan(place - 0.5, place + 0.5, color=BAND, linewidth=0, zorder=0)
            axis.grid(axis="x", visible=False)
            axis.set_xticks(x, members["label"], rotation=90, fontsize=7)
            axis.set(xlim=(-0.6, slots - 0.4), ylabel="DSC (%)")
            axis.tick_params(axis="x", length=0, pad=2)
            _name_groups(axis, members["group"].tolist(), colours)
        figure.legend(*_key(paper, ours, GREY), loc="outside lower center", ncols=6, frameon=False)
    return figure


def _name_groups(axis: Axes, groups: list[str], colours: Mapping[str, str]) -> None:
    for group in dict.fromkeys(groups):
        first, count = groups.index(group), groups.count(group)
        axis.text(first + (count - 1) / 2, 1.02, group, transform=axis.get_xaxis_transform(), ha="center", va="bottom", fontsize=9,
                  fontweight="bold", color=colours[group])
        if first:
            axis.axvline(first - 0.5, color="0.6", linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)


def _series(paper: Mapping[str, pd.Series], ours: Mapping[str, pd.Series], colours: Sequence[str]) -> list[tuple[pd.Series, dict, float]]:
    """Values, look of the marks, and place within a row or slot of each method; colours: of PAPER, then of OURS."""
    shifts = np.linspace(-SPREAD / 2, SPREAD / 2, len(paper) + len(ours))
    marks = [*zip(PAPER, colours, strict=False), *zip(OURS, colours[len(PAPER):], strict=False)]
    looks = [{"marker": marker, "edgecolor": colour, "facecolor": colour if marker in OURS else "none",
              "s": 16, "linewidth": 1.0, "zorder": 3} for marker, colour in (*marks[:len(paper)], *marks[len(PAPER):][:len(ours)])]
    return list(zip([*paper.values(), *ours.values()], looks, shifts, strict=True))


def _key(paper: Mapping[str, pd.Series], ours: Mapping[str, pd.Series], colours: Sequence[str]) -> tuple[list, list[str]]:
    axis = Figure().subplots()
    return ([axis.scatter([], [], **look) for _, look, _ in _series(paper, ours, colours)],
            [*(f"paper: {name}" for name in paper), *(f"ours: {name}" for name in ours)])
