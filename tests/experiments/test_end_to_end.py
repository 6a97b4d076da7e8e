"""One command from nothing to tables: what it leaves, what it keeps, what it shares, and that a kill changes nothing."""

from __future__ import annotations

import json
import signal
import time

import pytest

from experiments import results

CHEST, ABDOMEN = "phantom_chest", "phantom_abdomen"
STRUCTURES = {"Eso", "Trachea", "Heart", "A_Aorta"}
OLD = {"Eso", "Airway", "Heart", "A_Aorta"}  # their decoders
UPDATED = {"Eso", "A_Aorta"}
KILLER = """
import os, signal, sys
from clnet.learn import fit
finish, steps = fit._Bookkeeping.on_train_batch_end, [0]
def die(self, *arguments):
    finish(self, *arguments)
    steps[0] += 1
    if steps[0] == int(os.environ["KILL_AFTER_STEPS"]):
        os.kill(os.getpid(), signal.SIGKILL)
fit._Bookkeeping.on_train_batch_end = die
import run
sys.exit(run.main())
"""
TRAINED = ("encoder", "decoder", "bodypart", "extents", "predictions", "scores", "rivals", "merged")
STAGES = ("premerge", "merged")


@pytest.fixture(scope="module")
def tables(first_run) -> dict[str, list[dict]]:
    return {name: results.read(first_run.folder / f"{name}.csv") for name in ("scores", "decoders", "footprint", "merging", "weights")}


def by_step(rows: list[dict], step: int, key: str) -> dict:
    return {row[key]: row for row in rows if row["step"] == step}


def test_a_run_leaves_everything_that_it_promises(first_run):
    folder = first_run.folder
    for name in ("config.yaml", "manifest.json", "scores.csv", "decoders.csv", "footprint.csv", "weights.csv", "report/report.html",
                 "model/method.json"):
        assert (folder / name).stat().st_size > 0, name
    assert json.loads((folder / "status.json").read_text())["state"] == "finished"
    manifest = json.loads((folder / "manifest.json").read_text())
    prepared = {path.name for path in (first_run.outputs / "units/prepared").iterdir() if not path.name.startswith(".")}
    assert manifest["seed"] == 0 and set(manifest["data"]) == {CHEST, ABDOMEN} and set(manifest["data"].values()) <= prepared
    sizes = [(entry["name"], entry["training_cases"], entry["test_cases"]) for entry in manifest["datasets"]]
    assert sizes == [(CHEST, 1, 1), (ABDOMEN, 2, 1)] and all(entry["labels"] for entry in manifest["datasets"])
    trained = [path for kind in TRAINED for path in (first_run.outputs / "units" / kind).rglob("*")]
    assert trained and not [path for path in trained if ".partial" in path.name or path.suffix == ".ckpt"]


def test_the_encoders_hash_is_told_and_stays(tables):
    encoder = [by_step(tables["weights"], step, "network")["encoder"] for step in (0, 1)]
    assert encoder[0]["weights_sha256"] == encoder[1]["weights_sha256"] and not encoder[1]["updated"]
    listed = {row["weights_sha256"] for row in tables["weights"]}
    assert {row["weights_sha256"] for row in tables["decoders"]} < listed


def test_every_dataset_seen_is_scored_at_every_step(tables):
    def scored(step):
        return {(row["trained_on"], row["dataset"]): 0 for row in tables["scores"] if row["step"] == step}.keys()

    assert scored(0) == {(CHEST, CHEST)} and scored(1) == {(ABDOMEN, CHEST), (ABDOMEN, ABDOMEN)}
    before_merging = [row for row in tables["scores"] if row["stage"] == "premerge"]
    chest = [row for row in before_merging if row["dataset"] == CHEST]
    keys = [[(row["case"], row["structure"]) for row in chest if row["step"] == step] for step in (0, 1)]
    assert keys[0] == keys[1] and {structure for _, structure in keys[0]} == STRUCTURES
    last = [row for row in before_merging if row["step"] == 1 and row["dataset"] == ABDOMEN]
    keys = [{(r["step"], r["dataset"], r["case"], r["structure"]) for r in tables["scores"] if r["stage"] == stage} for stage in STAGES]
    assert keys[0] == keys[1] and {(r["step"], r["dataset"], r["case"], r["structure"]) for r in tables["merging"]} <= keys[0]
    assert len(last) == 13 and all(row["seed"] == 0 and row["experiment"] == "small" for row in tables["scores"])
    assert all((row["dsc"] is None) == (row["status"] not in ("ok", "missed")) for row in tables["scores"])


def test_tables_agree_with_each_other(tables):
    encoder = set()
    for step in (0, 1):
        decoders, (footprint,) = by_step(tables["decoders"], step, "decoder"), [r for r in tables["footprint"] if r["step"] == step]
        encoder.add(footprint["parameters"] - sum(row["parameters"] for row in decoders.values()))
        assert footprint["seconds"] > 0 and footprint["dense_bytes"] >= 4 * footprint["parameters"]
        scored = {row["structure"] for row in tables["scores"] if row["step"] == step}
        assert scored == {name for row in decoders.values() for name in row["structures"].split()}
    assert len(encoder) == 1 and encoder.pop() > 0


