"""The paper's printed results for its orders O1 to O4, to stand beside ours. Source: CL-Net paper, Table S6 and Fig. 4."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass

from analysis.published import MEAN, results
from analysis.published import RESULTS as REFERENCE

LABEL = "paper (CL-Net, real data)"
METHOD = "CLNet_C5"


@dataclass(frozen=True)
class PaperResult:
    """Final results of one order: step -> dataset, DSC in [0, 1] and ASD in mm by dataset, and over all pairs under `five-public`."""

    datasets: dict[int, str]
    dsc: dict[str, float]
    asd_mm: dict[str, float]


def final_results(order: str, steps: int) -> PaperResult | None:
    """The paper's row for an order named `O1`..`O4` or `order1`..`order4` of five steps; None for any other."""
    match = re.fullmatch(r"(?:order|o)[ _-]?([1-4])", order.strip().lower())
    if match is None or steps != 5:
        return None
    name = f"O{match[1]}"
    final = results("S6", method=METHOD, order=name, structure=MEAN)
    by_measure = {measure: dict(zip(rows["dataset"], rows["value"], strict=True)) for measure, rows in final.groupby("measure")}
    return PaperResult(datasets_in_order(name), by_measure["dsc"], by_measure["asd_mm"])


def datasets_in_order(order: str) -> dict[int, str]:
    """Step -> dataset of one of the paper's orders, `O1`..`O4`; empty for any other. Source: CL-Net A2, Fig. 4."""
    with (REFERENCE / "fig4_points.csv").open(newline="", encoding="utf-8") as file:
        steps = {int(row["dataset_step"][1:]): row["dataset"] for row in csv.DictReader(file)
                 if row["order"] == order and row["dataset_step"]}
    return dict(sorted(steps.items()))


def caveat(datasets: list[str]) -> str:
    """The sentence that must stand beside the paper's numbers."""
    if any(name.startswith("phantom") for name in datasets):
        return f"{LABEL} is for orientation only: ours were measured on the synthetic phantom and are not comparable."
    return f"{LABEL}: comparable only as far as data, split, training length and metric definitions agree."

