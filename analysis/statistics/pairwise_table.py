"""The table of paired tests between runs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import pandas as pd

from analysis.groups import Group
from analysis.pruning import shared_stage
from analysis.render import Table, number
from analysis.statistics.cases import case_values
from analysis.statistics.paired import compare_by_case, holm

ALL_PAIRS = 6  # up to so many runs each is compared with each; beyond, with the first
VALUES = (("dsc", "DSC", 4), ("asd_mm", "ASD", 3))


def pairwise_table(groups: Sequence[Group]) -> Table | None:
    """Each pair of groups, for DSC and ASD; None where no two groups were tested on the same cases."""
    pairs = list(combinations(groups, 2)) if len(groups) <= ALL_PAIRS else [(groups[0], other) for other in groups[1:]]
    data, apart = [], 0
    for value, *_ in VALUES:
        lines = [_compared(first, second, value) for first, second in pairs]
        apart = sum(not line["cases"] for line in lines)
        lines = [line for line in lines if line["cases"]]
        data += [line | {"p_holm": p} for line, p in zip(lines, holm([line["p_value"] for line in lines]), strict=True)]
    if not data:
        return None
    words = {value: (word, digits) for value, word, digits in VALUES}
    rows = tuple((f"{line['first']} \N{MINUS SIGN} {line['second']}", words[line["value"]][0], line["stage"],
                  f"{line['differing']} of {line['cases']}", number(line["mean_difference"], words[line["value"]][1]),
                  p_text(line["p_value"]), p_text(line["p_holm"]), number(line["rank_biserial"], 2), number(line["cohens_dz"], 2))
                 for line in data)
    tested = {word: sum(line["value"] == value and pd.notna(line["p_value"]) for line in data) for value, word, _ in VALUES}
    notes = ["Paired by case, after the last step: a case counts once, with its mean over the structures that both runs have a value for, "
             "and its mean over seeds. difference: first minus second, for ASD (mm) second minus first, so that above 0 the first is "
             "better.",
             f"p: Wilcoxon's signed-rank test, two-sided, over the cases that differ (so many of the n shared ones). p (Holm): corrected "
             f"over the comparisons of the measure ({', '.join(f'{count} of {word}' for word, count in tested.items())}). Five or fewer "
             "cases cannot reach p < 0.05. An en dash: no case differs.",
             "r: rank-biserial correlation, from -1 to 1 (Kerby 2014). d_z: mean difference by its standard deviation (Cohen 1988)."]
    notes += [f"More than {ALL_PAIRS} runs: each is compared with the first."] if len(groups) > ALL_PAIRS else []
    notes += [f"{apart} pairs of runs share no case and are left out."] if apart else []
    header = ("runs", "measure", "stage", "n", "difference", "p", "p (Holm)", "r", "d_z")
    return Table("statistics_pairwise", "Paired comparisons by case", header, rows, pd.DataFrame(data), tuple(notes))


def p_text(value: float) -> str:
    """Three digits, `<0.001` below that; an en dash where there is no test."""
    return "<0.001" if value < 0.001 else number(value, 3)


def _compared(first: Group, second: Group, value: str) -> dict:
    stage = shared_stage(first.first, second.first)
    found = compare_by_case(case_values(first.scores, value, stage), case_values(second.scores, value, stage),
                            lower_is_better=value.endswith("_mm"))
    return {"first": first.name, "second": second.name, "value": value, "stage": stage} | vars(found)
