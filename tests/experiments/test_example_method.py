"""The method of docs/extend.md, kept outside the project: found by --config-dir, run to its tables, and it does what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file

from clnet.errors import UsageError
from experiments import cli, results

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
FILES = [EXAMPLES / "l2_anchor.py", EXAMPLES / "method" / "l2_anchor.yaml"]
QUICK = [f"scale.training.{lesson}.{key}={value}" for lesson in ("first", "later")
         for key, value in (("epochs", 1), ("steps_per_epoch", 4))]  # fmt: skip


def test_file_and_yaml_are_short_and_the_page_names_them():
    assert sum(len(file.read_text().splitlines()) for file in FILES) < 60
    page = (EXAMPLES.parent / "extend.md").read_text()
    assert all(f"docs/examples/{file.relative_to(EXAMPLES)}" in page for file in FILES)


def test_it_runs_and_a_strong_anchor_holds_the_weights(first_run, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))

    def weights(*own: str) -> dict:
        done = first_run.here("method=l2_anchor", *own, *QUICK, *first_run.sharing(tmp_path), "--config-dir", str(EXAMPLES))
        assert done.code == 0, done.err
        rows = results.read(done.folder / "scores.csv")
        assert rows and {row["method"] for row in rows} == {"l2_anchor"}
        return load_file(done.folder / "model" / "network.safetensors")

    before = weights("order.steps=[chest]")
    shared = [name for name, value in before.items() if not name.startswith("decoder.heads.")]
    moved = [sum(float((after[name] - before[name]).square().sum()) for name in shared)
             for after in (weights(f"method.strength={strength}") for strength in (0.0, 100.0))]  # fmt: skip
    assert 0 < moved[1] < moved[0] / 2


def test_a_sweep_with_a_folder_of_ones_own_is_told_how():
    with pytest.raises(UsageError, match="task=plan"):
        cli.check(["experiment=fig4", "--config-dir", str(EXAMPLES)], EXAMPLES.parents[1] / "conf")
