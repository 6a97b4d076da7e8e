"""The same command finds its folder, another configuration or a second process is refused, and the end of a run is on record."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from clnet.errors import DataError, HostError, UsageError
from clnet.stop import Stopped
from experiments import runfolder, status

CFG = {"name": "order1", "seed": 0, "resume": "auto", "encoder": {"lr": 1e-05, "steps": [1, 2]}, "data": {"root": "/a"},
       "scale": {"network": {"width": 8}, "training": {"later": {"lr": 0.1}}},
       "paths": {"outputs": "outputs"}, "trainer": {"workers": 0, "precision": "32-true"}, "logger": {"wandb": None}}


def changed(**changes):
    cfg = json.loads(json.dumps(CFG))
    for key, value in changes.items():
        group, _, name = key.partition("__")
        if name:
            cfg[group][name] = value
        else:
            cfg[group] = value
    return cfg


def test_name_tells_what_was_changed_and_nothing_else():
    assert runfolder.name_of("order1", []) == "order1"
    assert runfolder.name_of("order1", ["seed=3", "experiment=order1", "logger=wandb", "trainer.workers=2"]) == "order1__seed-3"
    assert runfolder.name_of("a", ["seed=3", "data=x"]) == runfolder.name_of("a", ["data=x", "seed=3"]) == "a__data-x__seed-3"
    assert runfolder.name_of("a", ["data.root=/b", "paths.outputs=c", "task=report", "resume=must", "hydra.verbose=true"]) == "a"
    assert runfolder.name_of("a", ["trainer=gpu"]) == "a__trainer-gpu"  # it changes the precision


def test_name_is_safe_and_still_unique():
    names = {runfolder.name_of("a", [f"order.steps=[x,{value}]"]) for value in ("y", "z", "y/..", "ü")}
    assert len(names) == 4 and all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789._=,-") for name in names)
    long = {runfolder.name_of("a", [f"key{number}={'v' * 50}" for number in range(count)]) for count in (5, 6)}
    assert len(long) == 2 and max(map(len, long)) < 120
    assert "/" not in runfolder.name_of("../../etc", []) and not runfolder.name_of("../x", []).startswith(".")


def test_configuration_and_end_are_recorded(tmp_path):
    with runfolder.claim(tmp_path / "run", CFG) as folder:
        noted = json.loads((folder / "status.json").read_text())
        assert noted["state"] == "running" and noted["pid"] == os.getpid()
    assert yaml.safe_load((folder / "config.yaml").read_text()) == CFG == runfolder.load(folder)
    assert json.loads((folder / "status.json").read_text())["state"] == "finished" and "finished" in status.describe(folder)


@pytest.mark.parametrize("error, state, message", [
    (DataError("bad volume", where="case_3"), "failed", "case_3"),
    (RuntimeError(), "failed", "RuntimeError"),
    (Stopped("SIGTERM"), "stopped", "SIGTERM"),
    (KeyboardInterrupt(), "stopped", "interrupted"),
])
def test_failure_is_recorded_and_the_run_can_continue(tmp_path, error, state, message):
    with pytest.raises(type(error)), runfolder.claim(tmp_path, CFG):
        raise error
    noted = json.loads((tmp_path / "status.json").read_text())
    assert noted["state"] == state and message in noted["message"] and message in status.describe(tmp_path)
    with runfolder.claim(tmp_path, CFG):
        pass


def test_another_configuration_is_refused_with_the_keys_that_differ(tmp_path):
    with runfolder.claim(tmp_path, CFG):
        pass
    with pytest.raises(UsageError) as caught, runfolder.claim(tmp_path, changed(seed=1, encoder__lr=1e-4)):
        pytest.fail("claimed")
    assert "seed: 0 -> 1" in str(caught.value) and "encoder.lr: 1e-05 -> 0.0001" in str(caught.value) and "steps" not in str(caught.value)
    assert runfolder.load(tmp_path) == CFG and json.loads((tmp_path / "status.json").read_text())["state"] == "finished"


@pytest.mark.parametrize("change", [{"trainer__workers": 4}, {"data__root": "/elsewhere"}, {"logger": {"wandb": {"mode": "online"}}},
                                    {"scale__training": {"later": {"lr": 0.2}, "new": 1}},
                                    {"paths": {"outputs": "there"}}, {"resume": "must"}, {"task": "report"}])
def test_what_changes_no_number_may_change(tmp_path, change):
    with runfolder.claim(tmp_path, CFG):
        pass
    with runfolder.claim(tmp_path, changed(**change)):
        pass


def test_what_the_code_reads_of_the_scale_counts():
    code = "\n".join(file.read_text() for file in Path(runfolder.__file__).parent.glob("*.py"))
    read = set(re.findall(r"""scale(?:"\])?\["(\w+)"\]""", code))
    assert {"recipe", "windows"} <= read
    assert {f"scale.{name}.x" for name in read} <= set(runfolder.semantic({"scale": {name: {"x": 1} for name in read}}))


