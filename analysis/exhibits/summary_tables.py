"""Tables 1 to 4: results by body group, the universal models on five public datasets, FLARE22 organ by organ, external datasets."""

from __future__ import annotations

from functools import partial

import pandas as pd

from analysis.exhibits import external
from analysis.exhibits.commands import REAL, five_public, of_rivals
from analysis.exhibits.grid import Column
from analysis.exhibits.layout import Layout, absent_method, paper_cells, row_of_method, source_of_method
from analysis.exhibits.match import FIVE_PUBLIC, learned_names, method_name
from analysis.exhibits.ours import body_groups, learned_datasets, structures_of
from analysis.exhibits.size import nominal_by_group
from analysis.groups import Group
from analysis.load import Run
from analysis.published import ALL_PAIRS, MEAN, methods, results

GROUPS = ("Head & Neck", "Chest", "Abdomen", "Bone", "LNS", "Lesion", "Body", "All")
SCORES = (("dsc", "DSC (%)"), ("asd_mm", "ASD (mm)"))
SLICES = "BiomedParse, on 2D slices"
ALSO_UNIVERSAL = {"joint": "one network", "csclip": "CSCLIP"}
THIRTY_SIX = tuple(f"python run.py experiment={word} {REAL}" for word in
                   ("universal36", "universal36 pruning=text", "continual36 pruning=text"))


def by_place(number: str, place: str) -> pd.DataFrame:
    """The paper's cells of a table that has methods in rows and, in columns, what `published.results` has under `place`."""
    rows = results(number)
    return paper_cells(rows, rows["method"].map(method_name), rows[place])


def flare22_cells() -> pd.DataFrame:
    """Table 3, with BiomedParse's own numbers, which are of slices that hold the organ, in a row of their own."""
    cells = by_place("3", "structure")
    of_slices = cells["measure"] == "dsc_2d"
    return cells.assign(row=cells["row"].mask(of_slices, SLICES), measure=cells["measure"].mask(of_slices, "dsc"))


def universal_row(group: Group) -> str | None:
    """Table 2's row of a group: of what learned the five datasets at once, and of specialists, in whatever order they came.

    One network for all, and CSCLIP, which the paper's table does not have, stand in rows of their own.
    """
    method = group.first.identity["method"]
    if group.scenario != "universal" and method != "nnunet":
        return None
    if method in ALSO_UNIVERSAL and learned_names(group.first) == set(FIVE_PUBLIC):
        return ALSO_UNIVERSAL[method]
    return row_of_method(group, methods("2"))


def flare22(run: Run) -> dict[str, pd.DataFrame]:
    """The structures of FLARE22, where it was learned."""
    found = learned_datasets(run)
    return structures_of(found["FLARE22"]) if "FLARE22" in found else {}


def _layout(number: str, also: tuple[str, ...] = (), **rest) -> Layout:
    names = methods(number)
    rest = {"row_of": partial(row_of_method, printed=names, also=also), **rest}
    return Layout(number, source_of=source_of_method, absent=partial(absent_method, names), **rest)


def _columns(measure: str, places: dict[str, str]) -> tuple[Column, ...]:
    return tuple(Column(place, measure, header) for place, header in places.items())


_BY_GROUP = dict(zip(GROUPS, GROUPS, strict=True))
_FIVE = {**dict(zip(FIVE_PUBLIC, FIVE_PUBLIC, strict=True)), ALL_PAIRS: "mean"}
_ORGANS = {name: "mean" if name == MEAN else name for name in dict.fromkeys(results("3")["structure"]) if name != MEAN} | {MEAN: "mean"}

_TABLES = (
    _layout("1", also=("CLNet_U5", "CLNet_C5", "nnUNet_E5"), title="results by body group", commands=THIRTY_SIX,
            printed=partial(by_place, "1", "group"), places=body_groups, sizes=nominal_by_group,
            grids=(*((words, _columns(measure, _BY_GROUP)) for measure, words in SCORES),
                   ("parameters in millions", _columns("nominal_parameters_m", _BY_GROUP))),
            notes=("Groups: those of the registry's decoders; a structure counts once, whatever number of datasets have it. U36, C36: 36 "
                   "datasets, 16 of them private; runs over more than five public ones stand beside them, U5 and C5 below.",
                   "The paper's means of chest, abdomen and lesions do not follow from its own rows (Tables S12 to S17).")),
    _layout("2", title="universal models on the five public datasets",
            commands=("python run.py experiment=table2", f"python run.py experiment=table2 data=public {REAL} pruning=text"),
            row_of=universal_row, printed=partial(by_place, "2", "dataset"), places=learned_datasets,
            grids=tuple((words, _columns(measure, _FIVE)) for measure, words in SCORES),
            notes=("mean: over all (dataset, structure) pairs, 155 in the paper. One network (method=joint) and CSCLIP are ours alone.",)),
    _layout("3", title="FLARE22 organ by organ", commands=(*five_public("universal5"), *of_rivals("universal5", "nnunet")),
            printed=flare22_cells, places=flare22, grids=tuple((words, _columns(measure, _ORGANS)) for measure, words in SCORES),
            unranked=(SLICES,),
            notes=(f"{SLICES}: as its authors report it, on chosen slices that hold the organ, of other cases; not compared.",)),
    _layout("4", also=("CLNet_U5", "CLNet_C5", "nnUNet_E5", "MiB", "PLOP", "CSCLIP"), title="datasets that no model learned", commands=(),
            printed=external.printed, places=external.places,
            grids=tuple((words, _columns(measure, external.HEADERS)) for measure, words in SCORES),
            notes=(external.NOTE,)),
)
EXHIBITS = tuple(table.exhibit for table in _TABLES)
