"""Tables: exact columns, stable order and text, no NaN, and the same numbers back."""

import math
import random

import numpy as np
import pytest

from clnet.errors import DataError
from experiments import results

RUN = {"experiment": "order1", "order": "O1", "method": "clnet", "seed": 0, "step": 0, "trained_on": "whole"}
SCORE = RUN | {"dataset": "whole", "case": "case_1", "structure": "Liver", "stage": "premerge", "dsc": 0.1 + 0.2, "asd_mm": 1 / 3,
               "hd95_mm": np.float64(2.5), "nsd": 1, "reference_voxels": 10, "predicted_voxels": np.int64(12), "status": "ok"}
DECODER = RUN | {"decoder": "D_Liver", "group": "Abdomen", "structures": ("Liver", "Spleen"), "pruning_rate_percent": None,
                 "parameters": 100, "nonzero_parameters": 100, "nominal_share": None, "validation_dsc_before": 0.5,
                 "validation_dsc_after": None, "rounds": 0,
                 "updated": True, "weights_sha256": "ab" * 32, "multiply_adds_m": 12.5, "nonzero_multiply_adds_m": 0.25}
FOOTPRINT = RUN | {"parameters": 10, "nonzero_parameters": 9, "nominal_share_sum": None, "nominal_parameters_m": 15.65,
                   "dense_bytes": 40, "sparse_bytes": 38, "seconds": 1.5, "peak_memory_mib": None, "decoder_multiply_adds_m": 12.5,
                   "decoder_seconds": 0.25}
MERGING = RUN | {"dataset": "whole", "case": "case_1", "structure": "Liver", "decoder": "Liver", "false_voxels_before": 9,
                 "false_voxels_after": 4, "false_outside_before": 5, "false_outside_after": 0, "true_outside_before": 1,
                 "true_voxels_before": 40, "true_voxels_after": np.int64(39)}


RUN_COLUMNS = "experiment,order,method,seed,step,trained_on,"


def test_columns_are_the_ones_that_others_rely_on(tmp_path):
    assert results.write_scores(tmp_path, [SCORE]).read_text().splitlines()[0] == (
        RUN_COLUMNS + "dataset,case,structure,stage,dsc,asd_mm,hd95_mm,nsd,reference_voxels,predicted_voxels,status")
    assert results.write_decoders(tmp_path, []).read_text() == (
        RUN_COLUMNS + "decoder,group,structures,pruning_rate_percent,parameters,nonzero_parameters,nominal_share,validation_dsc_before,"
        "validation_dsc_after,rounds,updated,weights_sha256,multiply_adds_m,nonzero_multiply_adds_m\n")
    assert results.write_footprint(tmp_path, []).read_text() == (
        RUN_COLUMNS + "parameters,nonzero_parameters,nominal_share_sum,nominal_parameters_m,dense_bytes,sparse_bytes,seconds,"
        "peak_memory_mib,decoder_multiply_adds_m,decoder_seconds\n")
    assert results.write_merging(tmp_path, []).read_text() == (
        RUN_COLUMNS + "dataset,case,structure,decoder,false_voxels_before,false_voxels_after,false_outside_before,false_outside_after,"
        "true_outside_before,true_voxels_before,true_voxels_after\n")
    assert results.write_weights(tmp_path, []).read_text() == RUN_COLUMNS + "network,weights_sha256,updated\n"


def test_values_come_back_exactly(tmp_path):
    assert results.read(results.write_scores(tmp_path, [SCORE])) == [SCORE]
    assert results.read(results.write_decoders(tmp_path, [DECODER])) == [DECODER | {"structures": "Liver Spleen"}]
    assert results.read(results.write_footprint(tmp_path, [FOOTPRINT])) == [FOOTPRINT]
    assert results.read(results.write_footprint(tmp_path, [FOOTPRINT | {"nominal_share_sum": 0.25}]))[0]["nominal_share_sum"] == 0.25
    assert results.read(results.write_merging(tmp_path, [MERGING])) == [MERGING]


