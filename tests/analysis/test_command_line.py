"""Several runs through `run.py` and `python -m analysis`: where the page lies, and what the terminal is told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from analysis import tasks
from analysis.__main__ import main
from analysis.comparison_settings import for_terminal, settings_table
from analysis.groups import read_groups


@pytest.fixture
def folders(run_with, scores_of):
    return [run_with(scores_of(0.05, seed=seed).assign(seed=seed), name=f"runs/order1__seed-{seed}") for seed in (0, 1)] + [
        run_with(scores_of(0.01).assign(experiment="order2"), name="runs/order2")]


@pytest.fixture
def book(monkeypatch):
    """A stand-in for what makes the paper's tables and figures."""
    asked = []
    monkeypatch.setitem(sys.modules, "analysis.book", double := SimpleNamespace(
        build=lambda folders, output, names=None: asked.append((folders, output, names)) or Path(output) / "book.html"))
    monkeypatch.setattr("analysis.book", double, raising=False)
    return asked


def test_the_book_is_named_where_it_lies(book, folders, tmp_path, capsys):
    output = tmp_path / "out"
    assert main(["book", *map(str, folders), "--output", str(output)]) == 0
    assert capsys.readouterr().out == f"book: {output / 'book.html'}\n"
    tasks.book(folders, output)
    assert capsys.readouterr().out == f"book: {output / 'book.html'}\n" and book == [(folders, output, None)] * 2


def test_settings_stand_in_the_comparison_and_on_the_terminal(folders, tmp_path, capsys):
    differences = {"seed": ["0", "1", "0"], "order.steps": ["x" * 60] * 2 + ["short"]}
    tasks.compare(folders, tmp_path / "out", differences)
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1] == f"comparison: {tmp_path / 'out' / 'comparison.html'}" and "Settings in which" in printed
    table = settings_table(read_groups(folders), folders, differences)
    assert table.header == ("setting", "order1", "order2") and table.rows[0] == ("seed", "0, 1", "0")
    assert len(table.rows[1][1]) == 48 and table.data.loc[1, "order1"] == "x" * 60
    page = (tmp_path / "out" / "comparison.html").read_text()
    assert page.index("Settings in which") < page.index("Comparison after") and (tmp_path / "out/tables/comparison_settings.csv").exists()


def test_without_differences_that_is_said_and_many_are_cut_on_the_terminal(folders):
    groups = read_groups(folders)
    assert "do not differ" in settings_table(groups, folders, {}).notes[0]
    many = settings_table(groups, folders, {f"key{index}": ["a", "a", "b"] for index in range(33)})
    assert len(for_terminal(many).rows) == 30 and for_terminal(many).notes[-1].startswith("3 more") and len(many.rows) == 33


def test_one_command_compares_what_was_asked_for_and_what_came_out(folders, tmp_path):
    for folder, seed in zip(folders, (0, 1, 0)):
        ema = None if folder == folders[2] else {"a": 1}
        (folder / "config.yaml").write_text(yaml.safe_dump({"seed": seed, "name": folder.name, "ema": ema}))
    done = subprocess.run([sys.executable, "run.py", "task=compare", f"runs={folders[0]},{folders[2]}", f"output={tmp_path / 'out'}"],
                          capture_output=True, text=True, cwd=Path(tasks.__file__).parents[1])
    assert done.returncode == 0, done.stderr
    printed = done.stdout.splitlines()
    assert [line.split() for line in printed if line.startswith("ema")] == [["ema", "1", "setting", "null"]]
    assert not [line for line in printed if line.startswith("seed ")]
