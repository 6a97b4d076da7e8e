"""Test cases that the runs left to be drawn, and what of anatomy the pictures of them share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from analysis import style
from analysis.cases import CaseView, read_cases
from analysis.exhibits.match import is_stand_in, paper_method
from analysis.groups import Group
from analysis.load import Run
from clnet.anatomy import registry
from clnet.errors import DataError

NONE = "No run at hand left views of its test cases (`cases/` in its folder); a finished run writes them when its command is given again."
_TINTS = ((1.0, 0.0), (0.55, 0.45), (0.6, 0.0))  # of a colour: share that is kept, share of white added


@dataclass(frozen=True)
class Shown:
    """The first run of a group that has views of test cases."""

    group: Group
    run: Run
    views: tuple[CaseView, ...]


def shown(groups: Sequence[Group]) -> tuple[list[Shown], list[str]]:
    """Groups with views of test cases, those that repeat the paper's CL-Net first; and what could not be read, in words."""
    found, problems = [], []
    for group in groups:
        for run in group.runs:
            try:
                views = tuple(read_cases(run))
            except DataError as error:
                problems.append(f"{group.name}: {error}")
                continue
            if views:
                found.append(Shown(group, run, views))
                break
    return sorted(found, key=lambda item: not (paper_method(item.group) or "").startswith("CLNet")), problems


def decoder_of(run: Run) -> dict[str, tuple[str, str]]:
    """Structure, as tables name it -> its decoder and the decoder's group; by the run's own table, and by the registry beside it."""
    known = {name: (structure.decoder, structure.group) for name, structure in registry.load().structures.items()}
    rows = zip(run.decoders["structures"], run.decoders["decoder"], run.decoders["group"], strict=True)
    return known | {name: (decoder, group) for structures, decoder, group in rows for name in str(structures).split()}


def family(name: str) -> str:
    """`Bone_Rib4_R` -> `Bone_Rib`: the name without number and side, under which a picture's key lists a structure."""
    return re.sub(r"(?<=[a-z])\d+$|_[A-Z]\d+$", "", re.sub(r"_[LR]$", "", name))


def colours_of(names: Iterable[str]) -> dict[str, tuple[float, float, float]]:
    """Family -> colour: those of `style`, then lighter, then darker ones of them; the 19th is like the first."""
    cycle = [tuple(keep * part + white for part in to_rgb(colour)) for keep, white in _TINTS for colour in style.COLOURS[:-1]]
    families = dict.fromkeys(map(family, names))
    return {name: cycle[index % len(cycle)] for index, name in enumerate(families)}


def varied(names: Sequence[str], colours: Mapping[str, tuple]) -> dict[str, tuple[float, float, float]]:
    """Structure -> its family's colour, every second one a little lighter, so that neighbours are told apart."""
    found, counts = {}, Counter()
    for name in names:
        own = family(name)
        found[name] = sns.light_palette(colours[own], 5)[3] if counts[own] % 2 else colours[own]
        counts[own] += 1
    return found


def stand_in(run: Run) -> str:
    """The sentence for pictures of synthetic scans; empty for others."""
    return " The scans are synthetic phantoms, which only take the place of the paper's patients." if is_stand_in(run) else ""


def bare(axis: Axes) -> None:
    """No ticks, grid or frame; the labels of the axis stay."""
    axis.set(xticks=[], yticks=[])
    axis.grid(False)
    axis.spines[:].set_visible(False)


def alike(axes: Sequence[Axes]) -> None:
    """Give axes whose units are mm the same width and height, each about its own centre, so that all are to the same scale."""
    ends = np.array([[axis.get_xlim(), axis.get_ylim()] for axis in axes])
    centres, half = ends.mean(2), np.ptp(ends, axis=2).max(0) / 2
    for axis, (x, y) in zip(axes, centres, strict=True):
        axis.set(xlim=(x - half[0], x + half[0]), ylim=(y - half[1], y + half[1]))


def rule(axis: Axes) -> None:
    """A bar of 50 or 100 mm under the lower left corner of an axis whose units are mm."""
    (left, right), (low, _) = axis.get_xlim(), axis.get_ylim()
    length_mm = 50 if right - left < 250 else 100
    axis.plot([left, left + length_mm], [low, low], color="0.2", linewidth=1.5, solid_capstyle="butt", clip_on=False, scalex=False,
              scaley=False)  # fmt: skip
    axis.annotate(f"{length_mm} mm", (left, low), (0, -3), textcoords="offset points", fontsize=6.5, color="0.2", va="top")


def in_groups(run: Run, names: Iterable[str]) -> dict[str, list[str]]:
    """Group -> structures of it, in the order given; those that neither the run nor the registry knows are left out."""
    known, groups = decoder_of(run), {}
    for name in names:
        if name in known:
            groups.setdefault(known[name][1], []).append(name)
    return groups


def organs_of(run: Run, lesion: str) -> list[str]:
    """The structures of the organs that a lesion belongs to, as the run's merging has it."""
    known = decoder_of(run)
    rules = (run.config.get("merging") or {}).get("lesions") or {}
    organs = set(rules.get(known.get(lesion, (lesion,))[0]) or ())
    return [name for name, (decoder, _) in known.items() if decoder in organs]
