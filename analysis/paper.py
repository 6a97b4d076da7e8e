"""The paper's printed results for its orders O1 to O4, to stand beside ours. Source: CL-Net paper, Table S6 and Fig. 4."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

REFERENCE = Path(__file__).parent / "reference" / "results"
LABEL = "paper (CL-Net, real data)"
METHOD = "CLNet_C5"


@dataclass(frozen=True)
class PaperResult:
    """Final results of one order: step -> dataset, DSC in [0, 1] and ASD in mm by dataset, and over all pairs under `five-public`."""

    datasets: dict[int, str]
    dsc: dict[str, float]
    asd_mm: dict[str, float]


def final_results(order: str, steps: int) -> PaperResult | None:
    """The paper's row for an order named `O1`..`O4` or `order1`..`order4` of five steps; None for any other, or without the files."""
    match = re.fullmatch(r"(?:order|o)[ _-]?([1-4])", order.strip().lower())
    tables = REFERENCE / "tableS6.csv", REFERENCE / "fig4_points.csv"
    if match is None or steps != 5 or not all(path.is_file() for path in tables):
        return None
    name = f"O{match[1]}"
    datasets = {int(row["dataset_step"][1:]): row["dataset"] for row in _rows(tables[1]) if row["order"] == name and row["dataset_step"]}
    final = [row for row in _rows(tables[0]) if row["method"] == METHOD and row["order_inferred"] == name and row["structure"] == "Mean"]
    return PaperResult(dict(sorted(datasets.items())),
                       {row["dataset"]: float(row["mean"]) / 100 for row in final if row["metric"] == "DSC"},
                       {row["dataset"]: float(row["mean"]) for row in final if row["metric"] == "ASD"})


def caveat(datasets: list[str]) -> str:
    """The sentence that must stand beside the paper's numbers."""
    if any(name.startswith("phantom") for name in datasets):
        return f"{LABEL} is for orientation only: ours were measured on the synthetic phantom and are not comparable."
    return f"{LABEL}: comparable only as far as data, split, training length and metric definitions agree."


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
