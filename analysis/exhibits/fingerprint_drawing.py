"""The drawing of Figure 1: datasets in rows, the part of the body that each shows, and its numbers of scans and targets."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from analysis import style
from analysis.exhibits.fingerprints import Fingerprint

GROUPS = {"whole-body": "#444444", "head-neck": style.COLOURS[0], "chest": style.COLOURS[2], "abdomen": style.COLOURS[4],
          "lesion": style.COLOURS[3]}  # the paper's blue, green and orange
TITLES = {"whole-body": "Whole body", "head-neck": "Head and neck", "chest": "Chest", "abdomen": "Abdomen", "lesion": "Lesion"}
EXTERNAL = "External test sets"
ROW_INCH = 0.195
LANDMARKS = "0: bottom of the pelvis, 1: top of the head"


def fingerprints(datasets: Sequence[Fingerprint]) -> Figure:
    """Bands: scans, where known; bars inside: labels; numbers beside bars of square roots, so that small sets can be seen too.

    Rows stand below the name of their body group; datasets with an identifier E come last.
    """
    rows = _rows(datasets)
    images = any(entry.images for entry in datasets)
    with style.applied():
        figure = Figure(figsize=(10.5, ROW_INCH * len(rows) + 1.1), layout="constrained")
        ranges, scans, targets = figure.subplots(1, 3, sharey=True, width_ratios=(5, 2, 1.4))
        for y, (_, entry) in enumerate(rows):
            if entry is not None:
                _range(ranges, y, entry)
                parts = [(entry.training or 0, 0.85), (entry.test or 0, 0.35)]
                words = [f"{part:,}" for part in (entry.training, entry.test) if part is not None]
                missing = "? + " if entry.training is None and entry.identifier[:1] != "E" else ""
                _bar(scans, y, parts, missing + " + ".join(words), entry)
                _bar(targets, y, [(entry.targets, 0.85)], str(entry.targets), entry)
        ranges.set_yticks(range(len(rows)), [title for title, _ in rows], fontsize=7.5)
        for label, (_, entry) in zip(ranges.get_yticklabels(), rows, strict=True):
            label.set_fontweight("normal" if entry else "bold")
        ranges.set(ylim=(len(rows) - 0.4, -0.6), xlim=(0, 1))
        ranges.set_xlabel(f"body part score ({LANDMARKS})")
        scans.set_xlabel("scans: training + test")
        targets.set_xlabel("targets")
        for axis in (ranges, scans, targets):
            axis.tick_params(axis="y", length=0)
            axis.grid(axis="y", visible=False)
        for axis in (scans, targets):
            axis.set_xticks([])
            axis.set_xlim(0, 1.9 * axis.dataLim.x1)
        _legend(figure, images)
    return figure


def _rows(datasets: Sequence[Fingerprint]) -> list[tuple[str, Fingerprint | None]]:
    """Headings (without a fingerprint) and the datasets below them."""
    rows: list[tuple[str, Fingerprint | None]] = []
    external = [entry for entry in datasets if entry.identifier.startswith("E")]
    internal = [entry for entry in datasets if entry not in external]
    others = [entry for entry in internal if entry.body_group not in GROUPS]
    parts = [(TITLES[group], [entry for entry in internal if entry.body_group == group]) for group in GROUPS]
    for title, members in (*parts, ("Other", others), (EXTERNAL, external)):
        rows += [(title, None), *((f"{entry.name}  {entry.identifier}".strip(), entry) for entry in members)] if members else []
    return rows


def _range(axis: Axes, y: int, entry: Fingerprint) -> None:
    colour = GROUPS.get(entry.body_group, style.QUIET)
    axis.axhline(y, color="0.93", linewidth=0.6, zorder=0)
    if entry.images:
        axis.barh(y, entry.images[1] - entry.images[0], left=entry.images[0], height=0.74, color=colour, alpha=0.28, linewidth=0, zorder=2)
    if entry.labels:
        axis.barh(y, entry.labels[1] - entry.labels[0], left=entry.labels[0], height=0.34, color=colour, linewidth=0, zorder=3)
    if not entry.images and not entry.labels:
        axis.text(0.5, y, "no range known", fontsize=7, color=style.QUIET, ha="center", va="center")


def _bar(axis: Axes, y: int, parts: Sequence[tuple[int, float]], words: str, entry: Fingerprint) -> None:
    """Bars on top of each other, as long together as the root of their sum; parts: number and opacity."""
    colour, total, left = GROUPS.get(entry.body_group, style.QUIET), sum(part for part, _ in parts), 0.0
    for part, alpha in parts:
        width = part / total**0.5 if total else 0.0
        axis.barh(y, width, left=left, height=0.62, color=colour, alpha=alpha, linewidth=0, zorder=2)
        left += width
    axis.annotate(words, (left, y), xytext=(4, 0), textcoords="offset points", fontsize=7, ha="left", va="center")


def _legend(figure: Figure, images: bool) -> None:
    handles = {"labels": Patch(color=style.QUIET)} | ({"whole scans": Patch(color=style.QUIET, alpha=0.28)} if images else {})
    handles |= {"training scans": Patch(color="0.3", alpha=0.85), "test scans": Patch(color="0.3", alpha=0.35)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=len(handles), frameon=False)
