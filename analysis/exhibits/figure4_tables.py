"""The numbers of Figure 4: final DSC by order, dataset and method with what the paper prints beside, drops on the way, forgetting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from analysis import paper
from analysis.comparison_forgetting import forgetting_table
from analysis.curves import mean_by_step
from analysis.decoders import NOMINAL
from analysis.exhibits.figure4_data import METHODS, STEPS, Ours, datasets_of, printed_points, printed_sizes
from analysis.groups import Group
from analysis.render import DASH, Table, number
from analysis.spread import SEEDS, mean_text

SIZES = ("nominal_parameters_m", "parameters_m", "nonzero_parameters_m")
COUNTS = ("structures", "missed", "false_positive")
# what the text says -> the steps between which; None: the one that learned the dataset
DROPS = {"DSC drop, first to last step": (None, 4), "DSC drop in one step, at step 3": (2, 3), "DSC drop in the last step": (3, 4)}


def final_table(order: str, ours: Sequence[Ours]) -> Table:
    """One order after its last step: for each method DSC (%) on each dataset and over all pairs, and sizes; ours, the paper's, difference.

    The paper's methods come first, whether or not we ran them; then what only we have.
    """
    mine = [own for own in ours if own.order == order and own.finished]
    entries = [(METHODS[method], method, own) for method in METHODS for own in ([own for own in mine if own.method == method] or [None])]
    entries += [(own.label, None, own) for own in mine if own.method is None]
    rows, data = [], []
    for label, method, own in entries:
        name, (values, counts) = own.label if own else label, _measured(own)
        compared = _beside_paper(values, order, method)
        rows.append((f"{name}: ours", *_cells(values), *(counts.get(count, DASH) for count in COUNTS)))
        rows += [(f"{name}: paper", *_printed_cells(compared), *[DASH] * len(COUNTS))] if method else []
        rows += [(f"{name}: difference", *map(_plus, compared["difference"]), *[DASH] * len(COUNTS))] if method and own else []
        data.append(compared.assign(order=order, method=method, name=name, group=own.group.name if own else None,
                                    stage=own.group.first.stage if own else None, seeds=len(own.group.runs) if own else 0))
    header = ("method", *(f"S{step} {dataset}" for step, dataset in enumerate(datasets_of(order))), "all pairs", "nominal M", "counted M",
              "non-zero M", "pairs", "missed", "fp")
    return Table(f"figure4_{order}", f"Figure 4, order {order}: DSC (%) after the last step, and parameters", header, tuple(rows),
                 pd.concat(data, ignore_index=True), tuple(_notes(mine)),
                 frozenset(index for index, row in enumerate(rows) if row[0].endswith(": ours")))


def drops_table(ours: Sequence[Ours]) -> Table:
    """What the paper's text says of drops in DSC between steps, and the same of our runs of these methods; points of 100."""
    claims = pd.read_csv(paper.REFERENCE / "claims.csv", dtype=str, keep_default_na=False)
    rows, data = [], []
    for claim in claims[claims["quantity"].isin(DROPS)].itertuples():
        order, step = claim.setting.split("-S")
        start, end = DROPS[claim.quantity]
        start, between = int(step) if start is None else start, claim.quantity.removeprefix("DSC drop").strip(", ")
        runs = next((own.group.runs for own in ours if (own.order, own.method) == (order, claim.method) and own.finished), ())
        curves = [mean_by_step(run.scores, run.trained_on[int(step)]) for run in runs]
        values = pd.Series([curve.get(start, float("nan")) - curve.get(end, float("nan")) for curve in curves], dtype=float)
        theirs = float(claim.value)
        rows.append((f"{claim.method}, {order}, S{step} {datasets_of(order)[int(step)]}", between, mean_text(values, 1), number(theirs, 1),
                     _plus(values.mean() - theirs)))
        data.append({"method": claim.method, "order": order, "step": int(step), "quantity": claim.quantity, "ours": values.mean(),
                     "ours_std": values.std(), "seeds": len(values), "paper": theirs, "difference": values.mean() - theirs})
    notes = ("From words of the paper (A3), which prints no curve as numbers. The drop is that of the mean DSC on the dataset.", SEEDS)
    return Table("figure4_drops", "Figure 4: drops in DSC (points) on the way", ("method, order, dataset", "between", "ours", "paper",
                 "difference"), tuple(rows), pd.DataFrame(data), notes)


