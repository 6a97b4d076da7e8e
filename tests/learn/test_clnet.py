"""The method on datasets of a few thousand voxels: who supports whom, what changes when, and that it does not matter who builds."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import cloudpickle
import numpy as np
import pytest
import torch

from clnet.errors import UsageError
from clnet.launch import JoblibLauncher
from clnet.learn import decoder, encoder
from clnet.learn.clnet import CLNet
from clnet.learn.fit import TrainerSettings
from clnet.learn.plan import EncoderTuning, Supporting, lottery_ticket
from clnet.model.cost import decoder_inputs, multiply_adds
from clnet.model.structured import WholeChannels
from clnet.types import Task

SGD = partial(torch.optim.SGD, momentum=0.99, nesterov=True, weight_decay=1e-2)
STEPS = {"lr": 0.01, "epochs": 1, "steps_per_epoch": 2}


def learned(method: CLNet, tasks: list[Task]) -> list[dict[str, str]]:
    hashes = []
    for task in tasks:
        method.learn(task)
        hashes.append(method.hashes())
    return hashes


def test_supporters_are_known_before_and_kept_as_they_were(method, tasks):
    own = method(supporting=Supporting())
    first, second, third = learned(own, tasks)
    lesion, vessel = own.learned["Kidney_Lesion"], own.learned["HepaticVessel"]
    assert own.learned["Kidney"].route.supporters == () and len(lesion.route.supporters) == len(vessel.route.supporters) == 1
    kidney_then = own.archive.decoders[lesion.route.supporters[0]]
    assert kidney_then.identity == own.learned["Kidney"].identity and first["Kidney"] != second["Kidney"] == third["Kidney"]
    assert vessel.route.supporters[0] == own.learned["Liver"].identity, "updated in the same step, before its dependent"
    assert first["Liver"] == second["Liver"] != third["Liver"] and first["encoder"] == third["encoder"]
    assert set(own.updated) == {"Liver", "HepaticVessel"}
    kidney_before = own.learned["Kidney"]
    own.learn(replace(tasks[1], dataset="fourth", labels=tasks[1].labels[:2], identity="more",
                      cases=tuple(replace(case, dataset="fourth") for case in tasks[1].cases)))  # fmt: skip
    assert own.learned["Kidney"].identity != kidney_before.identity and own.learned["Kidney_Lesion"] == lesion
    assert lesion.route.supporters == (kidney_before.identity,), "the snapshot"


def test_seconds_are_those_of_the_last_task_each_unit_once(method, tasks):
    own = method(supporting=Supporting())
    own.learn(tasks[0])
    units = [json.loads(path.read_text())["seconds"] for path in own.shop.store.root.glob("*/*/unit.json")]
    assert own.seconds == pytest.approx(sum(units)) and len(units) == 3
    own.learn(tasks[1])
    both = [json.loads(path.read_text())["seconds"] for path in own.shop.store.root.glob("*/*/unit.json")]
    assert own.seconds == pytest.approx(sum(both) - sum(units))


def test_another_graph_is_another_yaml(method, tasks):
    own = method(supporting=Supporting(graph={"Kidney": ("Liver",)}))
    learned(own, tasks[:2])
    supporters = {name: state.route.supporters for name, state in own.learned.items()}
    assert supporters == {"Liver": (), "Kidney": (own.learned["Liver"].identity,), "Kidney_Lesion": ()}
    with pytest.raises(UsageError, match="Liver"):
        method(supporting=Supporting(graph={"Kidney": ("Livver",)}))
    with pytest.raises(UsageError):
        method(supporting=Supporting(graph={"Kidney": ("Liver",), "Liver": ("Kidney",)}))


def test_everything_survives_saving(method, tasks, tmp_path, tiny):
    own = method(supporting=Supporting(), ema=0.5)
    learned(own, tasks)
    own.save(tmp_path / "model")
    again = method("elsewhere", supporting=Supporting(), ema=0.5)
    again.load(tmp_path / "model")
    assert again.hashes() == own.hashes() and again.parts() == own.parts() and again.footprint() == own.footprint()
    described = json.loads((tmp_path / "model/method.json").read_text())
    assert sum(not entry["current"] for entry in described["decoders"].values()) == 0
    files = {entry["file"] for entry in described["decoders"].values()}
    assert files == {"Liver.safetensors", "Kidney.safetensors", "Kidney_Lesion.safetensors", "HepaticVessel.safetensors"}


def test_all_at_once_in_supporting_order(method, tasks):
    own = method(supporting=Supporting())
    own.announce(tasks, together=True)
    own.learn_together(tasks)
    assert set(own.learned) == set(own.updated) == {"Liver", "Kidney", "Kidney_Lesion", "HepaticVessel"}
    labels = {name: {label.name for label in state.labels} for name, state in own.learned.items()}
    assert labels["Kidney"] == {"Kidney_L", "Kidney_R"} and labels["Liver"] == {"Liver"}
    assert own.learned["HepaticVessel"].route.supporters == (own.learned["Liver"].identity,)
    records = [json.loads(path.read_text()) for path in own.shop.store.root.glob("decoder/*/unit.json")]
    data = {record["identity"]["decoder"]["name"]: record["identity"]["data"] for record in records}
    assert data == {"Liver": ["data of first", "data of third"], "Kidney": ["data of first", "data of second"],
                    "Kidney_Lesion": ["data of second"], "HepaticVessel": ["data of third"]}  # fmt: skip
    other = method("b", supporting=Supporting())
    other.learn_together([tasks[0], tasks[2], tasks[1]])
    assert other.hashes()["encoder"] == own.hashes()["encoder"]


@pytest.mark.slow
def test_who_builds_does_not_matter(method, tasks):
    pruning = lottery_ticket([50, 80], STEPS, STEPS, SGD, max_drop_dsc_points=100.0)
    parts = {"supporting": Supporting(), "pruning": pruning, "ema": 0.9, "validation_share": 0.4}
    here, elsewhere = method("local", **parts), method("joblib", launcher=JoblibLauncher(jobs=2), **parts)
    for own in (here, elsewhere):
        own.announce(tasks)
    assert learned(here, tasks) == learned(elsewhere, tasks)
    assert any(state.ticket.rate for state in elsewhere.learned.values()), "among what is compared are pruned decoders"
    assert set(elsewhere.shop.progress.done) == set(here.shop.progress.done), "what other processes did is counted"


@pytest.mark.parametrize("shared", [False, True])
def test_tuning_the_encoder(method, tasks, shared):
    own = method(encoder_tuning=EncoderTuning(method().plan.new, shared))
    first, second = learned(own, tasks[:2])
    assert (first["encoder"] != second["encoder"]) == shared and "encoder" in own.updated and first["Liver"] == second["Liver"]
    encoders = {name: state.route.encoder for name, state in own.learned.items()}
    assert (encoders["Liver"] == encoders["Kidney"]) == shared and encoders["Kidney"] == encoders["Kidney_Lesion"]
    liver = {part.name: part.identity for part in own.parts()}["Liver"]
    reached = own.archive.paths([], [own.learned["Liver"].identity])
    assert set(reached.encoders) == {encoders["Liver"]}, "what prediction loads"
    plain = method()
    learned(plain, tasks[:1])
    assert ({part.name: part.identity for part in plain.parts()}["Liver"] != liver) == shared, "its predictions change with the encoder"


def test_supporters_as_masks_bring_an_encoder_of_their_own(method, tasks, tmp_path):
    own = method(supporting=Supporting(as_masks=True))
    learned(own, tasks[:2])
    route = own.learned["Kidney_Lesion"].route
    assert route.as_masks and route.encoder != own.encoder.identity and own.archive.encoders[route.encoder].more_channels == 1
    assert own.archive.encoder(route.encoder).stages[0].conv1.conv.weight.shape[1] == 2
    own.save(tmp_path / "model")
    again = method("b", supporting=Supporting(as_masks=True))
    again.load(tmp_path / "model")
    assert again.hashes() == own.hashes() and again.archive.encoders[route.encoder].more_channels == 1


def test_without_an_average_updates_move_further(method, tasks):
    def moved(alpha):
        own = method(ema=alpha)
        learned(own, tasks[:1])
        before = own.archive.decoder(own.learned["Kidney"])[0]
        own.learn(tasks[1])
        after = own.archive.decoder(own.learned["Kidney"])[0]
        with torch.no_grad():
            return float(sum((a - b).square().sum() for a, b in zip(before.parameters(), after.parameters(), strict=True)))

    assert 0 < moved(0.99) < moved(0.5) < moved(None)


def test_parts_that_do_not_go_together_are_refused(method, tasks):
    pruning = lottery_ticket([80], STEPS, STEPS, SGD, update_step_percent=0.1)
    tuning = EncoderTuning(method().plan.new)
    for parts in ({"pruning": pruning, "ema": 0.9}, {"pruning": pruning, "validation_share": 0.4},
                  {"supporting": Supporting(as_masks=True), "encoder_tuning": tuning}):  # fmt: skip
        with pytest.raises(UsageError) as error:
            method(**parts)
        assert error.value.where and error.value.fix
    with pytest.raises(UsageError, match="from one dataset to the next"):
        method(encoder_tuning=tuning).learn_together(tasks)


def test_footprint_counts_nominally(method, tasks, monkeypatch):
    monkeypatch.setattr("clnet.learn.validate.Validation.__call__", lambda self, network: [0.5])
    pruning = lottery_ticket([80], STEPS, STEPS, SGD, max_drop_dsc_points=100.0)
    own = method(pruning=pruning, validation_share=0.4)
    learned(own, tasks[:1])
    rows, size = own.decoder_rows(), own.footprint()
    assert [row["pruning_rate_percent"] for row in rows] == pytest.approx([80, 80], abs=0.1)
    assert size.nominal_share_sum == pytest.approx(sum(row["nominal_share"] for row in rows))
    assert size.nominal_parameters_m == pytest.approx(15.65 * (1 + size.nominal_share_sum))
    assert size.sparse_bytes < size.dense_bytes == 4 * size.parameters and size.nonzero_parameters < size.parameters


def test_prediction_leaves_dead_channels_out_and_labels_stay(method, tasks, monkeypatch):
    """Whole channels of all decoders removed, also of a supporter: fewer multiply-adds, the same label maps."""
    monkeypatch.setattr("clnet.learn.validate.Validation.__call__", lambda self, network: [0.5])
    pruning = lottery_ticket([60], STEPS, STEPS, SGD, max_drop_dsc_points=100.0, choose=WholeChannels())
    own = method(pruning=pruning, validation_share=0.4, supporting=Supporting())
    learned(own, tasks[:2])
    case = tasks[1].cases[0]
    compact = {part.name: label_map for part, label_map, _ in own.predictor(own.parts())(case)}
    monkeypatch.setattr("clnet.learn.predictor.compact_paths", lambda paths: paths)
    masked = {part.name: label_map for part, label_map, _ in own.predictor(own.parts())(case)}
    assert own.learned["Kidney_Lesion"].route.supporters and compact.keys() == masked.keys()
    assert all(np.array_equal(compact[name], masked[name]) for name in masked) and any(label_map.any() for label_map in masked.values())
    size, rows = own.footprint(), own.decoder_rows()
    full = multiply_adds(own.archive.new_decoder(own.learned["Liver"].decoder, own.learned["Liver"].route),
                         *decoder_inputs(own.archive.decoder(own.learned["Liver"])[0], own.archive.shape, (8, 8, 8)))[0]  # fmt: skip
    assert {row["decoder"]: row["multiply_adds_m"] for row in rows}["Liver"] < 0.6 * full / 1e6
    assert size.decoder_multiply_adds_m == pytest.approx(sum(row["multiply_adds_m"] for row in rows)) and size.decoder_seconds > 0


def test_decoders_learn_with_threads_of_their_own(method, tasks, monkeypatch):
    own, seen = method(), {encoder: set(), decoder: set()}
    own.shop.trainer = TrainerSettings(threads=2, decoder_threads=1)
    for module, threads in seen.items():

        def noting(*args, fit=module.fit, threads=threads):
            fit(*args)
            threads.add(torch.get_num_threads())

        monkeypatch.setattr(module, "fit", noting)
    learned(own, tasks[:2])
    assert seen == {encoder: {2}, decoder: {1}} and torch.get_num_threads() == 2, "and two again for what comes after the decoders"


def test_each_job_counts_as_done_before_the_next_begins(method, tasks):
    """Jobs done on a copy of the method, as other processes do them: only what the launcher tells can reach this one's progress."""
    counted = []

    class Elsewhere:
        def run(self, jobs, progress):
            for label, job in jobs.items():
                cloudpickle.loads(cloudpickle.dumps(job))()
                progress(label, 0, len(jobs))
                counted.append(sum(name.startswith("decoder") for name in own.shop.progress.done))

    own = method(launcher=Elsewhere())
    own.announce(tasks[:1])
    own.learn(tasks[0])
    assert counted == [1, 2]
