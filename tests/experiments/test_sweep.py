"""Experiments that are many runs: which command lines they stand for, the same folders as single commands, and what happens on failure."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from clnet.errors import UsageError
from experiments import cli, overrides, reading, runfolder, sweep
from experiments.sweep import Sweep, folders, perform, sweep_of

CONF = Path(__file__).resolve().parents[2] / "conf"
EXPERIMENTS = overrides.choices(CONF, "experiment")
SWEEPS = [name for name in EXPERIMENTS if "sweep" in yaml.safe_load((CONF / f"experiment/{name}.yaml").read_text())]
UNPRUNED, PRUNED = ("experiment=a,b",), ("experiment=a", "pruning=short")


@pytest.fixture
def conf(tmp_path):
    (tmp_path / "experiment").mkdir()
    lines = ["experiment=a,b", "experiment=a pruning=short", "experiment=a method=mib,plop"]
    (tmp_path / "experiment" / "both.yaml").write_text(yaml.safe_dump({"sweep": lines}))
    (tmp_path / "experiment" / "a.yaml").write_text("name: a")
    return tmp_path


def test_a_plain_experiment_is_no_sweep(conf):
    assert sweep_of(["experiment=a"], conf) is sweep_of([], conf) is sweep_of(["experiment=absent"], conf) is None
    with pytest.raises(UsageError, match="an experiment of its own"):
        sweep_of(["-m", "experiment=a,both"], conf)


def test_what_is_typed_joins_each_line(conf):
    found = sweep_of(["-m", "experiment=both", "seed=0,1", "pruning=text"], conf)
    assert found.lines == (("experiment=a,b", "seed=0,1"), ("experiment=a", "pruning=text", "seed=0,1"),
                           ("experiment=a", "method=mib,plop", "seed=0,1"))  # fmt: skip
    assert found.samples == [["experiment=a", "seed=0,1"], ["experiment=a", "pruning=text", "seed=0,1"],
                             ["experiment=a", "method=mib", "seed=0,1"]]  # fmt: skip
    assert found.page.startswith("both__pruning-text__seed-0-1")


@pytest.mark.parametrize("methods, kept", [("plop", [("experiment=a", "method=plop")]), ("clnet", [UNPRUNED, PRUNED]),
                                           ("clnet,mib", [UNPRUNED, PRUNED, ("experiment=a", "method=mib")])])
def test_method_picks_among_the_sweeps_methods(conf, methods, kept):
    assert list(sweep_of(["experiment=both", f"method={methods}"], conf).lines) == kept
    with pytest.raises(UsageError, match="expected.*clnet, mib, plop"):
        sweep_of(["experiment=both", "method=mib,joint"], conf)


def test_a_line_that_fails_does_not_end_the_sweep_and_a_stop_does():
    three = Sweep("s", (), (("a=1",), ("a=2",), ("a=3",)))
    for codes, end, done in (([0, 0, 0], 0, 3), ([0, 3, 0], 3, 3), ([0, 75, 0], 75, 2)):
        asked = []
        assert perform(three, lambda arguments, codes=codes, asked=asked: asked.append(arguments) or codes[len(asked) - 1]) == end
        assert asked == [["-m", f"a={number}"] for number in (1, 2, 3)][:done]


def test_figure_4_is_every_method_in_every_order_and_joint_once():
    found, page = folders(sweep_of(["experiment=fig4", "seed=1"], CONF), CONF)
    names = [folder.name for folder in found]
    rivals = [[f"method={name}"] for name in ("nnunet", "finetune", "lwf", "ilt", "mib", "plop", "csclip")]
    single = [(f"order{order}", more) for order in (1, 2, 3, 4) for more in ([], ["pruning=short"], *rivals)]
    assert len(names) == 4 * 9 + 1 and page == Path("outputs/pages/fig4__seed-1")
    assert set(names) == {runfolder.name_of(name, [*more, "seed=1"]) for name, more in [*single, ("universal5", ["method=joint"])]}


def test_a_run_has_one_name_however_its_values_are_written():
    cfg = {"paths": {"run": None, "runs": "runs"}, "run": None, "name": "a"}
    typed, swept = ["k=1e-3", "l={x: [1, 2]}", "~experiment"], ["k=0.001", "l={x:[1,2]}", "~experiment"]
    assert runfolder.place_of(cfg, typed) == runfolder.place_of(cfg, swept) != runfolder.place_of(cfg, ["k=0.002", *swept[1:]])
    assert runfolder.place_of(cfg, ["method=mib", "lr=0.03"]) == Path("runs/a__lr-0.03__method-mib")


@pytest.mark.parametrize("name", SWEEPS)
def test_every_run_of_a_sweep_is_a_command_that_is_accepted(name, tmp_path):
    asked = cli.check([f"experiment={name}", f"data.root={tmp_path}"], CONF)
    assert asked.name == name and asked.lines
    methods = {method for line in asked.lines for word in line if word.startswith("method=") for method in word[7:].split(",")}
    assert methods <= set(overrides.choices(CONF, "method"))
    for line in asked.lines:
        for word in line:
            key, _, values = word.partition("=")
            if key in overrides.groups(CONF):
                assert set(values.split(",")) <= set(overrides.choices(CONF, key)), word


def test_the_end_is_the_page_or_the_comparison_or_the_table_of_tuning(tmp_path):
    made = {}
    analyses = SimpleNamespace(**{name: lambda *given, name=name: made.update({name: given}) for name in ("book", "compare", "tuning")})
    runs = [tmp_path / name for name in ("one", "two")]
    for run in runs:
        run.mkdir()
        (run / "config.yaml").write_text(json.dumps({"seed": run.name}))
    reading.finish(runs, tmp_path / "out", analyses, False)
    assert made == {"book": (runs, tmp_path / "out")}
    reading.finish(runs, tmp_path / "out", analyses, True)
    assert made["compare"] == (runs, tmp_path / "out", {"seed": ["one", "two"]})
    for run in runs:
        (run / "validation_scores.csv").touch()
    reading.finish(runs, tmp_path / "out", analyses, True)
    assert made["tuning"] == (runs, {"seed": ["one", "two"]}, tmp_path / "out")


def test_the_last_line_says_how_many_runs_are_there_and_how_long_the_command_took(tmp_path, monkeypatch, capsys):
    words = ("experiment=table_s9", f"paths.outputs={tmp_path}", "seed=0,1")
    asked = Sweep("table_s9", words, (words,))
    done = folders(asked, CONF)[0][0]
    done.mkdir(parents=True)
    (done / "status.json").write_text(json.dumps({"state": "finished"}))
    ticks = iter([100.0, 100.0 + 3725.0])
    monkeypatch.setattr(cli, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    monkeypatch.setattr(sys, "argv", ["run.py"])
    assert cli.perform(asked, lambda: None, CONF, SimpleNamespace(book=lambda *given: None)) == 0
    assert f"table_s9: 1 of 2 runs are finished, after 1:02:05; {cli.AGAIN}\n" in capsys.readouterr().out


def test_plan_says_what_would_be_done(tmp_path, capsys):
    cfg = {"paths": {"run": str(tmp_path / "order1__method-mib")}}
    reading.plan(cfg, ["experiment=order1", "method=mib", "task=plan"], None)
    assert capsys.readouterr().out == f"not run  {tmp_path}/order1__method-mib    python run.py experiment=order1 method=mib\n"


@pytest.mark.parametrize("more, compared", [({}, False), ({"sweep_page": "compare"}, True)])
def test_an_experiment_says_what_its_runs_come_to(conf, more, compared):
    (conf / "experiment" / "both.yaml").write_text(yaml.safe_dump({"sweep": ["experiment=a seed=0,1"], **more}))
    assert sweep_of(["experiment=both"], conf).compared is compared


def test_the_default_method_is_the_configurations():
    defaults = yaml.safe_load((CONF / "config.yaml").read_text())["defaults"]
    assert {"method": sweep.METHOD} in defaults
