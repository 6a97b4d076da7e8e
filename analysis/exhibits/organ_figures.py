"""Figures S1 and S2: the DSC of all 235 structures by nnU-Net and CL-Net, the paper's and ours."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis import style
from analysis.exhibit import Exhibit, Made, Picture
from analysis.exhibits.commands import REAL, five_public, of_rivals
from analysis.exhibits.doubtful import copied
from analysis.exhibits.match import is_stand_in, method_name, paper_method
from analysis.exhibits.organ_panels import OURS, level_panels, upright_panels
from analysis.exhibits.organs import INTERNAL, structure_scores
from analysis.groups import Group
from analysis.paper import caveat
from analysis.pruning_figure import GROUPS
from analysis.published import RESULTS
from analysis.render import Table, number

METHODS = ("nnUNet_E36", "CLNet_C36", "CLNet_U36")
PAGES = (("Head & Neck",), ("Chest",), ("Abdomen", "Lesion", "Body"), ("Bone",), ("LNS",))  # pictures of Figure S1
ROWS = (("Head & Neck", "Lesion"), ("Chest", "Body"), ("Abdomen", "LNS"), ("Bone",))  # of Figure S2
COLOURS = dict(zip(GROUPS, style.COLOURS, strict=True))
_MARKED = "* CL-Net U36's value is probably a copy of CL-Net U5's."
_COMMANDS = (*five_public("universal5"), *(f"python run.py experiment={name}36 {REAL} pruning=text" for name in ("universal", "continual")),
             *of_rivals("universal36", "nnunet"))


def paper_scores() -> pd.DataFrame:
    """DSC (%) of METHODS by structure, with `group` and `label`, in the paper's sequence; labels of copied values end in `*`.

    Source: CL-Net, Tables S12 to S17, which Figures S1 and S2 draw.
    """
    wide = pd.read_csv(RESULTS / "figS1_structures_wide.csv").set_index("structure")
    values = wide[[f"{method}_DSC" for method in METHODS]].set_axis(METHODS, axis="columns")
    return values.assign(group=wide["group"], label=[name + " *" * (name in copied()) for name in wide.index])


def our_scores(groups: Sequence[Group]) -> dict[str, pd.Series]:
    """Group -> DSC (%) by structure, over the cases of all datasets learned; of the groups that repeat a method of the paper, those over
    the 36 datasets first."""
    fitting = sorted((group for group in groups if paper_method(group)), key=lambda group: "36" not in paper_method(group))
    return {group.name: 100 * structure_scores(group).loc[INTERNAL, "dsc"] for group in fitting}


def _make(name: str, groups: Sequence[Group]) -> Made:
    paper, ours = paper_scores(), our_scores(groups)
    shown = dict(list(ours.items())[:len(OURS)])
    printed = {method_name(method): paper[method] for method in METHODS}
    used = [group for group in groups if group.name in shown]
    stand_ins = [dataset for group in used if is_stand_in(group.first) for dataset in group.first.learned_at]
    note = " ".join([_MARKED, *([caveat(stand_ins)] if used else [])])
    if name == "S1":
        pictures = [Picture(level_panels(paper[paper["group"].isin(page)], printed, shown), f"figure_S1_{index}",
                            f"DSC of every structure, {', '.join(page)}. {note}") for index, page in enumerate(PAGES, 1)]
    else:
        pictures = [Picture(upright_panels(paper, ROWS, COLOURS, printed, shown), "figure_S2",
                            f"DSC of all {len(paper)} structures, CL-Net U36 in its body group's colour. {note}")]
    return Made((_table(name, paper, shown, note),), tuple(pictures), tuple(_missing(groups, paper, ours, shown)))


def _table(name: str, paper: pd.DataFrame, ours: dict[str, pd.Series], note: str) -> Table:
    """The numbers behind a figure."""
    data = paper.drop(columns="label").reset_index()[["structure", "group", *METHODS]]
    for group, values in ours.items():
        data[group] = data["structure"].map(values)
    cells = [[number(value, 1) for value in data[column]] for column in data.columns[2:]]
    header = ("structure", "group", *(f"paper {method_name(method)}" for method in METHODS), *(f"ours, {group}" for group in ours))
    return Table(f"figure_{name}", f"Figure {name}: DSC (%) of every structure", header,
                 tuple(zip(paper["label"], data["group"], *cells, strict=True)), data, (note,))


def _missing(groups: Sequence[Group], paper: pd.DataFrame, ours: dict[str, pd.Series], shown: dict[str, pd.Series]) -> list[str]:
    found = {paper_method(group) for group in groups}
    absent = [method_name(method) for method in METHODS if method not in found]
    words = [f"No run repeats: {'; '.join(absent)}."] if absent else []
    words += [f"{name} has {values.reindex(paper.index).count()} of the {len(paper)} structures." for name, values in shown.items()]
    return words + [f"{name} is left out: a figure has room for {len(OURS)} of ours." for name in ours if name not in shown]


EXHIBITS = (
    Exhibit("Figure S1", "DSC of every structure, by body group", _COMMANDS, lambda groups: _make("S1", groups)),
    Exhibit("Figure S2", "DSC of all structures at a glance, coloured by body group", _COMMANDS, lambda groups: _make("S2", groups)),
)
