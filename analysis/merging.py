"""What merging changed: the scores before and after it, and the voxels that it removed, rightly and wrongly."""

from __future__ import annotations

import pandas as pd

from analysis.aggregate import by_dataset, by_step, by_structure
from analysis.columns import VOXELS
from analysis.load import Run
from analysis.render import DASH, Table, number
from analysis.retention import forgetting_by_pair
from analysis.tables import STAGE_LEGEND, dataset_order

ARROW = "\N{RIGHTWARDS ARROW}"
STAGES = {"before": "premerge", "after": "merged"}
WORST = 5  # structures named in the note


def before_after_table(run: Run) -> Table | None:
    """By dataset after the last step: means, counts and forgetting of premerge and of merged scores; None without both stages."""
    if len(run.stages) < 2:
        return None
    last, learned = max(run.trained_on), run.learned_at
    lines: dict[str, dict] = {}
    for side, stage in STAGES.items():
        structures = by_structure(run.scores, stage).loc[[last]]
        inside = structures[structures.index.get_level_values("dataset").isin(learned)]
        forgotten = forgetting_by_pair(run, stage)
        parts = {name: (row, forgotten[forgotten["dataset"] == name]) for (_, name), row in by_dataset(structures).iterrows()}
        if len(inside):
            parts["all pairs"] = by_step(inside).loc[last], forgotten
        for name, (row, pairs) in parts.items():
            line = lines.setdefault(name, {"dataset": name, "pairs": int(row["structures"])})
            line |= {f"{value}_{side}": row[value] for value in ("dsc", "asd_mm", "hd95_mm", "dsc_n", "asd_mm_n", "hd95_mm_n")}
            line |= {f"{count}_{side}": int(row[count]) for count in ("missed", "false_positive", "left_out")}
            line |= {f"forgetting_{side}": pairs["forgetting"].mean(), f"forgetting_n_{side}": int(pairs["forgetting"].count())}
    complete = [name for name, line in lines.items() if {"dsc_before", "dsc_after"} <= set(line)]
    names = [name for name in dataset_order(run) if name in complete]
    position = sum(name in learned for name in names)
    names[position:position] = ["all pairs"] if "all pairs" in complete else []
    rows = [(name, str(lines[name]["pairs"]), *(_change(lines[name], value, digits) for value, digits in
                                                 (("dsc", 3), ("asd_mm", 2), ("hd95_mm", 2))),
             _counts(lines[name], "missed"), _counts(lines[name], "false_positive"), _forgetting(lines[name])) for name in names]
    notes = (f"Before {ARROW} after merging. Means over cases, then over the n structures ({ARROW} (n=before, after): fewer, where some "
             "have no value). ASD, HD95 in mm. missed, fp: case-structure pairs. forgetting: of DSC, mean over the dataset's structures "
             "that were learned before the last step.", " ".join(STAGE_LEGEND[stage] for stage in reversed(STAGES.values())))
    return Table("merging", f"Before and after merging, S{last}", ("dataset", "n", "DSC", "ASD", "HD95", "missed", "fp", "forgetting"),
                 tuple(rows), pd.DataFrame([lines[name] for name in names]), notes, frozenset({position}))


def voxel_table(run: Run) -> Table | None:
    """Sums of merging.csv by dataset and in total after the last step; None where the run has none for it."""
    last = max(run.trained_on)
    table = run.merging[run.merging["step"] == last]
    if table.empty:
        return None
    sums = table.groupby("dataset", sort=False)[list(VOXELS)].sum()
    sums.insert(0, "pairs", table.groupby("dataset", sort=False).size())
    sums = sums.loc[[name for name in dataset_order(run) if name in sums.index]]
    sums.loc["total"] = sums.sum()
    rows = tuple((name, *(f"{int(row[column]):,}" for column in sums), share(row["true_voxels_before"], row["true_voxels_after"]))
                 for name, row in sums.iterrows())
    header = ("dataset", "pairs", "false before", "after", "outside before", "after", "true outside", "true before", "after", "true lost %")
    notes = ("Voxels of annotated case-structure pairs, summed. false: predicted, not in the reference. outside: those of them on slices "
             "outside the structure's body part range. true: predicted and in the reference; true outside: those outside the range before "
             "merging, which bounding wrongly removes. true lost: share of the true voxels that merging removed, negative where it added.",
             _most_lost(table))
    return Table("merging_voxels", f"Voxels before and after merging, S{last}", header, rows, sums.rename_axis("dataset").reset_index(),
                 notes, frozenset({len(rows) - 1}))


def share(before: float, after: float) -> str:
    """How much of `before` is gone, in %; an en dash without any."""
    return number(100 * (before - after) / before, 2) if before else DASH


def _most_lost(table: pd.DataFrame) -> str:
    sums = table.groupby(["dataset", "structure"], sort=False)[["true_voxels_before", "true_voxels_after"]].sum()
    lost = (sums["true_voxels_before"] - sums["true_voxels_after"]).sort_values(ascending=False, kind="stable")
    lost = lost[lost > 0]
    if lost.empty:
        return "No structure lost true voxels."
    words = [f"{structure} of {dataset} {int(count):,} ({share(*sums.loc[(dataset, structure)])} %)"
             for (dataset, structure), count in lost.head(WORST).items()]
    return f"Most true voxels lost ({len(lost)} of {len(sums)} structures lose any): {'; '.join(words)}."


def _change(line: dict, value: str, digits: int) -> str:
    counts = [int(line[f"{value}_n_{side}"]) for side in STAGES]
    beside = f" (n={counts[0]}, {counts[1]})" if counts != [line["pairs"]] * 2 else ""
    return f"{number(line[f'{value}_before'], digits)} {ARROW} {number(line[f'{value}_after'], digits)}{beside}"


def _counts(line: dict, status: str) -> str:
    return f"{line[f'{status}_before']} {ARROW} {line[f'{status}_after']}"


def _forgetting(line: dict) -> str:
    if not line["forgetting_n_before"] and not line["forgetting_n_after"]:
        return DASH
    return f"{number(line['forgetting_before'])} {ARROW} {number(line['forgetting_after'])} (n={line['forgetting_n_after']})"
