"""The benchmark's page: its structure, where its links lead, and what it says when something is missing."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from analysis import book, exhibits
from analysis.aggregate import final_mean
from analysis.exhibit import Exhibit, Made, Picture
from analysis.figures import forgetting_curves
from analysis.render import DASH, Table, number
from clnet.errors import UsageError

mpl.use("Agg")

COMMAND = "python run.py -m experiment=order1,order2"


def make_first(groups):
    """A table whose rows bear the names of runs, and a figure where there are any."""
    rows = (("paper", "0.926"), *((group.name, number(final_mean(group.scores)["dsc"])) for group in groups))
    pictures = (Picture(forgetting_curves({groups[0].name: groups[0].scores}), "table_1", "a figure"),) if groups else ()
    return Made((Table("table_1", "Table 1: first", ("results", "DSC"), rows, pd.DataFrame(rows)),), pictures)


def make_second(groups):
    """A table that nothing fills."""
    return Made((Table("table_s2", "second", ("results", "DSC"), (("paper", "0.5"), ("ours", DASH)), pd.DataFrame()),),
                missing=("no run of order2",), runs=())


FIRST, SECOND = Exhibit("Table 1", "first", (COMMAND,), make_first), Exhibit("Table S2", "second", (COMMAND,), make_second)


@pytest.fixture(autouse=True)
def two_exhibits(monkeypatch):
    """Two exhibits in the place of the paper's."""
    monkeypatch.setattr(exhibits, "ALL", (FIRST, SECOND), raising=False)


@pytest.fixture
def finished(merged_folder):
    """A finished, pruned run."""
    folder = merged_folder.rename(merged_folder.with_name("order1 a"))
    (folder / "status.json").write_text(json.dumps({"state": "finished"}))
    return folder


def section(html: str, identifier: str) -> str:
    return re.search(rf"<section id={identifier}>.*?</section>", html, re.DOTALL)[0]


def test_everything_is_one_click_away_and_every_link_leads_somewhere(finished, tmp_path):
    page = book.build([finished], tmp_path / "deep" / "out")
    html = page.read_text()
    assert page == tmp_path / "deep" / "out" / "index.html"
    identifiers = set(re.findall(r" id=['\"]?([\w-]+)", html))
    addresses = re.findall(r"href=['\"]?([^'\" >]+)", html)
    assert {address[1:] for address in addresses if address.startswith("#")} <= identifiers
    assert {"table-1", "table-s2", "run-order1-a", "what-was-run", "statistics", "test-cases", "what-stayed-frozen"} <= identifiers
    outside = [address for address in addresses if not address.startswith("#")]
    assert "../../order1%20a/manifest.json" in outside and "../../order1%20a/" in outside
    assert all((page.parent / address.replace("%20", " ")).exists() for address in outside)
    assert not re.search(r"src=['\"]?(?!data:)\w|https?://(?!www.w3.org/)", html) and ">nan<" not in html.lower()
    assert ">Table 1</a></td><td>first</td><td>complete</td>" in html and "1 complete, 1 paper only" in html


def test_an_exhibit_shows_its_runs_or_what_would_fill_it(finished, tmp_path, merged_scores):
    html = book.build([finished], tmp_path / "out").read_text()
    first, second = section(html, "table-1"), section(html, "table-s2")
    ours = number(final_mean(merged_scores)["dsc"])
    assert f"<td><a href='#run-order1-a'>order1 a</a></td><td>{ours}</td>" in first and "<td>0.926</td>" in first
    assert "Ours come from: <a href='#run-order1-a'>order1 a</a>" in first and "class=missing" not in first
    assert first.count("data:image/png") == 1 and first.count("Table 1: first") == 1
    assert "<li>no run of order2</li>" in second and COMMAND in second.split("What would fill it")[1] and "Ours come from" not in second
    for file in ("tables/table_1.md", "tables/table_1.tex", "tables/table_1.csv", "figures/table_1.png", "figures/table_1.svg",
                 "tables/index.csv", "tables/runs.csv", "tables/frozen.csv", "tables/decoders_order1-a.csv",
                 "figures/pruning_effect_order1-a.png"):
        assert (tmp_path / "out" / file).stat().st_size


