"""The pieces of a panel of forgetting curves: mean DSC on one dataset after each step from the one that learned it."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from analysis import style
from analysis.aggregate import by_dataset, by_structure
from analysis.load import learned_at, main_stage

APART = 0.07  # of a step, between neighbouring curves, so that equal ones do not hide each other


def rows_since_learned(scores: pd.DataFrame, dataset: str, stage: str | None = None) -> pd.DataFrame:
    """The rows of a dataset in one stage (by default the final one) from the step that learned it; none where no step did."""
    first = learned_at(scores).get(dataset)
    part = scores[(scores["dataset"] == dataset) & (scores["stage"] == (stage or main_stage(scores)))]
    return part[part["step"] >= first] if first is not None else part.iloc[:0]


def mean_by_step(scores: pd.DataFrame, dataset: str, stage: str | None = None) -> pd.Series:
    """Step -> DSC in percent, mean over cases and then over structures, from the step that learned the dataset."""
    part = rows_since_learned(scores, dataset, stage)
    if part.empty:
        return pd.Series(dtype=float)
    return 100 * by_dataset(by_structure(part, part["stage"].iloc[0]))["dsc"].droplevel("dataset")


def shift_of(index: int, count: int, apart: float = APART) -> float:
    """How far the curve number `index` of `count` is moved along the axis of steps."""
    return apart * (index - (count - 1) / 2)


def draw_curve(axis: Axes, mean: pd.Series, look: dict, label: str, *, spread: pd.Series | None = None, shift: float = 0.0) -> None:
    """A line with marks through `mean` (step -> DSC in percent), within a band of one `spread` to either side."""
    x = mean.index + shift
    if spread is not None:
        axis.fill_between(x, mean - spread, mean + spread, color=look["color"], alpha=0.15, linewidth=0)
    axis.plot(x, mean, linewidth=1.8, markersize=5.5, markeredgecolor="white", markeredgewidth=0.6, zorder=4, label=label, **look)


def shade_before(axis: Axes, steps: list[int], first: int) -> None:
    """Shade the steps before `first`, which learned the panel's dataset."""
    axis.axvspan(steps[0] - 0.5, first - 0.5, color=style.SHADE, linewidth=0, zorder=0)
