"""What the paper prints of its Figure 4, and which of our runs belong into it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from analysis import paper
from analysis.aggregate import final_mean
from analysis.curves import mean_by_step
from analysis.exhibits import match
from analysis.groups import Group
from analysis.pruning import sizes

ORDERS = ("O1", "O2", "O3", "O4")
STEPS = tuple(range(5))
METHODS = {"CLNet_C5": "CL-Net C5", "CLNet_C5_unpruned": "CL-Net C5, unpruned", "MiB": "MiB", "PLOP": "PLOP", "CSCLIP": "CSCLIP",
           "nnUNet_E5": "nnU-Net E5"}  # the paper's, in the order of its legend
_NOT_THE_PAPERS = {"method-finetune": "fine-tuning", "method-lwf": "LwF", "method-ilt": "ILT"}  # runs of plain `method=NAME`
UPPER_BOUND = "nnUNet_E5"
SUPERSEDED = "tables say"  # marks values of the text that contradict the paper's own tables (NOTES.md 36)


@dataclass(frozen=True)
class Ours:
    """One method of ours in one order: `method` is the paper's that it repeats, if any, `label` what the figure calls it."""

    order: str
    label: str
    method: str | None
    group: Group
    steps: int = len(STEPS)

    @property
    def finished(self) -> bool:
        """Whether all steps are there."""
        return len(self.group.first.trained_on) == self.steps

    def curve(self, step: int) -> pd.DataFrame:
        """Index step, one column a seed: DSC in percent on the dataset that `step` learned, from then on; empty before it was learned."""
        dataset = self.group.first.trained_on.get(step)
        return pd.DataFrame({run.identity["seed"]: mean_by_step(run.scores, dataset) for run in self.group.runs} if dataset else {})

    def finals(self) -> pd.DataFrame:
        """One row a seed: `analysis.aggregate.final_mean`, the means over all pairs after the last step."""
        return pd.DataFrame([final_mean(run.scores) for run in self.group.runs]).reset_index(drop=True)

    def sizes(self) -> pd.DataFrame:
        """One row a seed: `analysis.pruning.sizes`."""
        return pd.DataFrame([sizes(run) for run in self.group.runs])


def datasets_of(order: str) -> tuple[str, ...]:
    """The paper's datasets of an order, step by step."""
    return tuple(paper.final_results(order, len(STEPS)).datasets.values())


def printed_points() -> pd.DataFrame:
    """Columns order, step (that learned the dataset), eval_step, method, dsc (percent), below (whether it is only an upper limit).

    Where the text contradicts the tables the tables' value stands; the upper bound, which has no order, is in every order and step.
    """
    table = pd.read_csv(paper.REFERENCE / "fig4_points.csv", dtype=str, keep_default_na=False)
    table = table[~table["qualifier"].str.contains(SUPERSEDED)]
    bound = table[table["eval_step"] == "upper bound"]
    rows = [{"order": row.order, "step": int(row.dataset_step[1:]), "eval_step": int(row.eval_step), "method": row.method,
             "dsc": float(row.DSC), "below": row.qualifier == "below"} for row in table.drop(bound.index).itertuples()]
    level = dict(zip(bound["dataset"], bound["DSC"].astype(float), strict=True))
    rows += [{"order": order, "step": step, "eval_step": after, "method": UPPER_BOUND, "dsc": level[dataset], "below": False}
             for order in ORDERS for step, dataset in enumerate(datasets_of(order)) for after in STEPS[step:]]
    return pd.DataFrame(rows).drop_duplicates(["order", "step", "eval_step", "method"], keep="last", ignore_index=True)


def printed_sizes() -> pd.DataFrame:
    """Columns order, method, mean_DSC (percent, over all 155 pairs) and params_M (nominal, in millions)."""
    return pd.read_csv(paper.REFERENCE / "fig4_dsc_param.csv")


def select(groups: Sequence[Group]) -> tuple[list[Ours], list[str]]:
    """The groups that learn the paper's five datasets in one of its orders, and why others that bear an order's name do not count.

    The label is the paper's name of the method, or the group's own without the experiment that the order already tells; two methods
    of one order never share a label.
    """
    found, refused = [], []
    for group in groups:
        order = group.first.identity["order"]
        if order not in ORDERS or group.scenario != "continual":
            continue
        known, learned = match.paper_datasets(group.first), list(group.first.trained_on.values())
        if [known.get(name) for name in learned] != list(datasets_of(order))[:len(learned)]:
            refused.append(f"{group.name} is named {order}, but did not learn the datasets of the paper's {order}: it is left out.")
            continue
        method = match.paper_method(group)
        found.append(Ours(order, METHODS.get(method) or _own_label(group), method if method in METHODS else None, group))
    taken = Counter((own.order, own.label) for own in found)
    return [own if taken[own.order, own.label] == 1 else Ours(own.order, f"{own.label} ({own.group.name})", own.method, own.group)
            for own in found], refused


def _own_label(group: Group) -> str:
    name = group.name.removeprefix(f"{group.first.identity['experiment']}__")
    return _NOT_THE_PAPERS.get(name) or name.replace("__", ", ")
