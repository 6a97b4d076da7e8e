"""The manifest says what made a run, wherever it runs."""

import json
import sys
from types import SimpleNamespace

from clnet.types import Label, Task
from experiments import manifest


def test_manifest_is_complete_and_plain(tmp_path):
    record = manifest.collect({"seed": 3}, {"whole_body": "abc"}, [{"name": "whole_body", "test_cases": 4}])
    manifest.write(tmp_path, record)
    read = json.loads((tmp_path / "manifest.json").read_text())
    assert read["datasets"] == [{"name": "whole_body", "test_cases": 4}]
    assert read["seed"] == 3 and read["data"] == {"whole_body": "abc"} and read["command"]
    assert {"python", "torch", "numpy"} <= read["versions"].keys() and read["hardware"]["cores"] >= 1 and read["earlier"] == []


def test_earlier_calls_are_kept(tmp_path, monkeypatch):
    for number in range(3):
        monkeypatch.setattr(sys, "argv", ["run.py", f"call={number}"])
        manifest.write(tmp_path, manifest.collect({}))
    read = json.loads((tmp_path / "manifest.json").read_text())
    assert read["command"].endswith("call=2") and [call["command"][-1] for call in read["earlier"]] == ["0", "1"]


def test_without_git_or_gpu_tools_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    record = manifest.collect({})
    assert record["git"] == {"revision": None, "dirty": None} and record["hardware"]["gpus"] == []
    (tmp_path / "manifest.json").write_text("{")
    manifest.write(tmp_path, record)
    assert json.loads((tmp_path / "manifest.json").read_text())["git"]["revision"] is None


def test_datasets_are_described_by_their_cases_and_labels():
    cases = tuple(SimpleNamespace(annotated=frozenset(names)) for names in (["Eso", "Heart"], ["Eso"], []))
    chest = Task(0, "chest", (Label("Eso", ("Eso",)), Label("Heart", ("Heart",))), cases)
    lesion = Task(1, "lesion", (Label("Kidney_Lesion", ("Kidney_Lesion",)),), cases[:1])
    assert manifest.described([chest, lesion], {"lesion": 5, "chest": 2}) == [
        {"name": "chest", "training_cases": 3, "labelled_cases": 2, "test_cases": 2, "labels": ["Eso", "Heart"]},
        {"name": "lesion", "training_cases": 1, "labelled_cases": 1, "test_cases": 5, "labels": ["Kidney_Lesion"]}]
