"""Figure 3: each decoder's pruning rate and what pruning did to its DSC, the paper's and ours in the same look."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis import pruning
from analysis.exhibit import Exhibit, Made, Picture
from analysis.exhibits.commands import REAL, five_public
from analysis.exhibits.doubtful import copied
from analysis.exhibits.match import is_stand_in, paper_datasets, paper_method
from analysis.groups import Group
from analysis.paper import caveat
from analysis.pruning_figure import GROUPS, pruning_effect
from analysis.published import RESULTS
from analysis.render import Table, number
from clnet.anatomy import registry

MARK = " *"
_VALUES = ["rate_percent", "difference_points"]
_SAME = ("order", "scenario", "encoder", "decoder", "ema", "supporting", "tuning", "bpr", "merging", "scale", "augment", "labelled_cases")
_COPIED = ("* The paper's value for a structure of this decoder is probably a copy of CL-Net U5's, so its difference says nothing of "
           "pruning.")
_LEGEND = "T: share of a decoder's weights that pruning removed, %. DSC diff.: with pruning minus without, in points of 100."


def paper_effect() -> pd.DataFrame:
    """The paper's 101 decoders in the columns of `analysis.pruning.EFFECT_COLUMNS`, and `doubtful`: whether a copied cell is in it.

    Source: CL-Net Fig. 3, as means over the structures of a decoder in Tables S12 to S17, T of CL-Net U36.
    """
    printed = pd.read_csv(RESULTS / "fig3_decoders.csv")
    anatomy = registry.load()
    doubtful = {anatomy.decoder_of(structure).name for structure in copied()}
    printed = printed.sort_values("group", key=lambda groups: groups.map(GROUPS.index), kind="stable")
    effect = printed[["decoder", "group", "T_U36", "delta_DSC"]].set_axis(pruning.EFFECT_COLUMNS, axis="columns")
    return effect.assign(doubtful=effect["decoder"].isin(doubtful))


def our_effect(pruned: Group, unpruned: Group | None) -> pd.DataFrame:
    """EFFECT_COLUMNS of our runs, mean over seeds: test DSC against the unpruned run of the same seed, or else the validation DSC
    that pruning itself measured."""
    seeds = {run.identity["seed"]: run for run in unpruned.runs} if unpruned else {}
    effects = [pruning.effect_between(run, seeds[run.identity["seed"]]) if unpruned else pruning.effect_within(run)
               for run in pruned.runs if not unpruned or run.identity["seed"] in seeds]
    return pd.concat(effects).groupby(["decoder", "group"], sort=False).mean().reset_index()


def partner(pruned: Group, groups: Sequence[Group]) -> Group | None:
    """The unpruned runs that differ from `pruned` in nothing else and share a seed with it."""
    return next((group for group in groups if not pruning.is_pruned(group.first) and _setting(group) == _setting(pruned)
                 and {run.identity["seed"] for run in group.runs} & {run.identity["seed"] for run in pruned.runs}), None)


def _setting(group: Group) -> dict:
    config = group.first.config
    return {key: config.get(key) for key in _SAME} | {"method": group.first.identity["method"], "datasets": paper_datasets(group.first)}


def _make(groups: Sequence[Group]) -> Made:
    paper = paper_effect()
    ours, missing, notes = {}, [], [_LEGEND, _COPIED]
    pictures = [_picture("paper", paper, f"The paper's Fig. 3, drawn from its tables: CL-Net U36; {_COPIED}")]
    for group in groups:
        if not (paper_method(group) or "").startswith("CLNet") or not pruning.is_pruned(group.first):
            continue
        other = partner(group, groups)
        effect = ours[group.name] = our_effect(group, other)
        missing += [] if other else [f"{group.name}: no unpruned run of the same setting and seed is there, so its differences are of "
                                     "validation cases, not of test cases."]
        what = (f"test DSC of {group.name} minus that of {other.name}" if other
                else f"{group.name}, validation DSC after pruning minus before")
        what += f". {caveat(list(group.first.learned_at))}" if is_stand_in(group.first) else "."
        notes.append(f"{group.name}: {what}")
        pictures.append(_picture(group.name, effect, f"Ours: {what}"))
    missing += [] if ours else ["No pruned CL-Net run over the paper's five datasets is there: the figure is the paper's alone."]
    return Made((_table(paper, ours, notes),), tuple(pictures), tuple(missing))


def _picture(name: str, effect: pd.DataFrame, caption: str) -> Picture:
    if "doubtful" in effect:
        effect = effect.assign(decoder=effect["decoder"] + effect["doubtful"].map({True: MARK, False: ""}))
    return Picture(pruning_effect(effect), f"figure_3_{name}",
                   f"{caption} In all: {pruning.effect_in_words(effect)}. A bar that is cut bears its value.")


def _table(paper: pd.DataFrame, ours: dict[str, pd.DataFrame], notes: list[str]) -> Table:
    """Decoders in rows by group, those that the paper has not last; below, each column's mean over the decoders with a value."""
    ours = ours or {"ours": pd.DataFrame(columns=pruning.EFFECT_COLUMNS)}
    group_of = {name: group for effect in (paper, *ours.values()) for name, group in zip(effect["decoder"], effect["group"], strict=True)}
    data = pd.DataFrame({"decoder": group_of.keys(), "group": group_of.values()})
    doubtful = data["decoder"].map(paper.set_index("decoder")["doubtful"]).eq(True)
    for name, effect in {"paper": paper, **ours}.items():
        for value in _VALUES:
            data[f"{name} {value}"] = data["decoder"].map(effect.set_index("decoder")[value]).astype(float)
        for value in _VALUES if name in ours else ():
            theirs = data[f"paper {value}"].mask(doubtful & (value == "difference_points"))
            data[f"{name} {value}, less the paper's"] = data[f"{name} {value}"] - theirs
    sure = data.assign(**{"paper difference_points": data["paper difference_points"].mask(doubtful)})
    digits = {column: 1 if "rate" in column else 2 for column in data.columns[2:]}
    cells = {column: [number(value, places) for value in data[column]] for column, places in digits.items()}
    cells["paper difference_points"] = [text + MARK * mark for text, mark in zip(cells["paper difference_points"], doubtful, strict=True)]
    means = [f"{number(sure[column].mean(), places)} (n={sure[column].count()})" for column, places in digits.items()]
    rows = [*zip(data["decoder"], data["group"], *cells.values(), strict=True), ("mean over decoders", "", *means)]
    header = [column.replace("rate_percent", "T").replace("difference_points", "DSC diff.") for column in data.columns]
    return Table("figure_3", "Figure 3: pruning rate and DSC difference of each decoder", tuple(header), tuple(rows),
                 data.assign(paper_doubtful=doubtful), (*notes, "The means, and ours less the paper's, leave out differences marked by *."),
                 frozenset({len(data)}))


EXHIBITS = (Exhibit("Figure 3", "Decoders: pruning rate, and DSC with pruning minus without", (
    *five_public("order1"), "python run.py experiment=order1", f"python run.py experiment=universal36 {REAL} pruning=text",
    f"python run.py experiment=universal36 {REAL}"), _make),)
