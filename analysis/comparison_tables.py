"""The tables of a comparison: one row per name, with the standard deviation where a name has several seeds."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis import style
from analysis.aggregate import by_dataset, by_structure, final_mean
from analysis.decoders import NOMINAL
from analysis.groups import Group
from analysis.load import Run
from analysis.pruning import sizes
from analysis.render import DASH, Table
from analysis.spread import SEEDS, mean_and_std, mean_text, span
from analysis.tables import dataset_order

SIZE_COLUMNS = (("mean T %", "mean_pruning_rate_percent", 1), ("sum T'", "nominal_share_sum", 3), ("counted M", "parameters_m", 2),
                ("non-zero M", "nonzero_parameters_m", 2), ("nominal M", "nominal_parameters_m", 2),
                ("GMAC", "decoder_gmac", 2), ("ms", "decoder_ms", 0))
BRIEF_SIZES = ("mean_pruning_rate_percent", "nominal_share_sum", "nonzero_parameters_m")


def comparison_table(groups: Sequence[Group], *, brief: bool = False) -> Table:
    """After each run's last step, in its final stage: DSC and ASD by dataset and over all pairs, pruning and size; like the paper's
    Tables 1 and 2. `brief` leaves out the datasets and what else a terminal has no room for."""
    datasets = list(dict.fromkeys(name for group in groups for name in dataset_order(group.first)))
    short = dict(zip(datasets, style.short_names(datasets), strict=True))
    common, differ = _common_pairs([run for group in groups for run in group.runs])
    columns = []  # header, key, digits
    for value, word, digits in (("dsc", "DSC", 3), ("asd_mm", "ASD", 2)):
        columns += [] if brief else [(f"{word} {short[name]}", f"{value} {name}", digits) for name in datasets]
        columns.append((f"{word} mean", value, digits))
    columns += [("DSC common", "dsc_common", 3)] if differ and not brief else []
    columns += [("DSC premerge", "dsc_premerge", 3)] if not brief and any(group.first.stage == "merged" for group in groups) else []
    counts = ("pairs", "missed") if brief else ("pairs", "missed", "false_positive", "left_out")
    sized = [column for column in SIZE_COLUMNS if not brief or column[1] in BRIEF_SIZES]
    rows, data = [], []
    for group in groups:
        lines = [measures(run, common) for run in group.runs]
        table = pd.DataFrame(lines)
        total = {count: int(table[count].iloc[0] if count == "pairs" else table[count].sum()) for count in counts}
        head = () if brief else (f"{group.first.identity['experiment']}, {group.scenario}", str(len(lines)), group.first.stage)
        rows.append((group.name, *head, *(_cell(table, key, digits) for _, key, digits in columns), *map(str, total.values()),
                     *(_cell(table, key, digits) for _, key, digits in sized)))
        keys = [key for _, key, _ in (*columns, *SIZE_COLUMNS)]
        data.append({"name": group.name, "experiment": group.first.identity["experiment"], "scenario": group.scenario,
                     "method": group.first.identity["method"], "runs": len(lines), "stage": group.first.stage, **total}
                    | {name: item for key in keys for name, item in mean_and_std(table, key).items()})
    header = ("run", *(() if brief else ("experiment", "seeds", "stage")), *(header for header, *_ in columns),
              *({"false_positive": "fp", "left_out": "left out"}.get(count, count) for count in counts), *(name for name, *_ in sized))
    return Table("comparison", "Comparison after the last step", header, tuple(rows), pd.DataFrame(data),
                 tuple(_notes(groups, len(common), differ, " (in the full table)" if brief else "")))


def measures(run: Run, common: Sequence[tuple[str, str]]) -> dict[str, float]:
    """What one run's row of the comparison is made of; `<value> <dataset>` and, beside each mean, `_n` of `_of` pairs."""
    last = max(run.trained_on)
    structures = by_structure(run.scores).loc[[last]]
    total = final_mean(run.scores)
    line = {"pairs": total["structures"], **{count: total[count] for count in ("missed", "false_positive", "left_out")}}
    for value in ("dsc", "asd_mm"):
        line |= {value: total[value], f"{value}_n": total[f"{value}_n"], f"{value}_of": total["structures"]}
        for name, row in by_dataset(structures).loc[last].iterrows():
            line |= {f"{value} {name}": row[value], f"{value} {name}_n": row[f"{value}_n"], f"{value} {name}_of": row["structures"]}
    before = final_mean(run.scores, "premerge")["dsc"] if "premerge" in run.stages else float("nan")
    shared = structures["dsc"].loc[[(last, *pair) for pair in common]].mean() if common else float("nan")
    return line | {"dsc_common": shared, "dsc_premerge": before} | sizes(run)


def runs_table(groups: Sequence[Group]) -> Table:
    """Which run folders are behind each name, with every measure of each in the CSV."""
    runs = [(group, run) for group in groups for run in group.runs]
    common, _ = _common_pairs([run for _, run in runs])
    rows = tuple((group.name, str(run.folder), *run.identity.values(), group.scenario, str(len(run.trained_on)), run.stage)
                 for group, run in runs)
    header = ("name", "run folder", "experiment", "order", "method", "seed", "scenario", "steps", "stage")
    numbers = pd.DataFrame([measures(run, common) for _, run in runs])
    return Table("comparison_runs", "Runs behind the names", header, rows,
                 pd.concat([pd.DataFrame(rows, columns=list(header)), numbers], axis=1))


def _common_pairs(runs: Sequence[Run]) -> tuple[list[tuple[str, str]], bool]:
    """The learned (dataset, structure) pairs that have a DSC in every run, and whether the runs' pairs differ at all."""
    found = []
    for run in runs:
        dsc = by_structure(run.scores).loc[max(run.trained_on)]["dsc"]
        found.append({pair for pair, value in dsc.items() if pair[0] in run.learned_at and pd.notna(value)})
    return sorted(set.intersection(*found)), any(pairs != found[0] for pairs in found)


def _notes(groups: Sequence[Group], common: int, differ: bool, place: str) -> list[str]:
    notes = ["DSC, ASD (mm): means over cases, then over structures; mean: over all (dataset, structure) pairs that a run learned, n: "
             "those with a value, where not all have one. missed, fp, left out: counts of case-structure pairs.",
             f"T: pruning rate, mean over decoders. {NOMINAL} counted, non-zero: all that inference needs, in millions. "
             "GMAC, ms: 10^9 multiply-adds, and milliseconds on the run's machine, of one window in all decoders, dead channels left out.",
             SEEDS]
    if differ:
        notes.append(f"The runs have no DSC for the same pairs: DSC common{place} is over the {common} that all of them have.")
    if len({group.first.stage for group in groups}) > 1:
        notes.append(f"The runs are not all of the same stage; DSC premerge{place}, the mean before merging, is the same for all.")
    return notes


def _cell(table: pd.DataFrame, key: str, digits: int) -> str:
    if key not in table or table[key].isna().all():
        return DASH
    beside = ""
    if f"{key}_n" in table and (table[f"{key}_n"] < table[f"{key}_of"]).any():
        beside = f" (n={span(table[f'{key}_n'])})"
    return mean_text(table[key], digits) + beside
