"""Tables of the synthetic run: formats, counts, the paper's values, frozen decoders."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from analysis import paper
from analysis.continual import BASIC_METRICS, METRICS
from analysis.decoders import decoder_table, footprint_table, frozen_by_step
from analysis.frozen import broken
from analysis.load import read_run
from analysis.tables import cell, continual_table, dataset_order, final_table, status_table, structure_table


@pytest.fixture
def run(run_folder):
    return read_run(run_folder)


@pytest.mark.parametrize(("counts", "long", "short"), [
    ((0.874, 4, 0, 0), "0.87 (n=4)", "0.87 n4"), ((0.874, 4, 1, 0), "0.87 (n=4, missed 1)", "0.87 n4 m1"),
    ((float("nan"), 0, 0, 2), "\N{EN DASH} (n=0, fp 2)", "\N{EN DASH} n0 f2")])
def test_cell(counts, long, short):
    row = pd.Series(counts, index=["dsc", "dsc_n", "missed", "false_positive"])
    assert cell(row, "dsc") == long
    assert cell(row, "dsc", compact=True) == short


def test_structure_table_has_the_steps_since_the_dataset_was_learned(run):
    table = structure_table(run, "phantom_abdomen")
    assert table.header == ("structure", "S2", "S3", "S4")
    assert len(table.rows) == 14 and table.rows[-1][0] == "mean over structures" and table.summary_rows == {13}
    assert "learned in S2" in table.title


def test_early_steps_go_where_there_is_no_room(run):
    table = structure_table(run, "phantom_whole_body", compact=True, width=70)
    assert table.header == ("structure", "S3", "S4")
    assert any("steps before S3 are in the report" in note for note in table.notes)


def test_everything_left_out_is_said(run):
    scores = run.scores[(run.scores["dataset"] == "phantom_whole_body") & (run.scores["step"] == 4)]
    note = next(note for note in structure_table(run, "phantom_whole_body").notes if note.startswith("Left out"))
    assert f"{scores['dsc'].isna().sum()} of {len(scores)} " in note
    assert f"{(scores['status'] == 'not_annotated').sum()} not annotated" in note
    counts = status_table(run).rows[0]
    assert sum(map(int, counts[1:-1])) == int(counts[-1]) == len(scores)


def test_external_datasets_stand_apart(run_with, scores):
    external = scores[scores["dataset"] == "phantom_chest"].assign(dataset="btcv", dsc=0.5)
    run = read_run(run_with(pd.concat([external, scores])))
    assert dataset_order(run)[-1] == "btcv"
    table = final_table(run)
    assert [row[0] for row in table.rows[-2:]] == ["all pairs", "btcv"] and table.summary_rows == {5}
    assert "never learned" in structure_table(run, "btcv").title


def test_final_table_beside_the_paper(run):
    table = final_table(run)
    assert table.header[-2:] == ("paper DSC*", "paper ASD*")
    printed = {row[0]: row[-2:] for row in table.rows}
    assert printed["phantom_whole_body"] == ("0.941", "0.89")
    assert printed["phantom_lesion"] == ("0.869", "1.32")
    assert printed["all pairs"] == ("0.926", "0.81")
    assert any("paper (CL-Net, real data)" in note and "not comparable" in note for note in table.notes)


def test_the_papers_columns_are_for_its_own_orders(run_with, scores):
    assert "paper DSC*" not in final_table(read_run(run_with(scores.assign(order="openkbp")))).header
    assert paper.final_results("order1", 5).datasets[4] == "KiTS21"
    assert paper.final_results("O1", 3) is None


def test_continual_table_prints_formula_and_source(run):
    table = continual_table(run)
    assert [row[0] for row in table.rows] == [metric.name for metric in METRICS]
    assert table.rows[1][1].endswith("(n=4)") and table.rows[1][2].endswith("(n=65)")  # 66 pairs, one learned last
    assert any("max_{l<T} R[l,j] - R[T,j]" in note and "Chaudhry" in note for note in table.notes)
    assert all(any(note == metric.note() for note in table.notes) for metric in METRICS)
    both = replace(run, scores=pd.concat([run.scores, run.scores.assign(stage="merged")]))
    assert [row[0] for row in continual_table(both, BASIC_METRICS).rows][3:5] == ["learning accuracy, premerge", "average accuracy, merged"]


def test_remembering_is_for_shares_alone(run):
    row = next(row for row in continual_table(run).rows if row[0] == "remembering")
    assert row[1].endswith("(n=10)") and row[3:] == ("\N{EN DASH}", "\N{EN DASH}")  # 4 + 3 + 2 + 1 later steps


def test_continual_table_of_a_single_step(run_with, scores):
    rows = continual_table(read_run(run_with(scores[scores["step"] == 0]))).rows
    assert rows[1][1:] == ("\N{EN DASH}",) * 4


@pytest.fixture
def networks(decoders):
    return decoders.rename(columns={"decoder": "network"})


def test_frozen_networks_are_counted(networks):
    second = frozen_by_step(networks)[2]
    assert (second.before, second.unchanged, second.updated, second.changed, second.new) == (48, 46, ("Liver", "Spleen"), (), 0)
    assert "frozen: 46 of 48 unchanged, 2 updated (Liver, Spleen)" in str(second)


def test_a_decoder_that_changed_without_training_stands_out(run_with, scores, decoders):
    touched = decoders.copy()
    touched.loc[(touched["step"] == 3) & (touched["decoder"] == "Brain"), "weights_sha256"] = "ffff0000" * 8
    run = read_run(run_with(scores, touched))
    assert "1 CHANGED WITHOUT TRAINING (Brain)" in str(frozen_by_step(run.networks)[3])
    brain = next(row for row in decoder_table(run).rows if row[0] == "Brain")
    assert [part.split()[-1] for part in brain[-5:]] == ["trained", "=", "=", "CHANGED", "CHANGED"]


def test_a_network_that_vanished_stands_out(networks):
    assert "1 NOT LISTED ANY MORE (Brain)" in str(frozen_by_step(networks[(networks["network"] != "Brain") | (networks["step"] < 4)])[4])


def test_an_encoder_that_changed_stands_out(run_with, scores, networks):
    """weights.csv lists the encoder beside the decoders: it changes in step 3, though nothing trained it."""
    folder = run_with(scores)
    steps = networks[["experiment", "order", "method", "seed", "step", "trained_on"]].drop_duplicates()
    encoder = steps.assign(network="encoder", weights_sha256=["aa" * 32] * 3 + ["bb" * 32] * 2, updated=False)
    pd.concat([encoder, networks[encoder.columns]]).to_csv(folder / "weights.csv", index=False)
    run = read_run(folder)
    assert [one.changed for one in frozen_by_step(run.networks)] == [(), (), (), ("encoder",), ()]
    (sentence,) = broken({"run": run})
    assert sentence.startswith("run, S3 (phantom_chest): frozen: ") and sentence.endswith("1 CHANGED WITHOUT TRAINING (encoder)")


def test_sizes(run):
    assert footprint_table(run).rows[4][:4] == ("S4", "phantom_lesion", "5,000,000", "1,000,000")
    assert decoder_table(run).rows[-1][:4] == ("49 decoders", "", "49", "2,989,000")


def test_a_method_without_decoders(run_with, scores, decoders):
    assert decoder_table(read_run(run_with(scores, decoders.iloc[:0]))) is None
