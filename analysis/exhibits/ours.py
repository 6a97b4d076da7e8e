"""What a name's runs have after their last step, gathered by the places of a table: datasets, body groups, structures."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd

from analysis.aggregate import by_step, by_structure
from analysis.exhibits.match import FIVE_PUBLIC, is_stand_in, paper_datasets
from analysis.groups import Group
from analysis.load import Run
from analysis.published import ALL_PAIRS, MEAN
from clnet.anatomy import registry
from clnet.errors import UsageError

Places = Callable[[Run], Mapping[str, pd.DataFrame]]  # place -> the rows of scores.csv that its mean is over
Sizes = Callable[[Run], Mapping[tuple[str, str], float]]  # (place, measure) -> a number that is no mean over cases
SCORED = ("dsc", "asd_mm")
COUNTS = ("missed", "false_positive", "left_out")


def measured(group: Group, places: Places, sizes: Sizes | None = None) -> pd.DataFrame:
    """One row per place and measure: `value` (mean over runs), `std` (over runs; NaN for one), `cases_std`, `n` of `pairs`, `cases`,
    COUNTS (summed over runs) and `runs`.

    A place's value is the mean over its (dataset, structure) pairs, each the mean over its cases; cases_std: standard deviation over
    cases of each case's mean over its structures, mean over runs; n: pairs with a value. Of sizes only value, std and runs are known.
    """
    lines = [line for run in group.runs for place, rows in places(run).items() if len(rows) for line in _scores(place, rows)]
    lines += [{"place": place, "measure": measure, "value": value} for run in group.runs
              for (place, measure), value in (sizes(run) if sizes else {}).items() if pd.notna(value)]
    if not lines:
        return pd.DataFrame()
    keys = ["place", "measure"]
    table = pd.DataFrame(lines).reindex(columns=[*keys, "value", "cases_std", "n", "pairs", "cases", *COUNTS])
    by_key = table.groupby(keys, sort=False)
    means = by_key[["value", "cases_std", "n", "pairs", "cases"]].mean()
    counts = by_key[list(COUNTS)].sum(min_count=1)
    return means.join(counts).assign(std=by_key["value"].std(), runs=by_key.size()).reset_index()


def _scores(place: str, rows: pd.DataFrame) -> list[dict]:
    total = by_step(by_structure(rows)).iloc[-1]
    of_cases = rows.groupby(["dataset", "case"])[list(SCORED)].mean()
    return [{"place": place, "measure": measure, "value": total[measure], "cases_std": of_cases[measure].std(), "n": total[f"{measure}_n"],
             "pairs": total["structures"], "cases": len(of_cases), **{name: total[name] for name in COUNTS}} for measure in SCORED]


def source_name(group: Group, *words: str) -> str:
    """What stands before a row of ours: the name, and in `words` what sets it apart from the paper's row."""
    words += ("phantom" if is_stand_in(group.first) else "", f"{len(group.runs)} seeds" if len(group.runs) > 1 else "")
    return ", ".join([group.name, *filter(None, words)])


def final_rows(run: Run) -> pd.DataFrame:
    """The scores after the last step, of the final stage alone."""
    return run.scores[(run.scores["step"] == max(run.trained_on)) & (run.scores["stage"] == run.stage)]


def learned_datasets(run: Run) -> dict[str, pd.DataFrame]:
    """The paper's name of each dataset learned; `five-public` where all five are among them."""
    found = _by_dataset(run, learned=True)
    five = [found[name] for name in FIVE_PUBLIC if name in found]
    return found | ({ALL_PAIRS: pd.concat(five)} if len(five) == len(FIVE_PUBLIC) else {})


def external_datasets(run: Run) -> dict[str, pd.DataFrame]:
    """The paper's name of each dataset that was evaluated and never learned."""
    return _by_dataset(run, learned=False)


def structures_of(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Each structure of one dataset, and the mean over them."""
    return {**dict(iter(rows.groupby("structure", sort=False))), MEAN: rows}


def body_groups(run: Run) -> dict[str, pd.DataFrame]:
    """The group of a structure's decoder, and `All`; the cases of all datasets learned as one, so that each structure counts once."""
    rows = final_rows(run)
    rows = rows[rows["dataset"].isin(run.learned_at)]
    rows = rows.assign(case=rows["dataset"] + "/" + rows["case"], dataset="all")
    return {**dict(iter(rows.groupby(rows["structure"].map(body_group), sort=False))), "All": rows}


def body_group(structure: str) -> str | None:
    """The registry's group of a structure or of a union of structures; None for names of a user's own and unions over groups."""
    anatomy = registry.load()
    try:
        groups = {anatomy.decoder_of(member).group for member in anatomy.resolve(structure)}
    except UsageError:
        return None
    return groups.pop() if len(groups) == 1 else None


def _by_dataset(run: Run, *, learned: bool) -> dict[str, pd.DataFrame]:
    names = paper_datasets(run)
    parts = final_rows(run).groupby("dataset", sort=False)
    return {names[name]: part for name, part in parts if name in names and (name in run.learned_at) == learned}
