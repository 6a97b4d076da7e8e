"""Single numbers out of a run: each a mean, a count or a sum that is worked by hand here."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from analysis.load import Run
from analysis.measures import MEASURES, forgetting, probe, score, size, table, true_voxels_lost_percent

# step, dataset, case, structure, stage, DSC, status
ROWS = [(0, "A", "1", "x", "premerge", 0.8, "ok"), (0, "A", "2", "x", "premerge", 0.6, "ok"), (0, "A", "1", "y", "premerge", 0.9, "ok"),
        (1, "A", "1", "x", "premerge", 0.7, "ok"), (1, "A", "2", "x", "premerge", 0.5, "ok"), (1, "A", "1", "y", "premerge", 0.9, "ok"),
        (1, "B", "3", "z", "premerge", 0.0, "missed"),
        (1, "A", "1", "x", "merged", 0.6, "ok"), (1, "A", "2", "x", "merged", 0.4, "ok"), (1, "A", "1", "y", "merged", 0.9, "ok"),
        (1, "B", "3", "z", "merged", 0.0, "missed"), (1, "far", "4", "x", "merged", 1.0, "ok")]


@pytest.fixture
def run() -> Run:
    scores = pd.DataFrame(ROWS, columns=["step", "dataset", "case", "structure", "stage", "dsc", "status"])
    scores = scores.assign(trained_on=scores["step"].map({0: "A", 1: "B"}), asd_mm=10 * (1 - scores["dsc"]), hd95_mm=math.nan, nsd=math.nan)
    decoders = pd.DataFrame([(0, "X", "x", True, 0.0), (0, "Y", "y", True, 0.0), (1, "X", "x", True, 90.0), (1, "Y", "y", False, 95.0),
                             (1, "Z", "z", True, 95.0002)], columns=["step", "decoder", "structures", "updated", "pruning_rate_percent"])
    footprint = pd.DataFrame([{"step": 1, "parameters": 3e6, "nonzero_parameters": 1e6, "nominal_share_sum": 0.2,
                               "decoder_multiply_adds_m": 1500.0, "decoder_seconds": 0.25,
                               "nominal_parameters_m": 18.0}])
    merging = pd.DataFrame([(0, "x", "X", 900, 0, 5), (1, "x", "X", 100, 90, 7), (1, "y", "Y", 300, 290, 0)],
                           columns=["step", "structure", "decoder", "true_voxels_before", "true_voxels_after", "false_outside_before"])
    return Run(Path("run"), scores, decoders, footprint, {}, (), merging)


@pytest.mark.parametrize(("arguments", "expected"), [
    ({}, (0.5 + 0.9 + 0.0) / 3),  # merged, last step, learned datasets alone
    ({"stage": "premerge"}, (0.6 + 0.9 + 0.0) / 3),
    ({"dataset": "A"}, 0.7), ({"dataset": "far"}, 1.0),
    ({"dataset": "A", "stage": "premerge", "step": "learned"}, 0.8), ({"dataset": "A", "stage": "premerge", "step": 0}, 0.8),
    ({"without": {"structure": ["x", "z"]}}, 0.9), ({"where": {"structure": "x"}}, 0.5),
    ({"value": "missed"}, 1), ({"value": "structures"}, 3), ({"dataset": "A", "value": "asd_mm"}, 3.0),
])
def test_scores(run, arguments, expected):
    assert score(run, **arguments) == pytest.approx(expected)


@pytest.mark.parametrize("arguments", [{"dataset": "none"}, {"dataset": "none", "step": "learned"}, {"value": "none"},
                                       {"where": {"structure": "none"}}, {"where": {"none": 1}}])
def test_what_is_not_there_is_a_lookup_error(run, arguments):
    with pytest.raises(LookupError):
        score(run, **arguments)


def test_forgetting_of_each_group(run):
    assert forgetting(run, "updated later", "premerge") == pytest.approx(0.1)  # x: 0.7, then 0.6
    assert forgetting(run, "never trained again", "premerge") == 0.0 and forgetting(run, stage="premerge") == pytest.approx(0.05)
    assert math.isnan(forgetting(run, "decoder unknown"))


def test_sizes_and_sums(run):
    assert size(run, "mean_pruning_rate_percent") == pytest.approx(280 / 3, abs=1e-3) and size(run, "nonzero_parameters_m") == 1.0
    assert true_voxels_lost_percent(run) == pytest.approx(5.0)
    assert table(run, "merging", "false_outside_before", "sum") == 7 and table(run, "merging", "false_outside_before", "sum", step=0) == 5
    assert table(run, "decoders", "decoder", "count", where={"pruning_rate_percent": 95}) == 2
    assert table(run, "decoders", "pruning_rate_percent", "min", without={"decoder": ["X"]}) == 95
    with pytest.raises(LookupError):
        table(run, "decoders", "none", "sum")


def test_a_run_without_merging_lost_nothing_that_is_known(run):
    assert math.isnan(true_voxels_lost_percent(Run(run.folder, run.scores, run.decoders, run.footprint, {})))
    assert set(MEASURES) == {"score", "forgetting", "size", "true_voxels_lost_percent", "table", "probe"}


def test_what_the_probe_read(run, tmp_path):
    run = replace(run, folder=tmp_path)
    with pytest.raises(LookupError, match="probe"):
        probe(run, "tissue")
    (run.folder / "probe.json").write_text('{"dataset": "first", "tissue": 0.25}')
    assert probe(run, "tissue") == 0.25
    with pytest.raises(LookupError, match="height_mm"):
        probe(run, "height_mm")
