"""Figure 4: which runs belong into it, the paper's points, and numbers beside each other."""

import json

import pandas as pd
import pytest
import yaml

from analysis import style
from analysis.exhibits import figure4
from analysis.exhibits.figure4_data import METHODS, printed_points, select
from analysis.exhibits.figure4_drawing import forgetting_by_order
from analysis.exhibits.match import paper_method
from analysis.groups import read_groups
from analysis.render import DASH

SLUGS = {"phantom_whole_body": "TotalSegmentatorV2", "phantom_head_neck": "StructSeg19", "phantom_abdomen": "FLARE22",
         "phantom_chest": "SegTHOR", "phantom_lesion": "KiTS21"}
WHOLE = {"ema": {"rate": 0.999}, "supporting": {"graph": None, "as_masks": False}, "tuning": None, "labelled_cases": None,
         "encoder": {"stages": {"supervised": {}}, "datasets": None}}


def write(run_with, scores, name, decoders=None, slugs=SLUGS, **config):
    """A run folder of the phantom with the configuration of the paper's method, but for what `config` says."""
    folder = run_with(scores, decoders, name=name)
    datasets = {own: {"name": own, "paper_slug": slug} for own, slug in slugs.items()}
    (folder / "config.yaml").write_text(yaml.safe_dump({"data": {"name": "phantom", "datasets": datasets}, **WHOLE, **config}))
    return folder


@pytest.fixture
def groups(run_with, scores_of, decoders_of):
    """O1: CL-Net pruned, of two seeds, without EMA, and MiB; a run under the name O2 that learned other datasets; an unfinished one."""
    seeds = [scores_of(seed=seed).assign(seed=seed) for seed in (0, 1)]
    wrong = scores_of().assign(order="O2")
    folders = [write(run_with, seeds[0], "order1", decoders_of((96.0,))),
               write(run_with, seeds[1], "order1__seed-1", decoders_of((96.0,), seed=1)),
               write(run_with, scores_of(0.1), "order1__ema-none", ema=None),
               write(run_with, scores_of(0.4, method="mib").assign(method="mib"), "order1__method-mib"),
               write(run_with, wrong, "order2"),
               write(run_with, wrong[wrong["step"] < 2].assign(order="O1"), "order1__half")]
    return read_groups(folders)


def test_runs_stand_in_their_order_under_the_papers_names_or_their_own(groups):
    ours, refused = select(groups)
    assert [(own.order, own.label, own.finished) for own in ours] == [
        ("O1", "CL-Net C5", True), ("O1", "ema-none", True), ("O1", "MiB", True), ("O1", "half", False)]
    assert len(refused) == 1 and refused[0].startswith("order2 is named O2, but")


def test_methods_that_the_paper_has_not_bear_their_own_names(run_with, scores_of):
    own = {"order1__method-lwf": "lwf", "order1__method-finetune": "finetune", "order1__method-ilt__x": "ilt"}
    ours, _ = select(read_groups([write(run_with, scores_of(method=method).assign(method=method), name) for name, method in own.items()]))
    assert [each.label for each in ours] == ["LwF", "fine-tuning", "method-ilt, x"]


def test_nine_methods_have_nine_colours():
    assert len({style.of(index)["color"] for index in range(9)}) == 9
    assert len({(look["color"], look["marker"]) for look in map(style.of, range(63))}) == 63


def test_equal_names_are_told_apart(run_with, scores_of):
    ours, _ = select(read_groups([write(run_with, scores_of(), name) for name in ("a", "b")]))
    assert [own.label for own in ours] == ["CL-Net C5, unpruned (a)", "CL-Net C5, unpruned (b)"]


def test_whole_channels_are_not_the_papers_pruning(run_with, scores_of, decoders_of):
    for number, (pruning, name) in enumerate(((None, "CLNet_C5"), ({"rates_percent": [80]}, "CLNet_C5"),
                                              ({"rates_percent": [60], "choose": {}}, None))):  # fmt: skip
        folder = write(run_with, scores_of(), f"run{number}", decoders_of((96.0,)), pruning=pruning)
        assert paper_method(read_groups([folder])[0]) == name


def test_printed_points_take_the_tables_values_and_the_bound_everywhere():
    points = printed_points().set_index(["order", "step", "eval_step", "method"])
    assert points.index.is_unique and points.loc[("O1", 4, 4, "nnUNet_E5"), "dsc"] == 86.7  # 87.2 in the text
    assert points.loc[("O3", 1, 4, "MiB")].tolist() == [1.0, True] and points.loc[("O2", 1, 3, "nnUNet_E5"), "dsc"] == 86.7
    assert points.xs("CLNet_C5", level="method").xs(4, level="eval_step")["dsc"].size == 20


