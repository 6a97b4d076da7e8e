"""Before and after merging, worked by hand: scores, and sums of voxels."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from analysis import render
from analysis.columns import MERGING_COLUMNS, VOXELS
from analysis.load import Run, read_run
from analysis.merging import before_after_table, voxel_table
from clnet.errors import DataError

NAN = math.nan
RUN = {"experiment": "e", "order": "o", "method": "m", "seed": 0}
# step, dataset, structure, stage, dsc, asd, hd95, status; A is learned in step 0, B in step 1, E never
ROWS = [(0, "A", "x", "premerge", 0.8, 2.0, 4.0, "ok"), (0, "A", "x", "merged", 0.9, 1.0, 3.0, "ok"),
        (0, "A", "y", "premerge", 0.6, 3.0, 6.0, "ok"), (0, "A", "y", "merged", 0.5, 3.0, 6.0, "ok"),
        (1, "A", "x", "premerge", 0.8, 2.0, 4.0, "ok"), (1, "A", "x", "merged", 0.7, 1.5, 2.0, "ok"),
        (1, "A", "y", "premerge", 0.6, 3.0, 6.0, "ok"), (1, "A", "y", "merged", 0.0, NAN, NAN, "missed"),
        (1, "B", "z", "premerge", NAN, NAN, NAN, "false_positive"), (1, "B", "z", "merged", 0.5, 4.0, 8.0, "ok"),
        (1, "E", "z", "premerge", 0.2, 7.0, 9.0, "ok"), (1, "E", "z", "merged", 0.3, 6.0, 8.0, "ok")]


def make_run(merging: list[tuple] = ()) -> Run:
    scores = pd.DataFrame(ROWS, columns=["step", "dataset", "structure", "stage", "dsc", "asd_mm", "hd95_mm", "status"])
    scores = scores.assign(**RUN, trained_on=scores["step"].map({0: "A", 1: "B"}), case="1", nsd=NAN)
    table = pd.DataFrame([{**RUN, "step": step, "trained_on": "B", "dataset": dataset, "case": case, "structure": structure, "decoder": "D",
                           **dict(zip(VOXELS, numbers, strict=True))} for step, dataset, case, structure, *numbers in merging],
                         columns=list(MERGING_COLUMNS))
    decoders = pd.DataFrame(columns=["step", "decoder", "structures", "updated"])
    return Run(Path("run"), scores, decoders, pd.DataFrame(), {}, (), table)


def test_scores_before_and_after():
    table = before_after_table(make_run())
    rows = {row[0]: row[1:] for row in table.rows}
    assert list(rows) == ["A", "B", "all pairs", "E"] and table.summary_rows == {2} and table.title.endswith("S1")
    assert rows["A"] == ("2", "0.700 → 0.350", "2.50 → 1.50 (n=2, 1)", "5.00 → 2.00 (n=2, 1)", "0 → 1", "0 → 0", "0.000 → 0.350 (n=2)")
    assert rows["B"] == ("1", "– → 0.500 (n=0, 1)", "– → 4.00 (n=0, 1)", "– → 8.00 (n=0, 1)", "0 → 0", "1 → 0", "–")
    assert rows["all pairs"][:2] == ("3", "0.700 → 0.400 (n=2, 3)") and rows["all pairs"][-1] == "0.000 → 0.350 (n=2)"
    assert rows["E"][1] == "0.200 → 0.300" and rows["E"][-1] == "–"
    data = table.data.set_index("dataset")
    assert data.loc["A", "forgetting_after"] == pytest.approx(((0.9 - 0.7) + (0.5 - 0.0)) / 2)
    assert data.loc["all pairs", "left_out_before"] == 1 and data.loc["all pairs", "left_out_after"] == 0


def test_in_latex_arrows_are_commands():
    code = render.latex(before_after_table(make_run()))
    assert r"0.700 $\rightarrow$ 0.350" in code and "→" not in code


def test_without_both_stages_there_is_no_table(run_folder):
    assert before_after_table(read_run(run_folder)) is None


def test_voxels_are_summed_by_dataset_after_the_last_step():
    run = make_run([(0, "A", "1", "x", 999, 999, 999, 999, 999, 999, 999), (1, "B", "1", "z", 10, 4, 5, 0, 1, 100, 99),
                    (1, "A", "1", "x", 1000, 300, 700, 10, 20, 5000, 4900), (1, "A", "2", "x", 200, 100, 50, 0, 0, 3000, 3000),
                    (1, "A", "1", "y", 7, 7, 0, 0, 3, 40, 0)])
    table = voxel_table(run)
    assert table.rows == (("A", "3", "1,207", "407", "750", "10", "23", "8,040", "7,900", "1.74"),
                          ("B", "1", "10", "4", "5", "0", "1", "100", "99", "1.00"),
                          ("total", "4", "1,217", "411", "755", "10", "24", "8,140", "7,999", "1.73"))
    assert table.notes[1] == ("Most true voxels lost (3 of 3 structures lose any): x of A 100 (1.25 %); y of A 40 (100.00 %); "
                              "z of B 1 (1.00 %).")


def test_no_loss_is_said_and_no_voxels_are_no_percentage():
    table = voxel_table(make_run([(1, "A", "1", "x", 3, 0, 3, 0, 0, 0, 0)]))
    assert table.rows[0][-1] == "–" and table.notes[1] == "No structure lost true voxels."
    assert voxel_table(make_run()) is None


def test_merging_csv_is_read_and_may_be_absent(merged_folder, run_with, scores):
    run = read_run(merged_folder)
    assert len(run.merging) and run.notes == ()
    (merged_folder / "merging.csv").unlink()
    assert read_run(merged_folder).notes == ("merging.csv is missing: its table is left out",)
    assert read_run(run_with(scores, name="without")).notes == ()


@pytest.mark.parametrize(("old", "new", "message"), [(",890", ",", "empty or negative"), (",890", ",-1", "empty or negative"),
                                                     ("true_voxels_after", "other", "lacks columns"), ("0001", "0000", "occurs twice")])
def test_a_broken_merging_csv_is_refused(merged_folder, old, new, message):
    path = merged_folder / "merging.csv"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DataError, match=message):
        read_run(merged_folder)