def test_decoders_without_a_label_keep_weights_and_scores(tables, first_run):
    before, after = (by_step(tables["decoders"], step, "decoder") for step in (0, 1))
    assert set(before) == OLD < set(after)
    kept = {name for name in OLD if after[name]["weights_sha256"] == before[name]["weights_sha256"]}
    assert kept == OLD - UPDATED == {name for name in OLD if not after[name]["updated"]}
    assert len({row["weights_sha256"] for row in after.values()}) == len(after)
    text = [line.split(",") for line in (first_run.folder / "scores.csv").read_text().splitlines() if ",merged," not in line]
    first = text[0].index("dataset")
    lines = [{tuple(line[first:]) for line in text if line[4] == step and line[first] == CHEST} for step in "01"]
    structure = text[0].index("structure") - first
    changed = {line[structure] for line in lines[0] ^ lines[1]}
    assert changed <= UPDATED and len(lines[0] & lines[1]) >= len(STRUCTURES - UPDATED)


def test_the_same_command_again_builds_nothing(first_run):
    before, table = first_run.units(first_run.outputs / "units"), (first_run.folder / "scores.csv").read_bytes()
    began = time.process_time()
    again = first_run.here(f"paths.outputs={first_run.outputs}")
    assert again.code == 0, again.err
    assert time.process_time() - began < 10
    assert again.folder == first_run.folder and (again.folder / "scores.csv").read_bytes() == table
    assert first_run.units(first_run.outputs / "units") == before


def test_a_killed_run_ends_with_the_same_table(first_run, tmp_path, monkeypatch):
    own = (f"paths.outputs={tmp_path}", f"paths.data={first_run.outputs}/data")
    killed = first_run.command(*own, script=KILLER, KILL_AFTER_STEPS="3")
    assert killed.code == -signal.SIGKILL, killed.err
    assert list(tmp_path.glob("units/encoder/.*.partial/last.ckpt")) and not list(tmp_path.rglob("scores.csv"))

    def full(*_):
        raise MemoryError("no more memory")

    with monkeypatch.context() as patch:  # the second time it ends between two predictions
        patch.setattr("experiments.evaluate.save_array", full)
        assert first_run.here(*own).code == 4
    trained = {path.name for path in tmp_path.glob("units/decoder/[!.]*")}
    assert len(trained) == len(OLD)
    finished = first_run.here(*own)
    assert finished.code == 0, finished.err
    for name in ("scores.csv", "decoders.csv"):
        assert (finished.folder / name).read_bytes() == (first_run.folder / name).read_bytes()
    for kind in TRAINED:  # the session's other tests may have added more to the first run's units
        mine, theirs = ({path.name for path in root.glob(f"units/{kind}/[!.]*")} for root in (tmp_path, first_run.outputs))
        assert mine and mine <= theirs


def test_an_order_that_begins_alike_shares_the_encoder(first_run, tmp_path):
    def count(kind):
        return {path.name for path in (first_run.outputs / "units" / kind).glob("[!.]*")}

    before = {kind: count(kind) for kind in ("encoder", "decoder", "predictions")}
    other = first_run.here("order.steps=[chest,lesion]", "order.name=other", *first_run.sharing(tmp_path))
    assert other.code == 0, other.err
    assert count("encoder") == before["encoder"]
    assert len(count("decoder") - before["decoder"]) == 1 and len(count("predictions") - before["predictions"]) == 1
    one, two = (by_step(results.read(folder / "decoders.csv"), 0, "decoder") for folder in (first_run.folder, other.folder))
    assert {name: row["weights_sha256"] for name, row in one.items()} == {name: row["weights_sha256"] for name, row in two.items()}


def test_another_seed_gives_other_numbers_on_the_same_data(first_run, tmp_path):
    prepared = {path.name for path in (first_run.outputs / "units/prepared").glob("[!.]*")}
    other = first_run.here("seed=1", "order.steps=[chest]", *first_run.sharing(tmp_path))
    assert other.code == 0, other.err
    assert {path.name for path in (first_run.outputs / "units/prepared").glob("[!.]*")} == prepared
    folders = (first_run.folder, other.folder)
    hashes = [{row["weights_sha256"] for row in results.read(folder / "decoders.csv")} for folder in folders]
    assert not hashes[0] & hashes[1]
    scores = [[row["dsc"] for row in results.read(folder / "scores.csv") if row["step"] == 0] for folder in folders]
    assert len(scores[0]) == len(scores[1]) and scores[0] != scores[1]


@pytest.mark.slow
def test_all_at_once(first_run, tmp_path):
    """scenario=universal, pruned, on the same phantom: one step, every decoder from all datasets, the table of a single step."""
    pruned = ("pruning=short", "pruning.max_drop_dsc_points=100", "validation_share=0.4", "scale.training.round.epochs=1")
    done = first_run.command("scenario=universal", *pruned, *first_run.sharing(tmp_path))
    assert done.code == 0, done.err
    scores = results.read(done.folder / "scores.csv")
    assert {row["trained_on"] for row in scores} == {"all"} and {row["dataset"] for row in scores} == {CHEST, ABDOMEN}
    decoders = results.read(done.folder / "decoders.csv")
    assert len(decoders) == 13 and all(row["updated"] for row in decoders)
    assert (done.folder / "report/report.html").exists()
