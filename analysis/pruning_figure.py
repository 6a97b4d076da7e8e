"""The figure of pruning, after the paper's Fig. 3: what each decoder gained or lost, and how much of it was pruned."""

from __future__ import annotations

from math import ceil

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from analysis import style

GROUPS = ("Head & Neck", "Chest", "Abdomen", "Bone", "LNS", "Lesion", "Body")  # Source: CL-Net Fig. 3
SLOTS_PER_ROW = 62
SLOT_INCH = 0.19  # one decoder; its name below is set upright in LABEL_SIZE points
LABEL_SIZE = 7
SLOTS_PER_LETTER = 0.42  # width of a group's name above its decoders
CUT = 8  # a bar that many times longer than the median bar is cut
GAIN, LOSS, CROSS = "#E69F00", "#0072B2", "#C8102E"


def pruning_effect(effect: pd.DataFrame, axis_label: str = "DSC difference (points)") -> Figure:
    """Bars (left axis): DSC with pruning minus without, in points; crosses (right axis): pruning rate in %. Source: CL-Net Fig. 3.

    effect: columns of `analysis.pruning.EFFECT_COLUMNS`; groups follow the paper's order, others come last. Where there are many
    decoders the groups go on in further rows of the figure, on the same scales. A bar much longer than most is cut and bears its value.
    """
    rows = _rows(effect)
    slots = max(row[-1][1] + row[-1][2] for row in rows)
    rates, reach = effect["rate_percent"].min(), _reach(effect["difference_points"])
    lowest = 0.0 if pd.isna(rates) else 10 * np.floor(min(rates, 99) / 10)
    with style.applied():
        figure = Figure(figsize=(max(SLOT_INCH * slots + 1.4, 5.2), 3.7 * len(rows) + 0.3), layout="constrained")
        for axis, row in zip(figure.subplots(len(rows), 1, squeeze=False)[:, 0], rows, strict=True):
            _panel(axis, row, max(slots, 1), reach, lowest)
            axis.set_ylabel(axis_label)
        figure.legend(*_key(), loc="outside lower center", ncols=3 if figure.get_figwidth() > 6.5 else 1, frameon=False)
    return figure


def _reach(points: pd.Series) -> float:
    """Where the left axis ends, in points: past the longest bar, unless that would make most of the others too short to see."""
    sizes = points.abs()[points.abs() > 0]
    if sizes.empty:
        return 0.1
    return 1.15 * (sizes.max() if len(sizes) < 5 or sizes.max() <= CUT * sizes.median() else CUT / 2 * sizes.median())


def _rows(effect: pd.DataFrame) -> list[list[tuple[str, float, float, pd.DataFrame]]]:
    """Rows of (group, first slot, its width in slots, its decoders); a group that does not fit in a row goes on in the next."""
    known = [name for name in GROUPS if name in set(effect["group"])]
    rows: list[list[tuple[str, float, float, pd.DataFrame]]] = [[]]
    for group in [*known, *(name for name in dict.fromkeys(effect["group"]) if name not in known)]:
        members = effect[effect["group"] == group]
        pieces = ceil(len(members) / SLOTS_PER_ROW)
        for piece in range(pieces):
            part = members.iloc[piece * len(members) // pieces:(piece + 1) * len(members) // pieces]
            name = group if not piece else f"{group} (continued)"
            width = max(len(part), ceil(SLOTS_PER_LETTER * len(name)) + 1)
            start = rows[-1][-1][1] + rows[-1][-1][2] if rows[-1] else 0
            if start and start + width > SLOTS_PER_ROW:
                rows.append([])
                start = 0
            rows[-1].append((name, start, width, part))
    return rows


def _panel(axis: Axes, row: list[tuple[str, float, float, pd.DataFrame]], slots: float, reach: float, lowest: float) -> None:
    """The bars take the lower 60 % of the panel, the crosses the upper 40 %, so that neither hides the other."""
    right = axis.twinx()
    places, names = [], []
    for number, (group, start, width, part) in enumerate(row):
        x = start + (width - len(part)) / 2 + np.arange(len(part)) + 0.5
        places, names = [*places, *x], [*names, *part["decoder"]]
        height = part["difference_points"].to_numpy(dtype=float)
        axis.bar(x, np.clip(np.nan_to_num(height), -reach, reach), width=0.7, color=np.where(height > 0, GAIN, LOSS), linewidth=0, zorder=3)
        for place, value in zip(x[np.abs(height) > reach], height[np.abs(height) > reach], strict=True):
            axis.text(place, np.sign(value) * 0.95 * reach, f"{value:+.2g}", rotation=90, ha="center", va="top" if value > 0 else "bottom",
                      fontsize=6.5, color="black" if value > 0 else "white", zorder=5)
        right.plot(x, part["rate_percent"], linestyle="none", marker="x", markersize=4.5, markeredgewidth=1.2, color=CROSS, zorder=4)
        axis.text(start + width / 2, 1.02, group, transform=axis.get_xaxis_transform(), ha="center", va="bottom", fontsize=8,
                  fontweight="bold")
        if number:
            axis.axvline(start, color="0.6", linewidth=0.7, linestyle=(0, (4, 3)), zorder=1)
    axis.axhline(0, color="0.3", linewidth=0.8, zorder=2)
    axis.set(xlim=(0, slots), ylim=(-reach, reach * (1 + 2 * 2 / 3)))
    axis.set_xticks(places, names, rotation=90, fontsize=LABEL_SIZE)
    axis.set_yticks([tick for tick in MaxNLocator(6, symmetric=True).tick_values(-reach, reach) if abs(tick) <= reach])
    axis.grid(axis="x", visible=False)
    span = 102 - lowest
    right.set_ylim(102 - span / 0.38, 102)
    right.set_ylabel("pruning rate (%)", loc="top")
    right.set_yticks([tick for tick in MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(lowest, 100) if lowest <= tick <= 100])
    right.grid(visible=False)


def _key() -> tuple[list, list[str]]:
    axis = Figure().subplots()
    handles = [axis.bar([0], [1], color=GAIN), axis.bar([0], [1], color=LOSS),
               *axis.plot([], [], linestyle="none", marker="x", markersize=5, markeredgewidth=1.2, color=CROSS)]
    return handles, ["better with pruning", "worse with pruning", "pruning rate (right axis)"]
