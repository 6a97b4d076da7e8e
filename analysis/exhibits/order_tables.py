"""Tables S6 and S7: the four orders of the five public datasets, by dataset and by method."""

from __future__ import annotations

import re
from functools import partial

import pandas as pd

from analysis.exhibits.commands import REAL, five_public
from analysis.exhibits.grid import PAPER, Column
from analysis.exhibits.layout import Layout, absent_method, paper_cells, row_of_method, source_of_method
from analysis.exhibits.match import FIVE_PUBLIC, method_name
from analysis.exhibits.ours import learned_datasets
from analysis.exhibits.size import nominal_of_all
from analysis.groups import Group
from analysis.load import Run
from analysis.published import ALL_PAIRS, ORDERS, methods, results

MEAN_ORDER = "Mean"
IN_NAME = r"\b([oO](?:rder)?)[1-4](?![0-9])"  # the order in the name of a run
OVER_ORDERS = "Means of ours over orders: mean \N{PLUS-MINUS SIGN} standard deviation over the orders that were run, where several were."
_RUNS = five_public(",".join(f"order{number}" for number in range(1, 5)))
_ALL = ("python run.py experiment=fig4", f"python run.py experiment=fig4 data=public {REAL} pruning=text")
_PARAMETERS = Column(ALL_PAIRS, "nominal_parameters_m", "parameters (M)")


def row_name(method: str, order: str) -> str:
    """`CL-Net C5, O2`; `CL-Net C5, mean of orders`."""
    return f"{method_name(method)}, {'mean of orders' if order == MEAN_ORDER else order}"


def by_dataset_cells() -> pd.DataFrame:
    """Table S6: a row for each method and order."""
    rows = results("S6")
    names = [row_name(method, order) for method, order in zip(rows["method"], rows["order"], strict=True)]
    return paper_cells(rows, pd.Series(names, rows.index), rows["dataset"])


def by_order_cells() -> pd.DataFrame:
    """Table S7: a row for each method, orders in columns; the parameters, printed once, are the mean over orders."""
    rows = results("S7")
    return paper_cells(rows, rows["method"].map(method_name), rows["order"].mask(rows["measure"] == _PARAMETERS.measure, ALL_PAIRS))


def row_in_order(group: Group) -> str | None:
    """The row of Table S6 for a run of one of the four orders."""
    name, order = row_of_method(group, methods("S6")), group.first.identity["order"]
    return f"{name}, {order}" if name and order in ORDERS and group.scenario == "continual" else None


def row_of_orders(group: Group) -> str | None:
    """The row of Table S7, for a run of one of the four orders."""
    return row_of_method(group, methods("S7")) if group.first.identity["order"] in ORDERS and group.scenario == "continual" else None


def source_of_orders(group: Group, row: str) -> str:
    """The name without the order in it, so that the runs of several orders stand in one row."""
    return re.sub(IN_NAME, r"\1*", source_of_method(group, row))


def in_its_order(run: Run) -> dict[str, pd.DataFrame]:
    """The final rows over all pairs of the five datasets, under the order's name."""
    found = learned_datasets(run)
    return {run.identity["order"]: found[ALL_PAIRS]} if ALL_PAIRS in found else {}


def with_means_by_dataset(cells: pd.DataFrame) -> pd.DataFrame:
    """Table S6 with our means over orders, in the rows that the paper has for its own."""
    ours = cells[cells["source"] != PAPER]
    named = ours.assign(row=ours["row"].str.replace(r", O[1-4]$", ", mean of orders", regex=True),
                        source=ours["source"].str.replace(IN_NAME, r"\1*", regex=True))
    return pd.concat([cells, over_orders(named)], ignore_index=True)


def with_means_by_order(cells: pd.DataFrame) -> pd.DataFrame:
    """Table S7 with our means over orders in its column, and one count of parameters for all orders."""
    ours = cells[(cells["source"] != PAPER) & (cells["place"] != ALL_PAIRS)]
    sizes = cells[(cells["source"] != PAPER) & (cells["place"] == ALL_PAIRS)]
    rest = cells.drop(sizes.index)
    return pd.concat([rest, over_orders(ours.assign(place=MEAN_ORDER)), over_orders(sizes, least=1)], ignore_index=True)


def over_orders(cells: pd.DataFrame, least: int = 2) -> pd.DataFrame:
    """Mean and standard deviation of cells that have become alike, where there are at least so many."""
    keys = ["row", "source", "place", "measure"]
    means = cells.groupby(keys, sort=False)["value"].agg(value="mean", std="std", runs="size").reset_index()
    return means[means["runs"] >= least].assign(runs=1)


_BY_DATASET = tuple((words, (*(Column(place, measure, place) for place in FIVE_PUBLIC), Column(ALL_PAIRS, measure, "all pairs"),
                             *((_PARAMETERS,) if measure == "dsc" else ())))
                    for measure, words in (("dsc", "DSC (%)"), ("asd_mm", "ASD (mm)")))
_BY_ORDER = tuple((words, (*(Column(order, measure, order) for order in ORDERS), Column(MEAN_ORDER, measure, "mean"),
                           *((_PARAMETERS,) if measure == "dsc" else ())))
                  for measure, words in (("dsc", "DSC (%)"), ("asd_mm", "ASD (mm)")))
_TABLES = (
    Layout("S6", "the four orders by dataset", _RUNS, by_dataset_cells, row_in_order, learned_datasets, _BY_DATASET, nominal_of_all,
           (OVER_ORDERS, "all pairs: mean over all (dataset, structure) pairs, 155 in the paper. "
            "Its nnU-Net has 90.0 on FLARE22 here and 89.9 in Table 2."), source_of=source_of_method,
           summarise=with_means_by_dataset, absent=partial(absent_method, methods("S6"))),
    Layout("S7", "continual methods in the four orders, all pairs", _ALL, by_order_cells, row_of_orders, in_its_order,
           _BY_ORDER, nominal_of_all, (OVER_ORDERS,), source_of=source_of_orders, summarise=with_means_by_order,
           absent=partial(absent_method, methods("S7"))),
)
EXHIBITS = tuple(table.exhibit for table in _TABLES)