def test_tables_written_before_some_columns_came_are_read(tmp_path):
    path = results.write_footprint(tmp_path, [FOOTPRINT])
    path.write_text("\n".join(line.rsplit(",", 2)[0] for line in path.read_text().splitlines()) + "\n")
    assert results.read(path) == [FOOTPRINT | {"decoder_multiply_adds_m": None, "decoder_seconds": None}]


def test_undefined_is_an_empty_cell(tmp_path):
    missed = SCORE | {"dsc": 0.0, "asd_mm": math.nan, "hd95_mm": None, "nsd": np.nan, "predicted_voxels": 0, "status": "missed"}
    text = results.write_scores(tmp_path, [missed]).read_text()
    assert text.splitlines()[1].endswith(",0.0,,,,10,0,missed") and "nan" not in text.lower()
    assert results.read(tmp_path / "scores.csv")[0]["asd_mm"] is None


def test_order_of_rows_does_not_depend_on_who_was_first(tmp_path):
    rows = [SCORE | {"step": step, "case": case, "structure": structure, "stage": stage} for step in (0, 2, 10) for case in ("a", "b")
            for structure in ("Liver", "Spleen") for stage in results.STAGES]
    first = results.write_scores(tmp_path, rows).read_bytes()
    random.Random(0).shuffle(rows)
    assert results.write_scores(tmp_path, rows).read_bytes() == first
    assert [row["step"] for row in results.read(tmp_path / "scores.csv")] == sorted(row["step"] for row in rows)


@pytest.mark.parametrize("change", [{"status": "fine"}, {"stage": "final"}, {"dsc": 92.6}, {"dsc": -0.1},
                                    {"asd_mm": math.inf}, {"reference_voxels": -1}, {"reference_voxels": 1.5},
                                    {"case": "nan"}, {"trained_on": None}, {"extra": 1}])
def test_wrong_values_are_refused_and_the_old_table_stays(tmp_path, change):
    before = results.write_scores(tmp_path, [SCORE]).read_bytes()
    with pytest.raises(ValueError):
        results.write_scores(tmp_path, [SCORE | change])
    assert (tmp_path / "scores.csv").read_bytes() == before


@pytest.mark.parametrize("change", [{"false_voxels_after": None}, {"false_voxels_after": math.nan}, {"true_voxels_before": -1},
                                    {"true_outside_before": 0.5}, {"decoder": ""}, {"stage": "merged"}])
def test_wrong_numbers_of_voxels_are_refused(tmp_path, change):
    with pytest.raises(ValueError):
        results.write_merging(tmp_path, [MERGING | change])
    assert not (tmp_path / "merging.csv").exists()


def test_voxels_have_one_row_a_step_and_structure_of_a_case(tmp_path):
    rows = [MERGING | {"step": step, "case": case, "structure": structure} for step in (1, 0) for case in "ba" for structure in "yx"]
    read = results.read(results.write_merging(tmp_path, rows))
    assert [(row["step"], row["case"], row["structure"]) for row in read] == [(s, c, o) for s in (0, 1) for c in "ab" for o in "xy"]
    with pytest.raises(ValueError, match="two rows"):
        results.write_merging(tmp_path, [MERGING, MERGING | {"decoder": "Spleen"}])


def test_missing_column_and_duplicate_row_are_refused(tmp_path):
    with pytest.raises(ValueError, match="missing \\['nsd'\\]"):
        results.write_scores(tmp_path, [{name: value for name, value in SCORE.items() if name != "nsd"}])
    with pytest.raises(ValueError, match="two rows"):
        results.write_scores(tmp_path, [SCORE, SCORE | {"dsc": 0.5}])


@pytest.mark.parametrize("old, new", [("dsc", "dice"), (",10,", ",ten,"), (",1.0,", ",nan,"), (",ok", ",ok,ok")])
def test_damaged_table_is_named(tmp_path, old, new):
    path = results.write_scores(tmp_path, [SCORE])
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DataError, match="scores.csv"):
        results.read(path)
