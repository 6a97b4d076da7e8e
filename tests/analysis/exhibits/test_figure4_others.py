"""Curves of orders that the paper has not: which runs stand in which figure, under which name, and what the figure shows."""

import pandas as pd
import pytest
import yaml

from analysis.exhibits import figure4_others
from analysis.groups import read_groups

STEPS = ["phantom_chest", "phantom_lesion", "phantom_head_neck"]


@pytest.fixture
def written(run_with, scores_of):
    """Writes a run of an order of three of the phantom's datasets."""

    def written(name: str, order: str, method: str = "clnet", steps=STEPS, planned=3, **columns):
        scores = scores_of(0.2, cases=2, method=method)
        scores = scores[scores["dataset"].isin(steps)]
        learned = {dataset: number for number, dataset in enumerate(steps)}
        last = scores["step"].max()
        rows = [scores[scores["step"] == last].assign(step=number, trained_on=dataset) for dataset, number in learned.items()]
        scores = [part[part["dataset"].map(learned) <= number].assign(order=order, method=method, experiment=order, **columns)
                  for number, part in enumerate(rows)]
        folder = run_with(pd.concat(scores), name=name)
        (folder / "config.yaml").write_text(yaml.safe_dump({"data": {"name": "openkbp"}, "order": {"steps": ["s"] * planned}}))
        return folder

    return written


def test_one_figure_with_a_row_for_each_order(written):
    groups = read_groups([written("forth", "forth"), written("forth__method-mib", "forth", "mib"),
                          written("forth__pruning-short", "forth"), written("back", "back", steps=STEPS[::-1]),
                          written("forth__method-plop", "forth", "plop", planned=4), written("O1", "O1"),
                          written("short", "short", steps=STEPS[:2], planned=2)])
    [own] = figure4_others.by_data(groups).values()
    assert [(each.order, each.label) for each in own] == [("forth", "clnet"), ("forth", "mib"), ("forth", "clnet, pruning-short"),
                                                          ("back", "clnet")]
    [picture] = figure4_others.pictures(groups)
    assert picture.name == "figure4_openkbp" and "forth__method-mib" in picture.caption
    axes = picture.figure.axes
    assert len(axes) == 2 * 4 and [axis.get_ylabel().split("\n")[0] for axis in axes[::4]] == ["order forth", "order back"]
    assert [axis.get_title() for axis in axes[4:7]] == [f"S{number} {name}" for number, name in enumerate(STEPS[::-1])]
    drawn = [line for line in axes[1].get_lines() if len(line.get_xdata()) == 2]
    assert len(drawn) == 3, "three methods, each from the step that learned the dataset"
    legend = [text.get_text() for text in picture.figure.legends[0].get_texts()]
    assert legend == ["clnet", "mib", "clnet, pruning-short"]


def test_a_single_run_and_the_papers_orders_make_no_figure(written):
    assert figure4_others.pictures(read_groups([written("forth", "forth"), written("O1", "O1"), written("O2", "O2")])) == ()