def forgetting_by_order_table(ours: Sequence[Ours]) -> Table:
    """Forgetting of DSC in each order and method, of pairs never trained again and of those updated, before and after merging."""
    named = [Group(f"{own.order}, {own.label}", own.group.runs) for own in sorted(ours, key=lambda own: own.order) if own.finished]
    return replace(forgetting_table(named), name="figure4_forgetting", title="Figure 4: forgetting in each order")


def _keys() -> tuple[str, ...]:
    return (*(f"S{step}" for step in STEPS), "all pairs", *SIZES)


def _measured(own: Ours | None) -> tuple[dict[str, pd.Series], dict[str, str]]:
    """Quantity -> a value a seed (none without runs), and the counts beside the mean over all pairs, of all seeds together."""
    if own is None:
        return dict.fromkeys(_keys(), pd.Series(dtype=float)), {}
    finals, own_sizes = own.finals(), own.sizes()
    values = {f"S{step}": own.curve(step).reindex(STEPS[-1:]).iloc[0] for step in STEPS}
    values |= {"all pairs": 100 * finals["dsc"], **{name: own_sizes[name] for name in SIZES}}
    return values, {count: str(int(finals[count].iloc[0] if count == "structures" else finals[count].sum())) for count in COUNTS}


def _beside_paper(values: dict[str, pd.Series], order: str, method: str | None) -> pd.DataFrame:
    """One row a quantity: ours, its standard deviation over seeds, the paper's (or a limit that it says it is below), and the difference,
    which is undefined for limits."""
    points, table = printed_points(), printed_sizes()
    last = points[(points["order"] == order) & (points["method"] == method) & (points["eval_step"] == STEPS[-1])]
    printed = {f"S{row.step}": row.dsc for row in last.itertuples()}
    for row in table[(table["order"] == order) & (table["method"] == method)].itertuples():
        printed |= {"all pairs": row.mean_DSC, SIZES[0]: row.params_M}
    limits = {f"S{row.step}" for row in last.itertuples() if row.below}
    frame = pd.DataFrame([{"quantity": key, "ours": column.mean(), "ours_std": column.std(), "paper": printed.get(key, float("nan")),
                           "paper_is_limit": key in limits} for key, column in values.items()])
    return frame.assign(difference=(frame["ours"] - frame["paper"]).mask(frame["paper_is_limit"]))


def _cells(values: dict[str, pd.Series]) -> list[str]:
    return [mean_text(column, 2 if key in SIZES else 1) for key, column in values.items()]


def _printed_cells(compared: pd.DataFrame) -> list[str]:
    return [("< " if limit else "") + number(value, 1) for value, limit in zip(compared["paper"], compared["paper_is_limit"], strict=True)]


def _plus(value: float) -> str:
    text = number(value, 1)
    return f"+{text}" if value > 0 and float(text) else text


def _notes(mine: Sequence[Ours]) -> list[str]:
    datasets = list(dict.fromkeys(name for own in mine for name in own.group.first.trained_on.values()))
    notes = ["DSC: mean over cases, then over structures; all pairs: over all (dataset, structure) pairs, the paper's 155; missed, fp: "
             "counts of case-structure pairs. Paper: Table S6, text A3 and Fig. 4, as far as they print numbers; for nnU-Net the tables' "
             "values, not the text's two that contradict them.", f"{NOMINAL} counted, non-zero: all that inference needs, in millions.",
             SEEDS]
    stages = {own.label: own.group.first.stage for own in mine}
    if stages:
        notes.append(f"Ours: {', '.join(f'{label} {stage}' for label, stage in stages.items())}. S0 to S4: {', '.join(datasets)}.")
        notes.append(paper.caveat(datasets))
    return notes
