"""Figure 4: forgetting curves of continual methods in the four orders of the five public datasets, and mean DSC against size."""

from __future__ import annotations

from collections.abc import Sequence

from analysis import paper
from analysis.exhibit import Exhibit, Made, Picture
from analysis.exhibits import figure4_others, match
from analysis.exhibits.commands import REAL
from analysis.exhibits.figure4_data import METHODS, ORDERS, Ours, select
from analysis.exhibits.figure4_drawing import forgetting_by_order
from analysis.exhibits.figure4_tables import drops_table, final_table, forgetting_by_order_table
from analysis.groups import Group

COMMANDS = ("python run.py experiment=fig4", f"python run.py experiment=fig4 data=public {REAL} pruning=text",
            "python run.py experiment=fig4_openkbp data.root=FOLDER")


def make(groups: Sequence[Group]) -> Made:
    """The figure over all orders, a table an order, the drops that the paper's text gives, and forgetting."""
    ours, refused = select(groups)
    tables = [*(final_table(order, ours) for order in ORDERS), drops_table(ours)]
    tables += [forgetting_by_order_table(ours)] if any(own.finished for own in ours) else []
    papers = Picture(forgetting_by_order(ours), "figure4", _caption(ours))
    return Made(tuple(tables), (papers, *figure4_others.pictures(groups)), (*refused, *_missing(ours)))


def _caption(ours: Sequence[Ours]) -> str:
    words = ("DSC on the dataset that each step learned, from that step on. Hollow marks and the dotted line: what the paper prints (its "
             "curves are not printed as numbers); filled marks and lines: our runs; bands and bars: standard deviation over seeds.")
    if not ours:
        return f"{words} None of the runs belongs here yet."
    runs = [run for own in ours for run in own.group.runs]
    datasets = list(dict.fromkeys(name for run in runs for name in run.learned_at))
    stand_ins = {theirs: name for run in runs if match.is_stand_in(run) for name, theirs in match.paper_datasets(run).items()}
    places = f" In the place of {', '.join(f'{theirs}: {name}' for theirs, name in stand_ins.items())}." if stand_ins else ""
    stages = sorted({own.group.first.stage for own in ours})
    return f"{words} Stage of ours: {', '.join(stages)}.{places} {paper.caveat(datasets)}"


def _missing(ours: Sequence[Ours]) -> list[str]:
    sentences = [f"{own.order}, {own.label}: only {len(own.group.first.trained_on)} of five steps so far; its curves are drawn, final "
                 "values wait." for own in ours if not own.finished]
    sentences += [f"{own.order}, {own.label}: the nominal number of parameters is not known, so that it is not in the last column."
                  for own in ours if own.finished and own.sizes()["nominal_parameters_m"].isna().all()]
    run = {(own.order, own.method) for own in ours if own.finished}
    for method, label in METHODS.items():
        orders = [order for order in ORDERS if (order, method) not in run]
        sentences += [f"{label}: no run of ours in {', '.join(orders)}."] if orders else []
    return sentences


EXHIBITS = (Exhibit("Figure 4", "Forgetting curves in four orders, and mean DSC against parameters", COMMANDS, make),)
