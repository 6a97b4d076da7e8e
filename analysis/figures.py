"""The figures of a report: forgetting curves as in the paper's Fig. 4, and every structure's DSC after the last step."""

from __future__ import annotations

from pathlib import Path
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis import curves, style
from analysis.aggregate import by_dataset, by_structure
from analysis.load import learned_at, learned_order, main_stage

ROWS_PER_COLUMN = 44


def forgetting_curves(frames: dict[str, pd.DataFrame], stage: str | None = None) -> Figure:
    """One panel per dataset in the order learned (that of the first frame); steps on x, mean DSC (%) over structures on y.

    `frames` is method -> its scores, of its final stage unless `stage` says otherwise; scores of several seeds of a method may stand in
    one frame. A curve starts at the step that learned the panel's dataset; the steps before it are shaded. One method alone also shows
    each structure as a thin line; several show a band, the standard deviation over cases. A frame of a single step among longer ones
    (the universal scenario) is a level line.
    """
    longest = max(frame["step"].nunique() for frame in frames.values())
    stepwise = {name: frame for name, frame in frames.items() if frame["step"].nunique() > 1 or longest == 1}
    orders, learned = ([function(frame) for frame in stepwise.values()] for function in (learned_order, learned_at))
    datasets, steps = list(dict.fromkeys(name for each in learned for name in each)), sorted(set().union(*orders))
    names = dict(zip(datasets, style.short_names(datasets), strict=True))
    same_order = all(order == orders[0] for order in orders)
    labels = [names.get(orders[0][step], orders[0][step]) if same_order else "" for step in steps]
    slant = max(len(word) for label in labels for word in (label.split() or [""])) > 9
    ticks = [f"S{step} {label}".strip() if slant else f"S{step}\n{fill(label, 8, break_long_words=False)}".strip()
             for step, label in zip(steps, labels, strict=True)]
    columns = min(3, len(datasets))
    lines = -(-len(datasets) // columns)
    with style.applied():
        figure = Figure(figsize=(max(3.4 * columns, 5.0), (3.2 if slant else 2.6) * lines + 0.4), layout="constrained")
        axes = figure.subplots(lines, columns, sharey=True, squeeze=False).ravel()
        for axis, dataset in zip(axes, datasets, strict=False):
            for index, (method, frame) in enumerate(frames.items()):
                shift = curves.shift_of(index, len(frames))
                if method in stepwise:
                    _curve(axis, frame, dataset, method, index, stage, shift, alone=len(frames) == 1)
                else:
                    _level(axis, frame, dataset, method, index, stage)
            first = min(each[dataset] for each in learned if dataset in each)
            curves.shade_before(axis, steps, first)
            axis.set(title=names[dataset], xlim=(steps[0] - 0.5, steps[-1] + (0.9 if len(frames) == 1 else 0.5)), ylim=(-3, 103))
            axis.set_xticks(steps, ticks, rotation=60 if slant else 0, ha="right" if slant else "center", rotation_mode="anchor")
            axis.grid(axis="x", visible=False)
        for axis in axes[::columns]:
            axis.set_ylabel("DSC (%)")
        for axis in axes[len(datasets):]:
            axis.set_visible(False)
        handles = {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
        width = max(map(len, handles), default=1) * 0.08 + 0.6  # of an entry, in inches
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", frameon=False,
                      ncols=max(1, min(4, int(figure.get_figwidth() / width))))
    return figure


def _level(axis: Axes, frame: pd.DataFrame, dataset: str, method: str, index: int, stage: str | None) -> None:
    means = by_dataset(by_structure(frame, stage)).droplevel("step")["dsc"]
    if dataset in means.index and pd.notna(means[dataset]):
        axis.axhline(100 * means[dataset], color=style.of(index)["color"], linestyle=(0, (6, 2)), linewidth=1.2, zorder=3,
                     label=f"{method} (one step)")


def _curve(axis: Axes, frame: pd.DataFrame, dataset: str, method: str, index: int, stage: str | None, shift: float,
           *, alone: bool) -> None:
    part = curves.rows_since_learned(frame, dataset, stage)
    if part.empty:
        return
    mean, look, spread = curves.mean_by_step(frame, dataset, stage), style.of(index), None
    if alone:
        wide = 100 * by_structure(part, part["stage"].iloc[0])["dsc"].droplevel("dataset").unstack("structure")
        for number, name in enumerate(wide.columns):
            axis.plot(wide.index, wide[name], color=look["color"], alpha=0.3, linewidth=0.7, marker=".", markersize=3,
                      label=None if number else "each structure")
        axis.annotate(f"{mean.iloc[-1]:.1f}", (mean.index[-1], mean.iloc[-1]), xytext=(7, 0), textcoords="offset points", ha="left",
                      va="center", fontsize=8)
    else:
        spread = 100 * part.groupby(["step", "case"])["dsc"].mean().groupby("step").std().reindex(mean.index)
    curves.draw_curve(axis, mean, look, f"{method}, mean over structures" if alone else method, spread=spread, shift=shift)


def structure_scores(scores: pd.DataFrame, stage: str | None = None) -> Figure:
    """Every structure's DSC (%) after the last step, by dataset: dots are cases, the bar is their mean; misses are counted at the right."""
    stage = stage or main_stage(scores)
    last = scores[(scores["step"] == scores["step"].max()) & (scores["stage"] == stage)]
    table = by_structure(last, stage).droplevel("step")
    entries: list[tuple[str, str | None]] = []
    for dataset in dict.fromkeys([*learned_at(scores), *last["dataset"]]):
        inside = [(dataset, name) for name in table.index[table.index.get_level_values("dataset") == dataset].get_level_values("structure")]
        entries += [(dataset, None), *inside] if inside else []
    columns = _columns(entries)
    height = max(map(len, columns))
    cases = {key: 100 * rows["dsc"].dropna().to_numpy() for key, rows in last.groupby(["dataset", "structure"])}
    with style.applied():
        figure = Figure(figsize=(max(4.6 * len(columns), 5.6), 0.17 * height + 1.0), layout="constrained")
        for axis, column in zip(figure.subplots(1, len(columns), squeeze=False)[0], columns, strict=True):
            for y, (dataset, name) in enumerate(column):
                if name is not None:
                    _row(axis, y, table.loc[(dataset, name)], cases[dataset, name])
            axis.set_yticks(range(len(column)), [name or dataset for dataset, name in column], fontsize=7)
            for label, (_, name) in zip(axis.get_yticklabels(), column, strict=True):
                label.set_fontweight("normal" if name else "bold")
            axis.set(xlim=(-2, 102), ylim=(height - 0.3, -0.7), xlabel="DSC (%)")
            axis.tick_params(axis="y", length=0, pad=2)
            axis.grid(axis="y", visible=False)
        figure.legend(*_key(), loc="outside lower center", ncols=4, frameon=False)
    return figure


def _row(axis: Axes, y: int, row: pd.Series, cases: np.ndarray) -> None:
    axis.axhline(y, color="0.93", linewidth=0.6, zorder=0)
    axis.scatter(cases, np.full(len(cases), y), s=7, color=style.QUIET, alpha=0.8, linewidth=0, zorder=2)
    if pd.notna(row["dsc"]):
        axis.scatter([100 * row["dsc"]], [y], s=60, marker="|", color=style.COLOURS[0], linewidth=2, zorder=3)
    words = [f"{int(row[status])} {word}" for status, word in (("missed", "missed"), ("false_positive", "fp")) if row[status]]
    words += ["no value"] if pd.isna(row["dsc"]) else []
    axis.text(103, y, ", ".join(words), fontsize=6.5, color=style.COLOURS[1], va="center", clip_on=False)


def _columns(entries: list[tuple[str, str | None]]) -> list[list[tuple[str, str | None]]]:
    """Rows dealt into as few columns as hold them, of about equal length."""
    count = max(1, -(-len(entries) // ROWS_PER_COLUMN))
    length = -(-len(entries) // count)
    while len(columns := _dealt(entries, length)) > count:  # headings that are repeated or moved on need room too
        length += 1
    return columns


def _dealt(entries: list[tuple[str, str | None]], length: int) -> list[list[tuple[str, str | None]]]:
    """Rows dealt into columns of `length`; a dataset that runs on repeats its heading, and none ends with a heading."""
    columns: list[list[tuple[str, str | None]]] = [[]]
    for dataset, name in entries:
        if len(columns[-1]) >= length or (name is None and len(columns[-1]) >= length - 1):
            columns.append([(f"{dataset} (continued)", None)] if name is not None else [])
        columns[-1].append((dataset, name))
    return columns


def _key() -> tuple[list, list[str]]:
    axis = Figure().subplots()
    return ([axis.scatter([], [], s=60, marker="|", color=style.COLOURS[0], linewidth=2),
             axis.scatter([], [], s=7, color=style.QUIET, linewidth=0)], ["mean over cases", "one case"])


def save(figure: Figure, folder: Path, name: str) -> Path:
    """`folder`/<name>.png (160 dpi) and .svg, without dates, so that the same scores give the same files; returns the PNG."""
    with style.applied():
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
        figure.set_layout_engine("none")  # it is laid out now; once more would take a third of the time
        figure.savefig(folder / f"{name}.png", dpi=160, metadata={"Software": None})
    return folder / f"{name}.png"
