"""What our runs have for single structures after their last step, under the paper's names of the datasets."""

from __future__ import annotations

import pandas as pd

from analysis.aggregate import by_structure
from analysis.exhibits.match import paper_datasets
from analysis.groups import Group
from analysis.load import Run
from analysis.pruning import last_decoders
from analysis.retention import decoders_by_structure

INTERNAL = "internal-36"  # the paper's word for the test cases of all datasets learned, as one


def structure_scores(group: Group) -> pd.DataFrame:
    """Index (dataset, structure) with the paper's names of datasets; columns of `aggregate.by_structure` over the cases of all seeds.

    Of the last step and the final stage. Under `internal-36` stand all datasets that were learned, as one: a structure's mean is over
    the cases of every dataset that has it.
    """
    run = group.first
    last = group.scores.query("step == @step", local_dict={"step": max(run.trained_on)})
    named = last.assign(dataset=last["dataset"].map(paper_datasets(run))).dropna(subset="dataset")
    together = last[last["dataset"].isin(run.learned_at)].assign(dataset=INTERNAL)
    return by_structure(pd.concat([named, together], ignore_index=True), run.stage).droplevel("step")


def pruning_rates(group: Group) -> dict[str, float]:
    """Structure -> the pruning rate (%) of its decoder after the last step, mean over seeds; without those whose decoder has none."""
    rates = pd.DataFrame([_rates(run) for run in group.runs])
    return rates.mean().dropna().to_dict()


def _rates(run: Run) -> dict[str, float]:
    rate_of = last_decoders(run).set_index("decoder")["pruning_rate_percent"].to_dict()
    return {structure: rate_of[decoder] for structure, decoder in decoders_by_structure(run).items() if decoder in rate_of}