@pytest.mark.parametrize("change", [{"trainer__precision": "16-mixed"}, {"encoder__steps": [1]}, {"scale__network": {"width": 4}},
                                    {"new": 1}])
def test_what_changes_numbers_may_not_change(tmp_path, change):
    with runfolder.claim(tmp_path, CFG):
        pass
    with pytest.raises(UsageError), runfolder.claim(tmp_path, changed(**change)):
        pass


def test_a_second_process_is_refused_and_told_who_holds_it(tmp_path):
    script = ("import sys\nfrom experiments import runfolder\n"
              "with runfolder.claim(sys.argv[1], {'name': 'a'}):\n    print('held', flush=True)\n    sys.stdin.read()\n")
    holder = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(UsageError, match=f"pid {holder.pid} "), runfolder.claim(tmp_path, {"name": "a"}):
        pytest.fail("claimed")
    assert "running" in status.describe(tmp_path)
    holder.kill()
    holder.communicate()
    assert "killed; the same command continues it" in status.describe(tmp_path)
    with runfolder.claim(tmp_path, {"name": "a"}):
        pass


def test_resume_must_needs_a_run(tmp_path):
    with pytest.raises(UsageError, match="no run to resume"), runfolder.claim(tmp_path / "new", changed(resume="must")):
        pass
    assert not (tmp_path / "new").exists()


def test_other_ranks_touch_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    with runfolder.claim(tmp_path / "run", CFG) as folder:
        assert not folder.exists()


def test_what_is_no_run_folder_names_those_beside_it(tmp_path):
    with runfolder.claim(tmp_path / "order1", CFG):
        pass
    with pytest.raises(UsageError, match="order1"):
        runfolder.load(tmp_path / "ordr1")


def test_damaged_configuration_is_named(tmp_path):
    (tmp_path / "config.yaml").write_text("{")
    with pytest.raises(DataError, match="config.yaml"), runfolder.claim(tmp_path, CFG):
        pass


def test_full_disk_while_recording_does_not_hide_the_failure(tmp_path, monkeypatch):
    def full(path, value):
        raise HostError("no space left")

    with pytest.raises(ZeroDivisionError) as caught, runfolder.claim(tmp_path, CFG):
        monkeypatch.setattr(runfolder, "write_json", full)
        1 / 0  # noqa: B018
    assert "no space left" in caught.value.__notes__[0]


def test_progress_is_kept_beside_the_state_and_after_a_failure(tmp_path):
    with pytest.raises(ZeroDivisionError), runfolder.claim(tmp_path, CFG):
        runfolder.progress_note(tmp_path)(0.25, 61.4, "decoder Liver")
        noted = runfolder.read_status(tmp_path)
        assert noted["state"] == "running" and noted["pid"] == os.getpid()
        assert noted["progress"].items() >= {"share": 0.25, "seconds_left": 61, "work": "decoder Liver"}.items()
        1 / 0  # noqa: B018
    noted = runfolder.read_status(tmp_path)
    assert noted["state"] == "failed" and noted["progress"]["share"] == 0.25
    with runfolder.claim(tmp_path, CFG):
        runfolder.progress_note(tmp_path)(0.5, float("nan"), "x")
        assert runfolder.read_status(tmp_path)["progress"]["seconds_left"] is None
    assert "progress" not in runfolder.read_status(tmp_path)


def test_progress_that_cannot_be_written_ends_no_run(tmp_path, monkeypatch):
    def full(path, value):
        raise HostError("no space left")

    runfolder.progress_note(tmp_path / "gone")(0.5, 1.0, "x")
    with runfolder.claim(tmp_path, CFG), monkeypatch.context() as patch:
        patch.setattr(runfolder, "write_json", full)
        runfolder.progress_note(tmp_path)(0.5, 1.0, "x")
    assert runfolder.read_status(tmp_path)["state"] == "finished"


def test_progress_is_not_written_into_the_run_of_another_process(tmp_path):
    (tmp_path / "status.json").write_text(json.dumps({"state": "finished", "pid": os.getpid() + 1}))
    runfolder.progress_note(tmp_path)(0.5, 1.0, "x")
    assert json.loads((tmp_path / "status.json").read_text()) == {"state": "finished", "pid": os.getpid() + 1}
