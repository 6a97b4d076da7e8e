"""The drawing of Figure 4: orders in rows, the datasets of their steps in columns, and mean DSC against the number of parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis import curves, style
from analysis.exhibits.figure4_data import METHODS, ORDERS, UPPER_BOUND, Ours, datasets_of, printed_points, printed_sizes

PANEL_INCHES = 2.2, 1.95
LEGEND_ROW_INCH = 0.22
LETTER_INCH = 0.075  # of the legend's text
MARK_STEPS = 0.12  # width of a hollow mark, in steps
SPREAD_STEPS = 0.5  # that all methods' marks of one step may take
BOUND = {"color": "0.35", "linestyle": (0, (1, 1.5)), "linewidth": 1.1}


def forgetting_by_order(ours: Sequence[Ours], orders: Mapping[str, Sequence[str]] | None = None) -> Figure:
    """Filled marks and lines: our runs; hollow marks and the dotted line: what the paper prints. Source: CL-Net Fig. 4.

    orders: order -> its datasets step by step, all of one length; None: the paper's, whose printed numbers are shown. Steps before the one
    that learned a panel's dataset are shaded. Several seeds: their mean, and a band (in the last column bars) of one standard deviation to
    either side.
    """
    papers, points, printed = orders is None, printed_points(), printed_sizes()
    orders = {order: datasets_of(order) for order in ORDERS} if papers else orders
    labels = list(dict.fromkeys([*(METHODS.values() if papers else ()), *(own.label for own in ours)]))
    looks, steps = {label: style.of(index) for index, label in enumerate(labels)}, len(next(iter(orders.values())))
    with style.applied():
        figure = Figure(figsize=(PANEL_INCHES[0] * (steps + 1), PANEL_INCHES[1] * len(orders)), layout="constrained")
        axes = figure.subplots(len(orders), steps + 1, sharey=True, sharex="col", squeeze=False)
        for row, (order, datasets) in zip(axes, orders.items(), strict=True):
            mine = [own for own in ours if own.order == order]
            for step, dataset in enumerate(datasets):
                _panel(row[step], step, steps, mine, points[(points["order"] == order) & (points["step"] == step)], looks)
                row[step].set_title(f"S{step} {dataset}", fontsize=9)
            _sizes(row[-1], mine, printed[printed["order"] == order], looks)
            row[0].set_ylabel(f"order {order}\nDSC (%)")
        axes[-1, steps // 2].set_xlabel("after step")
        axes[-1, -1].set_xlabel("parameters, nominal (M)")
        axes[0, 0].set(ylim=(-4, 104), yticks=range(0, 101, 20))
        widest = max(axis.dataLim.x1 for axis in axes[:, -1])
        axes[0, -1].set_xlim(0, 1.08 * widest if 0 < widest < float("inf") else 1)
        _legend(figure, looks, {own.label for own in ours}, papers)
    return figure


def _panel(axis: Axes, step: int, steps: int, ours: Sequence[Ours], points: pd.DataFrame, looks: dict[str, dict]) -> None:
    shifts = {label: curves.shift_of(index, len(looks), min(MARK_STEPS, SPREAD_STEPS / len(looks))) for index, label in enumerate(looks)}
    for row in points.itertuples():
        label = METHODS[row.method]
        if row.method != UPPER_BOUND:
            axis.plot(row.eval_step + shifts[label], row.dsc, **_hollow(looks[label]), zorder=5)
    bound = points.loc[points["method"] == UPPER_BOUND, "dsc"]
    if len(bound):
        axis.plot([step - 0.4, steps - 0.6], [bound.iloc[0]] * 2, **BOUND, zorder=2)
    for own in ours:
        seeds = own.curve(step)
        if not seeds.empty:
            curves.draw_curve(axis, seeds.mean(axis=1), looks[own.label], own.label, shift=shifts[own.label],
                              spread=seeds.std(axis=1) if len(own.group.runs) > 1 else None)
    curves.shade_before(axis, list(range(steps)), step)
    axis.set(xlim=(-0.5, steps - 0.5))
    axis.set_xticks(range(steps), [f"S{number}" for number in range(steps)])
    axis.grid(axis="x", visible=False)


def _sizes(axis: Axes, ours: Sequence[Ours], printed: pd.DataFrame, looks: dict[str, dict]) -> None:
    for row in printed.itertuples():
        axis.plot(row.params_M, row.mean_DSC, **_hollow(looks[METHODS[row.method]]), zorder=5)
    for own in ours:
        millions = own.sizes()["nominal_parameters_m"].mean()
        if own.finished and pd.notna(millions):
            dsc, look = 100 * own.finals()["dsc"], looks[own.label]
            axis.errorbar(millions, dsc.mean(), yerr=dsc.std() if len(dsc) > 1 else None, color=look["color"], marker=look["marker"],
                          markersize=6, markeredgecolor="white", markeredgewidth=0.6, elinewidth=1, capsize=2, zorder=4)
    axis.set_title("mean DSC by size", fontsize=9)


def _hollow(look: dict) -> dict:
    return {"color": look["color"], "marker": look["marker"], "linestyle": "none", "markersize": 6, "markerfacecolor": "none",
            "markeredgewidth": 1.2}


def _legend(figure: Figure, looks: dict[str, dict], ours: set[str], papers: bool) -> None:
    """Every method, those that only the paper has with a hollow mark, then what the paper's hollow marks and dotted line mean."""
    filled = {"markersize": 5.5, "linewidth": 1.8, "markeredgecolor": "white", "markeredgewidth": 0.6}
    handles = {label: Line2D([], [], **(look | filled if label in ours else _hollow(look))) for label, look in looks.items()}
    if papers:
        handles |= {"hollow marks: printed in the paper": Line2D([], [], **_hollow({"color": "0.35", "marker": "o"})),
                    "printed upper bound: nnU-Net E5": Line2D([], [], **BOUND)}
    columns = max(1, int(figure.get_figwidth() / (max(map(len, handles)) * LETTER_INCH + 0.6)))
    figure.set_figheight(figure.get_figheight() + LEGEND_ROW_INCH * (1 - len(handles) // -columns))
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", frameon=False, ncols=columns)
