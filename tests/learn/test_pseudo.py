"""Datasets that label each other: what is asked of whom, what is on record, and that one encoder comes out."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from clnet.data.completed import Found
from clnet.data.prepare import Recipe, prepare_dataset
from clnet.data.store import PreparedCase
from clnet.errors import UsageError
from clnet.learn import pseudo
from clnet.learn.encoder import Supervised
from clnet.learn.general import EncoderPlan
from clnet.learn.plan import Lesson
from clnet.learn.pseudo import OnPreparedGrid, PseudoLabelled, missing_labels
from clnet.types import Label, Task


def test_only_what_a_dataset_says_nothing_about_is_asked_of_others(tasks):
    assert [label.name for label in missing_labels(tasks[0], tasks[1])] == ["Kidney_R", "Kidney_Lesion"]
    union = Label("Kidney", ("Kidney_L", "Kidney_R"), (1,))
    assert missing_labels(replace(tasks[0], labels=(union,)), tasks[1]) == tasks[1].labels[2:], "not a part of a union"


def test_a_single_dataset_lacks_nothing(method, tasks, stage):
    with pytest.raises(UsageError, match="several datasets") as error:
        method(encoder=EncoderPlan({"p": stage})).announce(tasks)
    assert error.value.fix and error.value.where == "encoder.datasets"


@pytest.fixture
def stage(tiny) -> PseudoLabelled:
    training = replace(tiny.module(tiny.sgd()).settings, warm_up_epochs=0, epochs=1)
    lesson = Lesson(replace(tiny.SAMPLING, decoders_per_step=None), training)
    return PseudoLabelled(Supervised(lesson, hand_over=True, undivided=True), Supervised(replace(lesson, joint=True)))


@pytest.fixture
def patients(make_dataset, tmp_path) -> list[Task]:
    """Two datasets of the same patients' kind: one annotates the liver, the other one spleen and stomach."""
    made = []
    for step, names in enumerate((("Liver",), ("Spleen", "Stomach"))):
        values = {"Liver": 1, "Spleen": 2, "Stomach": 3}
        labels = {name: value for name, value in values.items() if name in names}
        others = {f"other {value}": value for value in (1, 2, 3, 4) if value not in labels.values()}
        spec = make_dataset(tmp_path / f"raw{step}", train=3, name=f"d{step}", labels=labels, dropped=others)
        cases = prepare_dataset(spec, "train", Recipe((3.0, 3.0, 3.0)), tmp_path / f"prepared{step}", 0)
        made.append(Task(step, spec.name, spec.labels, tuple(cases), f"data {step}"))
    return made


def test_every_case_has_every_label_in_the_end(method, tasks, patients, stage, monkeypatch):
    """Models of two steps find nothing, so they are given something to find."""

    def found(shop, archive, case, model, labels, source):
        mask = np.zeros(case.shape_zyx, bool)
        mask[2:5, 2:5, 2:5] = True
        return {label.name: Found(mask, 0.5, source) for label in labels}

    monkeypatch.setattr(pseudo, "_found", found)
    plan = EncoderPlan({"p": stage})
    own = method(encoder=plan)
    own.shop.settings["encoder"] = {"stages": {"p": {"labeller": "a", "student": "b"}}}
    own.sources = tuple(patients)
    own.announce(tasks[:1])
    own.learn(tasks[0])
    folders = [path.parent for path in own.shop.store.root.glob("completed/*/unit.json")]
    manifests = [json.loads((folder / "manifest.json").read_text()) for folder in folders]
    who = {name: {entry["source"] for manifest in manifests for case in manifest.values() for entry in [case[name]]}
           for name in ("Liver", "Spleen", "Stomach")}  # fmt: skip
    assert who == {"Liver": {"annotation", "d0"}, "Spleen": {"annotation", "d1"}, "Stomach": {"annotation", "d1"}}
    units = [json.loads(path.read_text())["identity"] for path in own.shop.store.root.glob("encoder/*/unit.json")]
    assert len(units) == 3 and own.encoder.file.is_file(), "two models and the student"
    assert sorted(len(unit["decoders"]) for unit in units) == [1, 1, 3], "a model has one decoder of all its labels"


def test_scans_whose_labels_are_hidden_are_left_out(method, tasks, patients, stage, monkeypatch):
    monkeypatch.setattr(pseudo, "_found", lambda shop, archive, case, model, labels, source: {
        label.name: Found(np.ones(case.shape_zyx, bool), 0.5, source) for label in labels})  # fmt: skip
    hidden = [replace(task, cases=(PreparedCase(task.cases[0].folder, {**task.cases[0].record, "annotated": []}), *task.cases[1:]))
              for task in patients]  # fmt: skip
    own = method(encoder=EncoderPlan({"p": stage}))
    own.shop.settings["encoder"] = {"stages": {"p": {"labeller": "a", "student": "b"}}}
    own.sources = tuple(hidden)
    own.learn(tasks[0])
    manifests = [json.loads(path.read_text()) for path in own.shop.store.root.glob("completed/*/manifest.json")]
    kept = {case for manifest in manifests for case in manifest}
    assert kept and not kept & {task.cases[0].case for task in patients}


@pytest.mark.parametrize("undivided", [True, False])
def test_models_answer_on_the_prepared_grid(method, tasks, patients, stage, undivided):
    own = method(encoder=EncoderPlan({"s": replace(stage.labeller, undivided=undivided)}))
    own.sources = tuple(patients[1:])
    built = own.encoder_plan.build(own.shop, own.archive, own.registry.decoders.values(), patients[1:])
    for decoder in built.decoders.values():
        own.archive.add(decoder)
    assert len(built.decoders) == (1 if undivided else 2)
    case = patients[0].cases[0]
    found = pseudo._found(own.shop, own.archive, case, built.decoders, patients[1].labels[:1], "d1")
    assert set(found) == {"Spleen"} and found["Spleen"].mask.shape == case.shape_zyx and 0 <= found["Spleen"].confidence <= 1
    assert OnPreparedGrid(case).geometry.shape_zyx == case.shape_zyx != case.geometry.shape_zyx
