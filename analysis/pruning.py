"""Pruning: rates and sizes by step, and what it did to each decoder's DSC, within one run or between a pruned and an unpruned one."""

from __future__ import annotations

import pandas as pd

from analysis.aggregate import by_structure
from analysis.decoders import NOMINAL
from analysis.load import Run
from analysis.render import Table, number
from analysis.retention import decoders_by_structure

EFFECT_COLUMNS = ["decoder", "group", "rate_percent", "difference_points"]
SIZES = ("nominal_share_sum", "nominal_parameters_m", "parameters", "nonzero_parameters")
HIGH_RATES = (90, 95)  # the paper counts the decoders above them (2.2)


def is_pruned(run: Run) -> bool:
    """Whether any decoder of the last step lost weights to pruning."""
    return bool((last_decoders(run)["pruning_rate_percent"] > 0).any())


def last_decoders(run: Run) -> pd.DataFrame:
    """The rows of decoders.csv of its last step."""
    return run.decoders[run.decoders["step"] == run.decoders["step"].max()]


def sizes(run: Run) -> dict[str, float]:
    """After the last step: decoders, mean pruning rate (%), sum of T', counted, non-zero and nominal millions of parameters, 10^9
    multiply-adds and milliseconds of one window in all decoders; NaN where the run does not say."""
    decoders, footprint = last_decoders(run), run.footprint[run.footprint["step"] == run.footprint["step"].max()]
    last = footprint.iloc[0] if len(footprint) else pd.Series(float("nan"), index=footprint.columns)
    return {"decoders": len(decoders), "mean_pruning_rate_percent": decoders["pruning_rate_percent"].astype(float).mean(),
            "nominal_share_sum": last["nominal_share_sum"], "parameters_m": last["parameters"] / 1e6,
            "nonzero_parameters_m": last["nonzero_parameters"] / 1e6, "nominal_parameters_m": last["nominal_parameters_m"],
            "decoder_gmac": last["decoder_multiply_adds_m"] / 1e3, "decoder_ms": last["decoder_seconds"] * 1e3}


def pruning_table(run: Run) -> Table | None:
    """One row per step: pruning rates over its decoders, validation DSC before and after, sum of T', parameters; None if unpruned."""
    if not is_pruned(run):
        return None
    footprint = run.footprint.set_index("step")
    data = []
    for step, rows in run.decoders.sort_values("step", kind="stable").groupby("step"):
        rates, size = rows["pruning_rate_percent"], footprint.loc[step] if step in footprint.index else {}
        both = rows.dropna(subset=["validation_dsc_before", "validation_dsc_after"])
        data.append({"step": int(step), "decoders": len(rows), "with_rate": int(rates.count()), "mean_rate_percent": rates.mean(),
                     "lowest_percent": rates.min(), **{f"above_{limit}_percent": int((rates > limit).sum()) for limit in HIGH_RATES},
                     "with_validation": len(both), "validation_dsc_before": both["validation_dsc_before"].mean(),
                     "validation_dsc_after": both["validation_dsc_after"].mean(),
                     **{name: size.get(name) for name in SIZES}})
    table = pd.DataFrame(data).astype(dict.fromkeys(SIZES, float))
    rows = tuple((f"S{int(row['step'])}", f"{int(row['decoders'])}",
                  _with_n(row["mean_rate_percent"], row["with_rate"], row["decoders"], 1), number(row["lowest_percent"], 1),
                  *(str(int(row[f"above_{limit}_percent"])) for limit in HIGH_RATES),
                  _with_n(row["validation_dsc_before"], row["with_validation"], row["decoders"], 3), number(row["validation_dsc_after"]),
                  number(row["nominal_share_sum"]), number(row["nominal_parameters_m"], 2), number(row["parameters"] / 1e6, 2),
                  number(row["nonzero_parameters"] / 1e6, 2)) for _, row in table.iterrows())
    header = ("step", "decoders", "mean T %", "lowest", *(f"> {limit} %" for limit in HIGH_RATES), "val. DSC before", "after", "sum T'",
              "nominal M", "counted M", "non-zero M")
    notes = ("T: share of a decoder's weights that pruning removed; n: decoders in the mean, where not all have a value. val. DSC: mean "
             "over decoders, on validation cases.", f"{NOMINAL} counted, non-zero: all that inference needs, encoder included.")
    return Table("pruning", "Pruning", header, rows, table, notes)


def effect_within(run: Run) -> pd.DataFrame:
    """EFFECT_COLUMNS per decoder after the last step: validation DSC after minus before pruning, in points of 100."""
    rows = last_decoders(run)
    points = 100 * (rows["validation_dsc_after"] - rows["validation_dsc_before"])
    return pd.DataFrame(dict(zip(EFFECT_COLUMNS, (rows["decoder"], rows["group"], rows["pruning_rate_percent"], points), strict=True)))


def effect_between(pruned: Run, unpruned: Run) -> pd.DataFrame:
    """EFFECT_COLUMNS per decoder of `pruned`: test DSC minus that of `unpruned` after the last step, in points of 100.

    A decoder's DSC is the mean over its (dataset, structure) pairs that have a value in both runs; both at `shared_stage`.
    Source: CL-Net Fig. 3.
    """
    stage = shared_stage(pruned, unpruned)
    first, second = (_final_dsc(run, stage) for run in (pruned, unpruned))
    points = 100 * (first - second).dropna()
    decoder_of = decoders_by_structure(pruned)
    by_decoder = points.groupby([decoder_of.get(structure, "") for structure in points.index.get_level_values("structure")]).mean()
    rows = last_decoders(pruned)
    return pd.DataFrame(dict(zip(EFFECT_COLUMNS, (rows["decoder"], rows["group"], rows["pruning_rate_percent"],
                                                  rows["decoder"].map(by_decoder)), strict=True)))


def _final_dsc(run: Run, stage: str) -> pd.Series:
    last = run.scores[(run.scores["step"] == max(run.trained_on)) & (run.scores["stage"] == stage)]
    return by_structure(last, stage)["dsc"].droplevel("step")


def shared_stage(*runs: Run) -> str:
    """The stage at which runs can be compared: merged where all are, else premerge."""
    return "merged" if all(run.stage == "merged" for run in runs) else "premerge"


def effect_in_words(effect: pd.DataFrame) -> str:
    """How many decoders gained, lost and did neither, and by how much on average."""
    points = effect["difference_points"].dropna()
    gained, lost = points[points > 0], points[points < 0]
    words = [f"{len(part)} of {len(points)} decoders {word} ({number(part.mean(), 2)} on average)" if len(part) else f"none {word}"
             for part, word in ((gained, "gained"), (lost, "lost"))]
    words.append(f"{len(points) - len(gained) - len(lost)} did neither")
    missing = len(effect) - len(points)
    return ", ".join(words) + (f"; {missing} without a difference" if missing else "")


def _with_n(value: float, count: float, of: float, digits: int) -> str:
    return number(value, digits) + (f" (n={int(count)})" if 0 < count < of else "")
