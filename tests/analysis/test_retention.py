"""Forgetting split by what later steps did to the decoder, worked by hand on three steps."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from analysis.load import Run
from analysis.retention import decoders_by_structure, forgetting_by_group, forgetting_by_pair

NAN = math.nan
RUN = {"experiment": "e", "order": "o", "method": "m", "seed": 0}
TRAINED_ON = ("A", "B", "C")
# (dataset, structure) -> premerge and merged DSC after each step
DSC = {("A", "x"): ((0.8, 0.8, 0.8), (0.8, 0.85, 0.75)), ("A", "y"): ((0.9, 0.6, 0.7), (0.9, 0.5, 0.5)),
       ("B", "y"): ((NAN, 0.4, 0.4), (NAN, 0.4, 0.3)), ("C", "z"): ((NAN, NAN, 0.6), (NAN, NAN, 0.6))}
# decoder -> its structures and the steps that trained it
DECODERS = {"X": ("x", (0,)), "Y": ("y", (0, 1)), "Z": ("z", (2,))}


def make_run(dsc: dict = DSC, decoders: dict = DECODERS) -> Run:
    rows = [{**RUN, "step": step, "trained_on": TRAINED_ON[step], "dataset": dataset, "case": "1", "structure": structure, "stage": stage,
             "dsc": value, "asd_mm": NAN, "hd95_mm": NAN, "nsd": NAN, "status": "ok"}
            for (dataset, structure), both in dsc.items() for stage, values in zip(("premerge", "merged"), both, strict=True)
            for step, value in enumerate(values) if not math.isnan(value)]
    parts = [{"step": step, "decoder": name, "structures": structures, "updated": step in trained}
             for name, (structures, trained) in decoders.items() for step in range(min(trained), 3)]
    columns = ["step", "decoder", "structures", "updated"]
    return Run(Path("run"), pd.DataFrame(rows), pd.DataFrame(parts, columns=columns), pd.DataFrame(), {})


def test_pairs_know_their_decoder_and_what_became_of_it():
    pairs = forgetting_by_pair(make_run(), "premerge").set_index(["dataset", "structure"])
    assert pairs["learned"].to_dict() == {("A", "x"): 0, ("A", "y"): 0, ("B", "y"): 1, ("C", "z"): 2}
    assert pairs["group"].to_dict() == {("A", "x"): "never trained again", ("A", "y"): "updated later",
                                        ("B", "y"): "never trained again", ("C", "z"): "never trained again"}
    assert pairs["forgetting"].fillna(-1).to_dict() == pytest.approx({("A", "x"): 0.0, ("A", "y"): 0.2, ("B", "y"): 0.0, ("C", "z"): -1})


def test_frozen_decoders_forget_nothing_before_merging():
    before, after = (forgetting_by_group(make_run(), stage) for stage in ("premerge", "merged"))
    assert before["never trained again"] == (0.0, 2)  # exactly, and not the pair learned last
    assert before["updated later"] == (pytest.approx(0.9 - 0.7), 1)
    assert after["never trained again"] == (pytest.approx(((0.85 - 0.75) + (0.4 - 0.3)) / 2), 2)
    assert after["updated later"] == (pytest.approx(0.9 - 0.5), 1)
    assert after["all"] == (pytest.approx((0.1 + 0.1 + 0.4) / 3), 3)
    assert after["decoder unknown"][1] == 0 and math.isnan(after["decoder unknown"][0])


def test_a_union_that_was_split_later_keeps_its_decoder():
    run = make_run()
    first = run.decoders["step"] == 0
    run.decoders.loc[first & (run.decoders["decoder"] == "X"), "structures"] = "x"
    run.decoders.loc[~first & (run.decoders["decoder"] == "X"), "structures"] = "x_1 x_2"
    assert decoders_by_structure(run)["x"] == "X"


def test_a_union_learned_in_parts_is_found_in_the_registry_or_in_the_merging():
    run = make_run({("A", "A_Aorta"): ((0.8, 0.8, 0.8),) * 2, ("A", "part"): ((0.8, 0.8, 0.8),) * 2},
                   {"A_Aorta": ("A_Aorta_Arch A_Aorta_Ascending A_Aorta_Descending", (0,)), "X": ("x", (0,))})
    assert decoders_by_structure(run)["A_Aorta"] == "A_Aorta" and "part" not in decoders_by_structure(run)
    merging = pd.DataFrame({"structure": ["part"], "decoder": ["X"]})
    assert decoders_by_structure(Run(run.folder, run.scores, run.decoders, run.footprint, {}, (), merging))["part"] == "X"


def test_a_method_without_decoders_has_no_split():
    found = forgetting_by_group(make_run(decoders={}), "premerge")
    assert found["decoder unknown"] == found["all"] == (pytest.approx(0.2 / 3), 3)
    assert found["never trained again"][1] == found["updated later"][1] == 0
