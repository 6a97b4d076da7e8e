"""Several runs side by side, from the command line to the numbers in the tables."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from analysis.__main__ import main
from analysis.aggregate import final_mean
from analysis.columns import DECODER_COLUMNS, FOOTPRINT_COLUMNS, MERGING_COLUMNS, SCORE_COLUMNS
from analysis.comparison_forgetting import forgetting_table
from analysis.comparison_tables import comparison_table, runs_table
from analysis.groups import Group, default_name, read_groups
from analysis.load import Run, read_run
from clnet.errors import UsageError

ROW = {"experiment": "e", "order": "o", "method": "m", "step": 0, "trained_on": "A", "dataset": "A", "case": "1", "stage": "premerge",
       "hd95_mm": math.nan, "nsd": math.nan, "status": "ok"}


def tiny(seed: int, dsc: dict[str, float], nonzero: float = 1e6) -> Run:
    """One step, one dataset; structure -> DSC, ASD ten times (1 - DSC)."""
    scores = pd.DataFrame([{**ROW, "seed": seed, "structure": name, "dsc": value, "asd_mm": 10 * (1 - value)}
                           for name, value in dsc.items()])
    decoders = pd.DataFrame([{"step": 0, "decoder": "D", "structures": " ".join(dsc), "updated": True, "pruning_rate_percent": 90.0}])
    footprint = pd.DataFrame([{"step": 0, "parameters": 4e6, "nonzero_parameters": nonzero, "nominal_share_sum": 0.1,
                               "nominal_parameters_m": 17.2, "decoder_multiply_adds_m": 1500.0, "decoder_seconds": 0.1 * (seed + 1)}])
    return Run(Path(f"runs/{seed}"), scores, decoders, footprint, {})


@pytest.fixture
def folders(run_with, scores, scores_of, merged_scores, decoders_of, universal_scores):
    """A pruned and merged run, an unpruned one, and a universal one."""
    decoders = decoders_of()
    together = decoders[decoders["step"] == 4].assign(step=0, trained_on="all")
    return [run_with(merged_scores, decoders_of((99.0, 96.0)), name="pruned"), run_with(scores_of(0.02), name="full__seed-0"),
            run_with(universal_scores, together, name="universal")]


def test_one_command_writes_all_forms(folders, tmp_path, capsys):
    output = tmp_path / "comparison"
    assert main(["compare", *map(str, folders), "--output", str(output), "--names", "C5", "C5 unpruned", "U5"]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1] == f"comparison: {output / 'comparison.html'}" and "C5 unpruned" in printed
    for name in ("comparison", "comparison_runs", "comparison_forgetting"):
        assert all((output / "tables" / f"{name}.{ending}").stat().st_size for ending in ("md", "tex", "csv"))
    assert sorted(path.name for path in (output / "figures").iterdir()) == [
        f"{name}.{ending}" for name in ("forgetting_curves", "pruning_effect") for ending in ("png", "svg")]
    page = (output / "comparison.html").read_text()
    assert page.count("data:image/png;base64,") == 2 and ">nan<" not in page.lower()
    assert "test DSC of C5 minus that of C5 unpruned after the last step, premerge" in page  # the stage that both have
    rows = pd.read_csv(output / "tables" / "comparison.csv").set_index("name")
    assert list(rows["scenario"]) == ["continual", "continual", "universal"] and list(rows["stage"]) == ["merged", "premerge", "premerge"]
    assert rows["mean_pruning_rate_percent"].to_dict() == pytest.approx({"C5": (25 * 99 + 24 * 96) / 49, "C5 unpruned": 0, "U5": 0})
    assert rows["nominal_share_sum"]["C5"] == pytest.approx(25 * 0.01 + 24 * 0.04) and rows["nominal_share_sum"]["U5"] == 49
    assert rows["dsc"]["C5"] < rows["dsc_premerge"]["C5"] == pytest.approx(final_mean(read_run(folders[0]).scores, "premerge")["dsc"])
    for folder, name in zip(folders, rows.index, strict=True):
        assert rows["dsc"][name] == pytest.approx(final_mean(read_run(folder).scores)["dsc"])
    assert main(["compare", str(folders[2]), "--output", str(output)]) == 0  # again into the same folder: nothing is left of the first
    assert not (output / "figures" / "forgetting_curves.png").exists()


def test_forgetting_is_split_and_stands_before_and_after_merging(folders):
    table = forgetting_table(read_groups(folders))
    rows = {row[0]: dict(zip(table.header[1:], row[1:], strict=True)) for row in table.rows}
    assert "decoder unknown, after" not in table.header
    pruned, full, universal = rows["pruned"], rows["full"], rows["universal"]
    assert pruned["updated later, before merging"].endswith("(n=2)")  # Liver and Spleen of the whole body
    assert pruned["never trained again, before merging"].endswith("(n=63)") and pruned["all, after"].endswith("(n=65)")
    assert full["never trained again, after"] == "\N{EN DASH}" and set(universal.values()) == {"\N{EN DASH}"}


def test_seeds_of_one_name_become_mean_and_deviation():
    runs = (tiny(0, {"x": 0.8, "y": 0.6}), tiny(1, {"x": 0.9, "y": 0.7}, 3e6))
    groups = [Group("mine", runs), Group("one", (tiny(0, {"x": 0.5, "y": 0.5}),))]
    table = comparison_table(groups)
    row = dict(zip(table.header, table.rows[0], strict=True))
    assert row["DSC A"] == row["DSC mean"] == "0.750 ± 0.071" and row["ASD mean"] == "2.50 ± 0.71"
    assert (row["seeds"], row["pairs"], row["non-zero M"], row["mean T %"]) == ("2", "2", "2.00 ± 1.41", "90.0 ± 0.0")
    assert (row["GMAC"], row["ms"]) == ("1.50 ± 0.00", "150 ± 71")
    assert dict(zip(table.header, table.rows[1], strict=True))["DSC mean"] == "0.500"
    data = table.data.set_index("name")
    assert data.loc["mine", "dsc_std"] == pytest.approx(math.sqrt(0.005)) and math.isnan(data.loc["one", "dsc_std"])
    assert [row[:2] for row in runs_table(groups).rows] == [("mine", "runs/0"), ("mine", "runs/1"), ("one", "runs/0")]


def test_runs_without_the_same_pairs_have_a_mean_over_the_common_ones():
    table = comparison_table([Group("a", (tiny(0, {"x": 0.8, "y": 0.6}),)), Group("b", (tiny(0, {"x": 0.9, "z": 0.1}),))])
    column = table.header.index("DSC common")
    assert [row[column] for row in table.rows] == ["0.800", "0.900"] and any("over the 1 that all" in note for note in table.notes)
    same = comparison_table([Group("a", (tiny(0, {"x": 0.8}),)), Group("b", (tiny(0, {"x": 0.9}),))])
    assert "DSC common" not in same.header


def test_missing_values_are_counted_in_the_cell():
    scores = tiny(0, {"x": 0.8, "y": 0.0}).scores
    scores.loc[1, ["asd_mm", "status"]] = [math.nan, "missed"]
    table = comparison_table([Group("a", (replace(tiny(0, {"x": 0.8, "y": 0.0}), scores=scores),))])
    row = dict(zip(table.header, table.rows[0], strict=True))
    assert (row["ASD mean"], row["missed"], row["DSC mean"]) == ("2.00 (n=1)", "1", "0.400")


@pytest.mark.parametrize(("change", "found"), [({"experiment": "other"}, "experiment"), ({"seed": 0}, "seeds 0, 0"),
                                               ({"stage": "merged"}, "stage")])
def test_one_name_is_for_runs_that_differ_in_their_seed(run_with, scores, change, found):
    runs = [run_with(scores, name="a"), run_with(scores.assign(**{"seed": 1} | change), name="b")]
    with pytest.raises(UsageError, match="name x") as caught:
        read_groups(runs, ["x", "x"])
    assert found in str(caught.value)


def test_names_come_from_folders(tmp_path):
    assert default_name(tmp_path / "order1__ema-none__seed-3") == "order1__ema-none"
    assert default_name(tmp_path / "order1__seed-3__tuning-none") == "order1__tuning-none"
    assert default_name(tmp_path / "order1__seed-3b") == "order1__seed-3b"


def test_wrong_use_ends_with_code_2(folders, tmp_path, capsys):
    first = str(folders[0])
    assert main(["compare", first, "--output", str(tmp_path / "out"), "--names", "a", "b"]) == 2
    assert "2 name(s) for 1 run folder(s)" in capsys.readouterr().err
    assert main(["compare", first, "--output", first]) == 2  # a run folder is not overwritten
    assert "holds something else" in capsys.readouterr().err and (folders[0] / "scores.csv").exists()
    assert main(["compare", first, "--output", str(folders[0] / "scores.csv")]) == 2
    assert main(["compare", str(tmp_path / "none"), "--output", str(tmp_path / "out")]) == 2
    with pytest.raises(SystemExit) as caught:
        main(["compare", first])
    assert caught.value.code == 2


def test_columns_are_those_that_are_written():
    code = ("from experiments import results; import json; "
            "print(json.dumps([results.SCORES, results.DECODERS, results.FOOTPRINT, results.MERGING]))")
    written = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert json.loads(written) == [list(columns) for columns in (SCORE_COLUMNS, DECODER_COLUMNS, FOOTPRINT_COLUMNS, MERGING_COLUMNS)]
