"""The tables of averages by class, region and dataset, and of CADS's rule."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.aggregate import final_rows
from analysis.groups import Group
from analysis.render import DASH, Table, number
from analysis.statistics.averages import by_class, by_region, by_set
from analysis.statistics.cads import CLIPPED, JUDGEMENTS, VISIBLE, judged, usual_share

NSD_NOTE = "NSD at each run's own tolerance (`evaluate.nsd_tolerance_mm` of its config.yaml)."
MACRO = ("After the last step, each run in its final stage; of several seeds a case counts once a seed; missed structures and false "
         "positives are counted in the overview. Defined as in SAT, section 8.3")


def average_tables(groups: Sequence[Group]) -> list[Table]:
    """By region, by dataset and by class; none without groups."""
    if not groups:
        return []
    classes = {group.name: by_class(group.scores, group.first.stage) for group in groups}
    over_all = {name: table[["dsc", "nsd"]].mean().to_dict() | {"classes": int(table["dsc"].count())} for name, table in classes.items()}
    regions = {name: _with_total(by_region(table), "all classes", over_all[name]) for name, table in classes.items()}
    sets = {group.name: by_set(group.scores, group.first.stage) for group in groups}
    sets = {name: _with_total(table, "all datasets", table[["dsc", "nsd"]].mean().to_dict() | {"classes": int(table["classes"].sum())})
            for name, table in sets.items()}
    return [
        _side_by_side("statistics_regions", "Averages by region", "region", regions, "classes", (
            f"{MACRO}: the mean over the classes of a region, of the mean over datasets, of the mean over cases; all classes: over all of "
            "them. Regions are the paper's anatomical groups, not SAT's; a class of several regions counts as whole body, lesions stand "
            "alone. n: classes.", NSD_NOTE)),
        _side_by_side("statistics_datasets", "Averages by dataset", "dataset", sets, "classes", (
            f"{MACRO}: the mean over a dataset's classes of the mean over cases; all datasets: over datasets. n: classes, in the last row "
            "(dataset, class) pairs.", NSD_NOTE)),
        _side_by_side("statistics_classes", "Averages by class", "class", classes, "datasets", (
            f"{MACRO}: the mean over datasets of the mean over cases. n: datasets.", NSD_NOTE)),
    ]


def cads_table(groups: Sequence[Group]) -> Table | None:
    """DSC by dataset as scored and by CADS's rule, and what the rule said of missed structures; None without groups."""
    data = []
    for group in groups:
        rows = final_rows(group.scores, group.first.stage)
        table = judged(rows, usual_share(rows))
        parts = [*table.groupby("dataset", sort=False), *([("all pairs", table)] if table["dataset"].nunique() > 1 else [])]
        for name, part in parts:
            counts = part["judgement"].value_counts()
            data.append({"name": group.name, "dataset": name, "stage": group.first.stage,
                         **_over_pairs(rows.loc[part.index], "dsc"), **_over_pairs(part, "dsc", "_cads"),
                         **_over_pairs(part, "nsd", "_cads"),
                         **{judgement: int(counts.get(judgement, 0)) for judgement in JUDGEMENTS},
                         "clipped_but_found": int(part["clipped_but_found"].sum())})
    if not data:
        return None
    counts = (*JUDGEMENTS, "clipped_but_found")
    rows = tuple((line["name"], line["dataset"], *(f"{number(line[key])} (n={line[f'{key}_n']})" for key in ("dsc", "dsc_cads")),
                  number(line["dsc_cads"] - line["dsc"]), *(str(line[key]) for key in counts)) for line in data)
    notes = (
        f"A missed structure of which the reference holds more than {VISIBLE:.0%} of its usual volume counts as missed (visible: DSC and "
        f"NSD 0); with less than {CLIPPED:.0%} it is outside the field of view and left out (clipped); between them the source is silent, "
        "and it counts 0. Source: CADS, section 5.1. n: (dataset, structure) pairs.",
        "Not CADS's numbers: scores.csv has no voxel size and no extent of a scan. So the usual volume is the median of the structure's "
        "reference volumes in voxels in the same dataset, not Table A.5's in mm\N{SUPERSCRIPT THREE}, and the penalty on HD95, the image "
        "diagonal, is left out. `evaluate=cads` scores by the rule itself.",
        "Visible, between, clipped: missed case-structure pairs, summed over seeds. clipped but found: below the same share, yet "
        "predicted; they stay in, where the source's wording could be read to leave them out too.")
    summary = frozenset(index for index, line in enumerate(data) if line["dataset"] == "all pairs")
    return Table("statistics_cads", "Missed and clipped organs by CADS's rule", (
        "run", "dataset", "DSC", "DSC by CADS", "difference", "visible", "between", "clipped", "clipped but found"), rows,
        pd.DataFrame(data), notes, summary)


def _over_pairs(rows: pd.DataFrame, value: str, suffix: str = "") -> dict[str, float]:
    pairs = rows.groupby(["dataset", "structure"])[value].mean()
    return {f"{value}{suffix}": float(pairs.mean()), f"{value}{suffix}_n": int(pairs.count())}


def _with_total(table: pd.DataFrame, name: str, total: dict) -> pd.DataFrame:
    return pd.concat([table, pd.DataFrame([total], index=[name])])


def _side_by_side(name: str, title: str, kind: str, tables: dict[str, pd.DataFrame], count: str, notes: tuple[str, ...]) -> Table:
    names = list(dict.fromkeys(index for table in tables.values() for index in table.index))
    totals = frozenset(index for index, row in enumerate(names) if row in ("all classes", "all datasets"))
    names = [row for index, row in enumerate(names) if index not in totals] + [names[index] for index in totals]
    rows = []
    for row in names:
        cells = []
        for table in tables.values():
            line = table.loc[row] if row in table.index else {"dsc": float("nan"), "nsd": float("nan"), count: 0}
            beside = f" (n={int(line[count])})" if line[count] else ""
            cells += [number(line["dsc"]) + beside, number(line["nsd"]) if beside else DASH]
        rows.append((row, *cells))
    header = (kind, *(f"{run} {word}" for run in tables for word in ("DSC", "NSD")))
    unlike = any(set(table.index) != set(names) for table in tables.values())
    notes += ("The runs do not all have the same rows: their totals are over different ones.",) if totals and unlike else ()
    data = pd.concat([table.rename_axis(kind).reset_index().assign(name=run) for run, table in tables.items()], ignore_index=True)
    return Table(name, title, header, tuple(rows), data, notes, frozenset({len(names) - 1}) if totals else frozenset())
