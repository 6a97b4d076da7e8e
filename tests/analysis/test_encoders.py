"""The tables of encoders: our numbers with the paper's row beside them, and nothing beside what the paper does not have."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from analysis import compare
from analysis.encoders import encoder_table, named_row, paper_row
from analysis.groups import read_groups

CONF = Path(__file__).resolve().parents[2] / "conf" / "encoder"
ROWS = {path.stem: row for path in CONF.glob("*.yaml") if (row := yaml.safe_load(path.read_text()).get("paper"))}


@pytest.mark.parametrize("name", ROWS)
def test_every_named_row_is_in_the_papers_table(name):
    assert paper_row("whole_body", ROWS[name])["paper_dsc"] > 0.8


def test_all_rows_of_the_papers_table_have_an_encoder():
    assert len(set(ROWS.values())) == 16 == len(ROWS)


def test_papers_numbers_by_hand():
    expected = {"paper_dsc": 0.899, "paper_asd_mm": 1.14, "paper_sum_t": 18.2}
    assert paper_row("abdomen", "U4 | SimSiam | EMA update | Proposed") == pytest.approx(expected)
    assert paper_row("abdomen", "TotalSegmentator | SimSiam | — | Default") == {} == paper_row("O1", ROWS["ema"])


def config_of(name: str, *more: str) -> dict:
    """What a run with an encoder has in its config.yaml."""
    with initialize_config_dir(str(CONF.parent), version_base="1.3"):
        return OmegaConf.to_container(compose("config", ["experiment=table_s8", f"encoder={name}", *more]), resolve=True)


@pytest.mark.parametrize("name", ROWS)
def test_an_encoder_made_as_the_row_says_is_the_row(name):
    assert named_row(config_of(name)) == ROWS[name]


@pytest.mark.parametrize(("name", "more"), [
    ("simsiam_full", "view=default"), ("scratch_full", "order=abdomen"), ("ema", "encoder.datasets=[abdomen,lesion]"),
    ("scratch_head", "encoder.datasets=[whole_body]"),
])  # fmt: skip
def test_other_views_and_datasets_are_no_row_of_the_papers(name, more):
    assert named_row(config_of(name, more)) is None


def test_a_dataset_that_the_paper_does_not_have_is_no_row_of_its():
    told = config_of("simsiam_full", "data=openkbp_all", "order.steps=[all]")
    assert told["encoder"]["paper"] and "paper_slug" not in told["data"]["datasets"]["all"]
    assert named_row(told) is None


@pytest.fixture
def folders(run_with, scores_of) -> list[Path]:
    """Two seeds of one encoder, which is a row of the paper, and a run that is none and was not probed."""
    made = []
    for seed in (0, 1):
        folder = run_with(scores_of(seed=seed).assign(order="whole_body", seed=seed), name=f"ema__seed-{seed}")
        (folder / "config.yaml").write_text(yaml.safe_dump(config_of("ema")))
        (folder / "probe.json").write_text(json.dumps({"height_mm": 40.0 + 20 * seed, "tissue": 0.5}))
        made.append(folder)
    return [*made, run_with(scores_of(), name="plain")]


def test_ours_stand_beside_the_papers(folders, tmp_path):
    groups = read_groups(folders)
    table = encoder_table(groups)
    [row] = table.data.to_dict("records")
    assert row["name"] == "ema" and row["runs"] == 2 and row["height_mm"] == 50.0 and row["tissue"] == 50.0
    assert (row["paper_dsc"], row["paper_asd_mm"], row["paper_sum_t"]) == pytest.approx((0.93, 1.13, 60.6))
    assert "not comparable" in " ".join(table.notes) and table.rows[0][-3:] == ("0.930", "1.13", "60.6")
    compare.build(folders, tmp_path / "out")
    assert pd.read_csv(tmp_path / "out" / "tables" / "encoders.csv")["dsc"].item() == pytest.approx(row["dsc"])
    assert encoder_table(groups[1:]) is None
