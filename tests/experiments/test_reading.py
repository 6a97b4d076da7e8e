"""Which folders `runs=` means, in what they differ, and what each task that only reads them does with them."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from clnet.errors import UsageError
from experiments import reading
from experiments.differences import differences
from experiments.runlist import chosen
from experiments.status import overview

CFG = {"name": "order1", "seed": 0, "pruning": None, "order": {"steps": ["a"]}, "scenario": {"_target_": "experiments.scenario.continual"},
       "paths": {"outputs": "outputs"}, "trainer": {"workers": 0}}


@pytest.fixture
def place(tmp_path):
    for name, state, changes in (("order1", "finished", {}), ("order1__seed-1", "finished", {"seed": 1}), ("order2", "stopped", {})):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(yaml.safe_dump(CFG | changes))
        (tmp_path / name / "status.json").write_text(json.dumps({"state": state}))
    (tmp_path / "empty").mkdir()
    return tmp_path


def names(folders):
    return [folder.name for folder in folders]


def test_paths_names_and_patterns(place, monkeypatch):
    assert names(chosen(None, place)) == ["order1", "order1__seed-1", "order2"]
    assert chosen([str(place / "order2"), "order1"], place) == [place / "order2", place / "order1"]
    assert names(chosen([f"{place}/*", "order1"], place)) == ["order1", "order1__seed-1", "order2"]
    assert names(chosen("order?", place)) == ["order1", "order2"]
    assert names(chosen("*", place, finished=True)) == ["order1", "order1__seed-1"]
    assert names(chosen("order2", place, finished=True)) == ["order2"]  # named, so it is meant
    monkeypatch.chdir(place)
    assert chosen(["order1"], place / "elsewhere") == [Path("order1")]
    assert chosen(None, place / "elsewhere") == []


@pytest.mark.parametrize("runs, told", [("ordr1", "order1, order1__seed-1, order2"), ("empty", "not a run folder"), ("x*", "runs=x*")])
def test_what_is_no_run_folder_is_refused(place, runs, told):
    with pytest.raises(UsageError) as caught:
        chosen([runs], place)
    assert told in str(caught.value)


def test_differences_are_those_that_numbers_depend_on():
    first = {"seed": 0, "paths": {"runs": "a"}, "trainer": {"workers": 0}, "ema": {"decay": 0.9, "on": True},
             "data": {"datasets": {"a": {"labels": {"x": 1, "y": 2}, "root": "/a"}}}, "steps": ["a", "b"], "same": 1}
    second = {"seed": 1, "paths": {"runs": "b"}, "trainer": {"workers": 4}, "ema": None,
              "data": {"datasets": {"b": {"labels": {"x": 1}, "root": "/b"}}}, "steps": ["b"], "same": 1.0}
    assert differences([first, second]) == {
        "seed": ["0", "1"], "ema": ["2 settings", "null"], "data.datasets.a": ["2 settings", "absent"],
        "data.datasets.b": ["absent", "1 setting"], "steps": ['["a", "b"]', '["b"]']}
    third = second | {"ema": {"decay": 0.8, "on": True}}
    assert differences([first, third])["ema.decay"] == ["0.9", "0.8"]
    assert differences([first, third, {**third, "seed": 0, "ema": None}])["seed"] == ["0", "1", "0"]
    assert differences([first]) == differences([first, first]) == {}


@pytest.fixture
def did():
    """What was asked of `analysis`, by name."""
    asked: dict[str, tuple] = {}
    return SimpleNamespace(asked=asked, analyses=reading.Analyses(
        **{name: (lambda *given, name=name: asked.update({name: given})) for name in ("report", "book", "compare", "tuning", "claims")},
        final_dsc=lambda folder: 0.75))


def cfg(place, **changes):
    return {"run": None, "runs": None, "output": None, "paths": {"runs": str(place), "run": str(place / "order1")}} | changes


def test_report_is_of_one_run_or_of_several(place, did):
    reading.report(cfg(place), [], did.analyses)
    assert did.asked == {"report": (place / "order1",)}
    reading.report(cfg(place, runs=["*"], output="out"), [], did.analyses)
    assert did.asked["book"] == ([place / "order1", place / "order1__seed-1"], Path("out"))
    with pytest.raises(UsageError, match="not a run folder"):
        reading.report(cfg(place, paths={"runs": str(place), "run": str(place / "none")}), [], did.analyses)


def test_compare_gets_the_differences_in_the_order_of_the_folders(place, did):
    reading.compare(cfg(place, runs=["order1__seed-1", "order1"], output="out"), [], did.analyses)
    assert did.asked["compare"] == ([place / "order1__seed-1", place / "order1"], Path("out"), {"seed": ["1", "0"]})


def test_validation_runs_are_for_tuning_alone(place, did):
    (place / "order1" / "validation_scores.csv").touch()
    reading.report(cfg(place, runs=["*"], output="out"), [], did.analyses)
    reading.tuning(cfg(place), [], did.analyses)
    assert did.asked["book"] == ([place / "order1__seed-1"], Path("out"))
    assert did.asked["tuning"] == ([place / "order1"], {}, None)
    with pytest.raises(UsageError, match="no finished run folder with scores of test cases"):
        reading.compare(cfg(place, runs=["order?"], output="out"), [], did.analyses)
    (place / "order1" / "config.yaml").write_text(yaml.safe_dump(CFG | {"scored_cases": "validation"}))
    assert "0.750 (validation)" in overview([place / "order1"], did.analyses.final_dsc)


def test_claims_gets_the_place_of_all_runs(place, did):
    reading.claims(cfg(place), [], did.analyses)
    assert did.asked["claims"] == (place,)


@pytest.mark.parametrize("typed, many", [([], True), (["paths.outputs=x", "task=status"], True), (["seed=1"], False),
                                         (["experiment=order1"], False)])
def test_status_is_of_all_unless_the_command_names_one(place, did, capsys, typed, many):
    reading.status(cfg(place), typed, did.analyses)
    told = capsys.readouterr().out
    assert (len(told.splitlines()) == 4 and "0.750" in told) if many else told.startswith(f"{place / 'order1'}: finished")


def test_status_of_the_runs_named(place, did, capsys):
    reading.status(cfg(place, runs=["order2"]), ["runs=[order2]"], did.analyses)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["run", "order2"]
    reading.status(cfg(place / "none"), [], did.analyses)
    assert capsys.readouterr().out == f"no run in {place / 'none'} yet\n"
