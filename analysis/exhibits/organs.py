"""What our runs have for single structures after their last step, under the paper's names of the datasets."""

from __future__ import annotations

import pandas as pd

from analysis.aggregate import by_structure
from analysis.exhibits.match import FIVE_PUBLIC, paper_datasets
from analysis.exhibits.ours import final_rows
from analysis.groups import Group
from analysis.load import Run
from analysis.pruning import last_decoders
from analysis.retention import decoders_by_structure

INTERNAL = "internal-36"  # the paper's word for the test cases of all datasets learned, as one


def structure_scores(group: Group) -> pd.DataFrame:
    """Index (dataset, structure) with the paper's names of datasets; columns of `aggregate.by_structure` over the cases of all seeds.

    Of the last step and the final stage. Under `internal-36` stand all datasets that were learned, as one: a structure's mean is over
    the cases of every dataset that has it. A dataset's own name stands for the five public ones and for external test sets, so without
    others that were learned.
    """
    names, rows = paper_datasets(group.first), pd.concat([final_rows(run) for run in group.runs])
    learned = rows["dataset"].isin(group.first.learned_at)
    named = rows.assign(dataset=rows["dataset"].map(names))[~learned | rows["dataset"].map(names).isin(FIVE_PUBLIC)]
    return by_structure(pd.concat([named, rows[learned].assign(dataset=INTERNAL)]), group.first.stage).droplevel("step")


def pruning_rates(group: Group) -> dict[str, float]:
    """Structure -> the pruning rate (%) of its decoder after the last step, mean over seeds; without those whose decoder has none."""
    rates = pd.DataFrame([_rates(run) for run in group.runs])
    return rates.mean().dropna().to_dict()


def _rates(run: Run) -> dict[str, float]:
    rate_of = last_decoders(run).set_index("decoder")["pruning_rate_percent"].to_dict()
    return {structure: rate_of[decoder] for structure, decoder in decoders_by_structure(run).items() if decoder in rate_of}