def test_curves_are_means_over_seeds_from_the_step_that_learned(groups, scores_of):
    first = select(groups)[0][0]
    assert first.curve(3).index.tolist() == [3, 4] and first.curve(3).shape == (2, 2)
    expected = []
    for seed in (0, 1):
        rows = scores_of(seed=seed).query("dataset == 'phantom_chest' and step == 4")
        expected.append(100 * rows.groupby("structure")["dsc"].mean().mean())
    assert first.curve(3).loc[4].tolist() == pytest.approx(expected)
    figure = forgetting_by_order([first])
    line = next(line for line in figure.axes[3].get_lines() if line.get_label() == "CL-Net C5")
    assert line.get_ydata()[-1] == pytest.approx(sum(expected) / 2) and len(figure.axes[3].collections) == 1  # the band


def test_table_puts_ours_the_papers_and_the_difference_below_each_other(groups):
    made = figure4.make(groups)
    table = next(table for table in made.tables if table.name == "figure4_O1")
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["CL-Net C5: paper"][:7] == ("94.1", "86.4", "90.4", "93.2", "86.9", "92.6", "28.5")
    assert "ema-none: ours" in rows and "ema-none: paper" not in rows and set(rows["PLOP: ours"]) == {DASH} and "half: ours" not in rows
    data = table.data.set_index(["name", "quantity"])
    own = data.loc[("CL-Net C5", "S0")]
    assert own["seeds"] == 2 and own["difference"] == pytest.approx(own["ours"] - 94.1) and own["ours_std"] > 0
    assert data.loc[("CL-Net C5", "nominal_parameters_m"), "ours"] == pytest.approx(15.65 * (1 + 49 * 0.04))
    assert "not comparable" in table.notes[-1]
    third = next(table for table in made.tables if table.name == "figure4_O3").data.set_index(["name", "quantity"])
    assert third.loc[("MiB", "S1"), "paper_is_limit"] and pd.isna(third.loc[("MiB", "S1"), "difference"])


def test_drops_are_between_the_steps_that_the_paper_names(run_with, scores_of):
    scores = scores_of(method="mib").assign(method="mib", status="ok", dsc=0.9)
    scores.loc[scores["step"] == 4, "dsc"] = 0.2
    made = figure4.make(read_groups([write(run_with, scores, "mib")]))
    data = next(table for table in made.tables if table.name == "figure4_drops").data.set_index(["method", "order", "step"])
    assert data.loc[("MiB", "O1", 0), ["ours", "paper", "difference"]].tolist() == pytest.approx([70, 86.1, -16.1])
    assert data.loc[("MiB", "O1", 3), "ours"] == pytest.approx(70) and pd.isna(data.loc[("PLOP", "O1", 0), "ours"])


def test_without_runs_the_papers_numbers_stand_alone(overlaps):
    made = figure4.make([])
    assert [table.name for table in made.tables] == ["figure4_O1", "figure4_O2", "figure4_O3", "figure4_O4", "figure4_drops"]
    assert all("nan" not in cell for table in made.tables for row in table.rows for cell in row)
    assert len(made.missing) == len(METHODS) and overlaps(made.pictures[0].figure) == []


def test_a_method_without_decoders_and_sizes_has_scores_alone(run_with, scores_of, decoders_of):
    scores = scores_of(method="mib").assign(method="mib")
    folder = write(run_with, scores[scores["dataset"] != "phantom_lesion"], "mib", decoders_of().iloc[:0])
    (folder / "footprint.csv").unlink()
    made = figure4.make(read_groups([folder]))
    row = next(row for row in made.tables[0].rows if row[0] == "MiB: ours")
    assert row[5] == DASH and row[7:10] == (DASH,) * 3 and float(row[6]) > 50  # KiTS21 was learned, but not scored
    assert any("nominal number of parameters is not known" in sentence for sentence in made.missing)


def test_what_is_missing_is_said_and_no_text_overlaps(groups, overlaps):
    made = figure4.make(groups)
    said = " ".join(made.missing)
    assert "O1, half: only 2 of five steps" in said and "CL-Net C5: no run of ours in O2, O3, O4." in said
    assert "TotalSegmentatorV2: phantom_whole_body" in made.pictures[0].caption and overlaps(made.pictures[0].figure) == []
    assert [row[0] for row in made.tables[-1].rows] == ["O1, CL-Net C5", "O1, ema-none", "O1, MiB"]
    assert json.dumps(made.tables[-1].rows).count("(n=") > 0
