"""One look for every figure: seaborn's white grid, colours that colour-blind readers tell apart, markers and dashes for grey print."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib as mpl
import seaborn as sns

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe & Ito 2008
_OF_METHODS = (*COLOURS, "#7F7F7F", "#5D3A9B")  # a method more than the palette has looked like the first one in another dash
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
SHADE = "0.93"  # steps before a dataset was learned
QUIET = "0.55"


@contextmanager
def applied() -> Iterator[None]:
    """Figures made and saved inside look alike, wherever they are made; SVG text stays text and its ids do not change."""
    look = sns.axes_style("whitegrid") | sns.plotting_context("paper")
    with mpl.rc_context(look | {"font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "font.size": 9, "axes.titlesize": 10,
                                "axes.labelsize": 9, "xtick.labelsize": 8, "ytick.labelsize": 8, "legend.fontsize": 9,
                                "axes.edgecolor": "0.4",
                                "grid.color": "0.88", "grid.linewidth": 0.6, "svg.fonttype": "none", "svg.hashsalt": "clnet-bench"}):
        yield


def of(index: int) -> dict:
    """Colour, marker and dash of the method number `index`; no two of the first 63 are the same."""
    again = index + index // len(_OF_METHODS)
    return {"color": _OF_METHODS[index % len(_OF_METHODS)], "marker": MARKERS[again % len(MARKERS)],
            "linestyle": DASHES[again % len(DASHES)]}  # fmt: skip


def short_names(names: list[str]) -> list[str]:
    """Dataset names without the part that all share (`phantom_chest` -> `chest`), for axes."""
    prefix = os.path.commonprefix(names) if len(names) > 1 else ""
    cut = prefix.rfind("_") + 1
    return [name[cut:].replace("_", " ") for name in names]