def test_without_runs_the_papers_numbers_stand_alone(tmp_path):
    html = book.build([], tmp_path / "out").read_text()
    assert "0 runs under 0 names" in html and "<td>0.926</td>" in section(html, "table-1") and "class=warning" not in html


def test_seeds_share_a_name_and_both_folders_are_linked(finished, run_with, merged_scores, decoders_of, tmp_path):
    other = run_with(merged_scores.assign(seed=1), decoders_of(seed=1), name="order1 a__seed-1")
    html = book.build([finished, other], tmp_path / "out").read_text()
    block = html.split("<div id=run-order1-a>")[1].split("</div>")[0]
    assert "order1%20a__seed-1/scores.csv" in block and "order1%20a/scores.csv" in block and "order1 a, seed 1" in block
    assert "2 runs under 1 name;" in html and (tmp_path / "out" / "tables" / "decoders_order1-a-seed-1.csv").exists()


def test_a_deleted_score_is_told_at_the_top_and_beside_the_numbers(finished, tmp_path):
    assert "class=warning" not in book.build([finished], tmp_path / "whole").read_text()
    table = pd.read_csv(finished / "scores.csv", dtype=str, keep_default_na=False)
    table.drop(index=table.index[[5, 6]]).to_csv(finished / "scores.csv", index=False)
    html = book.build([finished], tmp_path / "out").read_text()
    told = "score rows are missing"
    assert told in html.split("<h2")[0] and told in section(html, "table-1") and told not in section(html, "table-s2")


def test_a_run_that_did_not_finish_and_weights_that_changed_are_told(finished, run_with, merged_scores, decoders_of, tmp_path):
    (finished / "status.json").write_text(json.dumps({"state": "failed"}))
    decoders = decoders_of()
    decoders.loc[(decoders["step"] == 3) & (decoders["decoder"] == "Brain"), "weights_sha256"] = "f" * 64
    touched = run_with(merged_scores, decoders, name="touched")
    top = book.build([finished, touched], tmp_path / "out").read_text().split("<h2")[0]
    assert "order1 a: the run is not finished (state: failed)" in top and "touched: the run is not finished (state: unknown" in top
    assert "touched, S3 (phantom_chest)" in top and "CHANGED WITHOUT TRAINING (Brain)" in top
    frozen = pd.read_csv(tmp_path / "out" / "tables" / "frozen.csv").set_index(["run", "step"])
    assert frozen.loc[("order1 a", 2), "updated_names"] == "Liver Spleen" and frozen.loc[("order1 a", 2), "new"] == 0
    assert frozen["changed_without_training"].sum() == 2  # there, and back again a step later
    assert frozen.loc[("touched", 3), "unchanged"] == frozen.loc[("order1 a", 3), "unchanged"] - 1


def test_a_view_of_a_case_that_is_deleted_is_missed(finished, write_view, tmp_path):
    mask = {"Liver": np.ones((4, 5, 6), bool)}
    view = write_view(finished, "phantom_abdomen", "0001", {"reference": mask, "predicted": mask}, {"Liver": 1.0})
    assert "phantom_abdomen, 0001" in book.build([finished], tmp_path / "out").read_text()
    view.unlink()
    html = book.build([finished], tmp_path / "out").read_text()
    assert "phantom_abdomen, 0001" not in html and "No views of test cases in the run folder of order1 a" in html


def test_two_files_of_one_name_and_a_folder_of_something_else_are_refused(monkeypatch, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").touch()
    with pytest.raises(UsageError, match="holds something else"):
        book.build([], tmp_path / "other")
    monkeypatch.setattr(exhibits, "ALL", (FIRST, replace(FIRST, number="Table 2")))
    with pytest.raises(ValueError, match="table table_1"):
        book.build([], tmp_path / "out")
    assert sorted(Path(tmp_path).iterdir()) == [tmp_path / "other"]


def test_the_page_fits_a_narrow_screen_and_its_index_sorts(finished, tmp_path, in_browser):
    html = book.build([finished], tmp_path / "out").read_text()
    script = """
        document.querySelectorAll('#index + .scroll th button')[3].click();
        const { scrollWidth, clientWidth } = document.documentElement, rows = [...document.querySelectorAll('#index + .scroll tbody tr')];
        return [scrollWidth - clientWidth, rows.map((row) => row.cells[0].textContent)];
    """
    assert in_browser(html, script, width=420) == [0, ["Table 1", "Table S2"]]
