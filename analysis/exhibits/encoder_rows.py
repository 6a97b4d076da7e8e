"""Tables S8 and S9: how the encoder came to be, judged by decoders on it."""

from __future__ import annotations

from functools import partial

import pandas as pd

from analysis.encoders import TABLES, measures
from analysis.exhibits.commands import REAL
from analysis.exhibits.grid import MEASURES, Column
from analysis.exhibits.layout import Layout, paper_cells
from analysis.exhibits.ours import learned_datasets
from analysis.groups import Group
from analysis.load import Run
from analysis.published import methods, results

SHOWN = ("dsc", "asd_mm", "nominal_share_sum", "height_mm", "tissue")


def encoder_name(row: str) -> str:
    """`U5 | SimSiam | momentum update $Q1024$ | —` -> `U5, SimSiam, momentum update Q1024`."""
    return ", ".join(part for part in row.replace("$", "").split(" | ") if part != "—")


def cells(number: str) -> pd.DataFrame:
    """The paper's cells of Table S8 or S9, which is of one dataset."""
    rows = results(number)
    return paper_cells(rows, rows["method"].map(encoder_name), rows["dataset"])


def row_of(group: Group, order: str) -> str | None:
    """The row that a run's encoder is, in the table of its order."""
    row = measures(group.first)["paper"]
    return encoder_name(row) if row in methods(TABLES[order][0]) and group.first.identity["order"] == order else None


def sizes(run: Run, dataset: str) -> dict[tuple[str, str], float]:
    """sum T' in full decoders, and what the probe read out of the encoder's features."""
    found = measures(run)
    return {(dataset, "nominal_share_sum"): found["sum_t"] / 100, **{(dataset, name): found[name] for name in ("height_mm", "tissue")}}


def _layout(order: str) -> Layout:
    number, dataset = TABLES[order]
    command = f"python run.py experiment=table_{number.lower()}"
    return Layout(number, f"how the encoder came to be, by decoders for {dataset}", (command, f"{command} data=public {REAL} pruning=text"),
                  partial(cells, number), partial(row_of, order=order), learned_datasets,
                  (("final scores", tuple(Column(dataset, measure, MEASURES[measure].words) for measure in SHOWN)),),
                  partial(sizes, dataset=dataset))


EXHIBITS = tuple(_layout(order).exhibit for order in TABLES)
