"""Tables 1 to 4 and S6 to S11: the paper's numbers always, ours where a run belongs, worked out by hand on six pairs of two cases."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import yaml
from hydra import compose, initialize_config_dir

from analysis.columns import DECODER_COLUMNS, FOOTPRINT_COLUMNS
from analysis.encoders import TABLES
from analysis.exhibits import encoder_rows, external, lymph_nodes, order_tables, summary_tables, updating
from analysis.exhibits.ours import body_group
from analysis.groups import Group
from analysis.load import Run
from analysis.published import methods, results

EXHIBITS = {exhibit.number.removeprefix("Table "): exhibit for module in (summary_tables, order_tables, encoder_rows, updating, lymph_nodes)
            for exhibit in module.EXHIBITS}
CONF = Path(__file__).resolve().parents[3] / "conf"
DSC = {("TotalSegmentatorV2", "Liver"): (0.9, 0.7), ("TotalSegmentatorV2", "Brain"): (0.8, 0.8), ("StructSeg19", "BrainStem"): (0.6, 0.0),
       ("FLARE22", "Liver"): (0.5, 0.7), ("SegTHOR", "Heart"): (1.0, 1.0), ("KiTS21", "Kidney_Lesion"): (0.4, 0.2)}
FIVE = tuple(dict.fromkeys(dataset for dataset, _ in DSC))
WHOLE = {"ema": 0.9, "supporting": {"as_masks": False}, "encoder": {"stages": {"supervised": {}}}}
DASH = "\N{EN DASH}"


@pytest.fixture
def group_of(tmp_path) -> Callable[..., Group]:
    """A name with one run a seed: all pairs of DSC after the last step (raised by `plus` a seed), with a configuration; `external`: a
    further dataset that was never learned."""
    def make(name="run", order="O1", universal=False, plus=(0.0,), rate=0.0, dsc=DSC, external=(), method="clnet", **config) -> Group:
        datasets = list(dict.fromkeys(dataset for dataset, _ in dsc))
        runs = []
        for seed, more in enumerate(plus):
            folder = tmp_path / f"{name}{seed}"
            folder.mkdir()
            slots = {f"slot{index}": {"name": f"phantom_{slug}", "paper_slug": slug} for index, slug in enumerate(datasets)}
            data = {"name": "phantom", "datasets": slots}
            (folder / "config.yaml").write_text(yaml.safe_dump({"data": data} | WHOLE | config))
            run = {"experiment": name, "order": order, "method": method, "seed": seed}
            learned = [slug for slug in datasets if slug not in external]
            steps = [(0, "all")] if universal else [(step, f"phantom_{slug}") for step, slug in enumerate(learned)]
            rows = [run | {"step": step, "trained_on": trained, "dataset": f"phantom_{slug}", "case": str(case), "structure": structure,
                           "stage": "merged", "dsc": value + more, "asd_mm": None if not value else 1.0, "hd95_mm": None, "nsd": None,
                           "status": "ok" if value else "missed"}
                    for step, trained in steps for (slug, structure), values in dsc.items() for case, value in enumerate(values)]
            scores = pd.DataFrame(rows).astype({"asd_mm": float, "hd95_mm": float, "nsd": float})
            last = {"step": steps[-1][0], "trained_on": steps[-1][1]}
            decoders = pd.DataFrame([run | last | {"decoder": structure, "structures": structure, "group": body_group(structure),
                                                   "pruning_rate_percent": rate, "nominal_share": 1 - rate / 100, "updated": True}
                                     for structure in dict.fromkeys(structure for _, structure in dsc)], columns=list(DECODER_COLUMNS))
            size = run | last | {"nominal_share_sum": 0.5, "nominal_parameters_m": 23.475, "parameters": 1, "nonzero_parameters": 1}
            runs.append(Run(folder, scores, decoders, pd.DataFrame([size], columns=list(FOOTPRINT_COLUMNS)), {}))
        return Group(name, tuple(runs))

    return make


def rows_of(number: str, groups, table: int = 0) -> dict[tuple[str, str], tuple[str, ...]]:
    """(method, results) -> its other cells, of the table so counted."""
    return {row[:2]: row[2:] for row in EXHIBITS[number].make(groups).tables[table].rows}


@pytest.mark.parametrize("number", EXHIBITS)
def test_without_runs_there_are_the_papers_numbers_alone(number, group_of):
    made = EXHIBITS[number].make([])
    assert made.tables and made.missing
    assert sum(cell != DASH for cell in itertools.chain(*made.tables[0].rows)) > results(number, measure="dsc").shape[0]
    assert not any("difference" in cell for table in made.tables for row in table.rows for cell in row)
    foreign = group_of("foreign", "mine", dsc={("FLARE22", "Liver"): (0.5, 0.5)}, data={"name": "mine"})
    assert [table.rows for table in EXHIBITS[number].make([foreign]).tables] == [table.rows for table in made.tables]


def test_table_1_counts_a_structure_once(group_of):
    rows = rows_of("1", [group_of("c5", rate=90.0)])
    assert rows["CL-Net U36", "paper"][-1] == "86.1"
    #  Head & Neck: Brain 0.8, brain stem 0.3; abdomen: the liver over four cases of two datasets, 0.7; all: the mean of five structures
    assert rows["CL-Net C5", "c5, phantom"] == ("55.0", "100.0", "70.0", DASH, DASH, "30.0", DASH, "62.0")
    parameters = rows_of("1", [group_of("other", rate=90.0)], table=2)["CL-Net C5", "other, phantom"]
    assert parameters == ("3.1", "1.6", "1.6", DASH, DASH, "1.6", DASH, "23.5")  # 15.65 x 0.1, twice for head and neck


def test_table_2_with_its_difference_and_what_lies_behind(group_of):
    table, _, behind = EXHIBITS["2"].make([group_of("u5", universal=True, rate=90.0)]).tables
    position = [row[:2] for row in table.rows].index(("CL-Net U5", "u5, phantom"))
    assert table.rows[position][2:] == ("80.0", "30.0", "60.0", "100.0", "30.0", "63.3")
    assert table.rows[position + 1] == ("CL-Net U5", "u5, phantom, difference", "-14.3", "-57.0", "-30.7", "+6.3", "-57.2", "-29.6")
    assert (position - 1, 2) in table.bold and (position, 2) not in table.bold
    by_place = {row[2]: row[3:] for row in behind.rows}
    assert by_place["TotalSegmentatorV2"][:4] == ("2", "80.0", "7.1", "2 of 2")  # 0.85 and 0.75 are the means of its cases
    assert by_place["StructSeg19"][-3:] == ("1", "0", "0") and by_place["StructSeg19"][6] == "1 of 1"
    assert any("not comparable" in note for note in table.notes)


def test_table_2_is_of_what_learned_all_at_once_and_of_specialists(group_of):
    at_once = {"one": "joint", "prompted": "csclip", "talents": "multitalent"}
    groups = [group_of(name, universal=True, method=method) for name, method in at_once.items()]
    groups += [group_of("in order", method="multitalent"), group_of("five", method="nnunet")]
    ours = {key for key in rows_of("2", groups) if key[1].endswith("phantom")}
    assert ours == {("one network", "one, phantom"), ("CSCLIP", "prompted, phantom"), ("MultiTalent", "talents, phantom"),
                    ("nnU-Net E5", "five, phantom")}
    fewer = group_of("part", universal=True, method="joint", dsc=dict(list(DSC.items())[:4]))
    assert "one network" not in {name for name, _ in rows_of("2", [fewer])}


def test_seeds_are_a_mean_and_its_spread_and_unpruned_runs_say_so(group_of):
    rows = rows_of("2", [group_of("u5", universal=True, plus=(0.0, 0.02))])
    assert rows["CL-Net U5", "u5, unpruned, phantom, 2 seeds"][0] == "81.0 \N{PLUS-MINUS SIGN} 1.4"


def test_table_3_by_organ(group_of):
    rows = rows_of("3", [group_of("u5", universal=True, rate=90.0)])
    assert rows["CL-Net U5", "u5, phantom"][0] == "60.0" == rows["CL-Net U5", "u5, phantom"][-1]
    assert rows["BiomedParse, on 2D slices", "paper"][0] == "96.6" and rows["BiomedParse", "paper"][0] == "24.1"


def test_table_4_takes_datasets_that_were_not_learned(group_of):
    learned = group_of("learned", dsc=DSC | {("BTCV", "Liver"): (0.9, 0.9)}, rate=90.0)
    beside = group_of("beside", dsc=DSC | {("BTCV", "Liver"): (0.9, 0.7)}, external=("BTCV",), rate=90.0)
    rows = rows_of("4", [learned, beside])
    assert rows["CL-Net C5", "beside, phantom"][3] == "80.0" and not any("learned" in source for _, source in rows)


def test_the_eight_common_structures_give_the_papers_means():
    chest = results("S28", measure="dsc")
    chest = chest[chest["structure"].isin(external.common_structures())]
    for method in methods("4"):
        printed = results("4", method=method, measure="dsc", subgroup=external.COMMON)["value"].item()
        assert chest.loc[chest["method"] == method, "value"].agg(["size", "mean"]).tolist() == [8, pytest.approx(printed, abs=6e-4)]


def test_tables_s6_and_s7_in_orders_and_over_them(group_of):
    groups = [group_of("order1__x", "O1", rate=90.0), group_of("order3__x", "O3", plus=(0.1,), rate=90.0)]
    by_dataset = rows_of("S6", groups)
    assert by_dataset["CL-Net C5, O3", "order3__x, phantom"][-2:] == ("73.3", "23.5")
    assert by_dataset["CL-Net C5, mean of orders", "order*__x, phantom"][-2] == "68.3 \N{PLUS-MINUS SIGN} 7.1"
    by_order = rows_of("S7", groups)
    assert by_order["CL-Net C5", "order*__x, phantom"][:4] == ("63.3", DASH, "73.3", DASH)
    assert by_order["CL-Net C5", "order*__x, phantom, difference"][:5] == ("-29.3", DASH, "-19.4", DASH, "-24.3")
    assert "CL-Net C5: no run has O2, O4." in EXHIBITS["S7"].make(groups).missing
    assert not any(source != "paper" for _, source in rows_of("S7", [group_of("u5", universal=True)]))


@pytest.mark.parametrize("order", TABLES)
def test_tables_s8_and_s9_know_a_run_by_its_encoder(order, group_of):
    number, dataset = TABLES[order]
    row = methods(number)[1]
    slots = {"own": {"name": f"phantom_{dataset}", "paper_slug": dataset}, "all": {"name": "all", "paper_slug": "TotalSegmentatorV2"}}
    made = partial(group_of, order=order, dsc={(dataset, "Liver"): (0.9, 0.7)}, data={"name": "phantom", "datasets": slots})
    group = made("mine", encoder={"paper": row, "datasets": ["all"], "stages": {}})
    cells = rows_of(number, [group])[encoder_rows.encoder_name(row), "mine, phantom"]
    assert cells == ("80.0", "1.00", "50.0", DASH, DASH)
    slots["all"]["paper_slug"] = "SegTHOR"
    assert rows_of(number, [made("other", encoder={"paper": row, "datasets": ["all"], "stages": {}})]) == rows_of(number, [])



@pytest.mark.parametrize(("tuning", "ema", "supporting", "row"), [
    (None, None, None, "encoder fixed, decoders fine-tuned, no supporters"),
    ({"shared": False}, None, None, "encoder tuned, decoders fine-tuned, no supporters"),
    (None, 0.9, None, "encoder fixed, decoders by EMA, no supporters"),
    (None, None, {"as_masks": True}, "encoder tuned, decoders fine-tuned, supporters as channels"),
    (None, None, {"as_masks": False}, "encoder fixed, decoders fine-tuned, supporters by features"),
    (None, 0.9, {"as_masks": True}, "encoder tuned, decoders by EMA, supporters as channels"),
    (None, 0.9, {"as_masks": False}, "encoder fixed, decoders by EMA, supporters by features"),
])
def test_table_s10_knows_a_run_by_its_parts(tuning, ema, supporting, row, group_of):
    group = group_of("mine", tuning=tuning, ema=ema, supporting=supporting, rate=90.0)
    assert (row, "paper") in rows_of("S10", [])
    assert rows_of("S10", [group])[row, "mine, another encoder, phantom"] == ("80.0", "30.0", "60.0", "100.0", "30.0")
    assert rows_of("S10", [group], table=2)[row, "mine, another encoder, phantom"] == ("20.0", "10.0", "10.0", "10.0", "10.0")


def test_table_s10_leaves_out_what_it_has_no_row_for(group_of):
    others = [group_of("shared", tuning={"shared": True}), group_of("order2", "O2"), group_of("u5", universal=True)]
    assert rows_of("S10", others) == rows_of("S10", [])


def commands() -> list[str]:
    return list(dict.fromkeys(command for exhibit in EXHIBITS.values() for command in exhibit.commands))


@pytest.mark.parametrize("command", commands())
def test_every_command_composes(command, monkeypatch):
    monkeypatch.chdir(CONF.parent)
    typed = command.removeprefix("python run.py ").removeprefix("-m ").split()
    experiments = next(word for word in typed if word.startswith("experiment=")).removeprefix("experiment=").split(",")
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for experiment in experiments:
            words = [word for word in typed if not word.startswith("experiment=")]
            assert compose("config", [f"experiment={experiment}", *words])["name"] == experiment
