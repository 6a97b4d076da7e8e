"""How runs stand, from folders that are running, finished, stopped, failed, killed, old or damaged."""

import json
import os
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from filelock import FileLock

from clnet.errors import DataError
from experiments import results, status

CFG = {"name": "order1", "seed": 3, "order": {"steps": ["a", "b", "c"]}, "scenario": {"_target_": "experiments.scenario.continual"}}
STEP = dict.fromkeys(results.FOOTPRINT, 1) | {"experiment": "e", "order": "O1", "method": "m", "trained_on": "a"}


@pytest.fixture
def make(tmp_path):
    def make(name, noted, steps=0, **changes):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.yaml").write_text(yaml.safe_dump(CFG | changes))
        (folder / "status.json").write_text(json.dumps(noted))
        if steps:
            results.write_footprint(folder, [STEP | {"step": step} for step in range(steps)])
        return folder

    return make


def progress(share, seconds_left, minutes_ago=0.0):
    at = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    return {"share": share, "seconds_left": seconds_left, "work": "x", "at": at.strftime("%Y-%m-%dT%H:%M:%SZ")}



def cells(text, name):
    header, *lines = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in text.splitlines()]
    return next(dict(zip(header, line, strict=True)) for line in lines if line[0] == name)


def test_every_state_has_its_row(make):
    running = make("running", {"state": "running", "pid": os.getpid(), "started": "2026-01-05", "progress": progress(0.5, 300, 1)}, steps=1)
    folders = [
        running,
        make("done", {"state": "finished", "started": "2026-01-02", "ended": "2026-01-03"}, steps=3),
        make("stopped", {"state": "stopped", "started": "2026-01-03", "ended": "2026-01-04", "message": "SIGTERM",
                         "progress": progress(0.7, 9)}, steps=2),
        make("failed", {"state": "failed", "started": "2026-01-04", "ended": "2026-01-04", "message": "bad volume\n  where: x"}),
        make("killed", {"state": "running", "pid": 1, "started": "2026-01-01"}),
    ]
    with FileLock(running / ".lock"):
        text = status.overview(folders, lambda folder: {"done": 0.8264}[folder.name])
        one = status.describe(running)
    assert [line.split()[0] for line in text.splitlines()] == ["run", "killed", "done", "stopped", "failed", "running", "stopped:",
                                                               "failed:"]
    assert text.splitlines()[-2:] == ["stopped: SIGTERM", "failed: bad volume"]
    dash = "\N{EN DASH}"
    assert cells(text, "done") == {"run": "done", "state": "finished", "steps": "3/3", "done": "100 %", "left": dash, "seed": "3",
                                   "mean DSC": "0.826", "ended": "2026-01-03"}
    assert cells(text, "stopped").items() >= {"state": "stopped", "steps": "2/3", "done": "70 %", "left": dash, "mean DSC": dash}.items()
    assert cells(text, "killed").items() >= {"state": "killed", "steps": "0/3", "done": dash, "ended": dash}.items()
    found = cells(text, "running")
    assert found.items() >= {"state": "running", "steps": "1/3", "done": "50 %", "ended": dash}.items()
    assert found["left"] in ("03:59", "04:00", "03:58") and "steps 1/3, 50 % done, time left 03:5" in one


def test_a_run_that_left_no_progress_and_one_whose_estimate_has_passed(make):
    old = make("old", {"state": "running", "pid": 1, "started": "2026-01-01"})
    late = make("late", {"state": "running", "pid": 1, "started": "2026-01-02", "progress": progress(0.9, 30, 5)})
    with FileLock(old / ".lock"), FileLock(late / ".lock"):
        text = status.overview([old, late], lambda folder: 0.5)
    dash = "\N{EN DASH}"
    assert cells(text, "old").items() >= {"state": "running", "done": dash, "left": dash, "mean DSC": dash}.items()
    assert cells(text, "late").items() >= {"done": "90 %", "left": dash}.items()


def test_all_datasets_together_are_one_step(make):
    folder = make("together", {"state": "finished"}, 1, scenario={"_target_": "experiments.scenario.universal"})
    assert cells(status.overview([folder], lambda folder: 0.5), "together")["steps"] == "1/1"


def test_a_damaged_folder_spoils_no_table(make):
    def unreadable(folder):
        raise DataError("a results table lacks columns")

    configuration = make("configuration", {"state": "finished"})
    (configuration / "config.yaml").write_text("{")
    unknown = make("unknown", {})
    (unknown / "status.json").write_text("[")
    text = status.overview([configuration, unknown, make("tables", {"state": "finished"}, steps=3)], unreadable)
    dash = "\N{EN DASH}"
    assert cells(text, "configuration").items() >= {"state": "finished", "steps": dash, "seed": dash, "mean DSC": dash}.items()
    assert cells(text, "unknown")["state"] == "unknown" and cells(text, "tables").items() >= {"steps": "3/3", "mean DSC": dash}.items()
