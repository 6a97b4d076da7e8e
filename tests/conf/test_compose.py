"""Every YAML in conf/ composes, is described, and every experiment says what it is: a new file is tested without new code."""

from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from experiments import overrides
from experiments.pipeline import made

CONF = Path(__file__).resolve().parents[2] / "conf"
GROUPS = overrides.groups(CONF)
EXPERIMENTS = overrides.choices(CONF, "experiment")
EVERY = [(group, name) for group in GROUPS for name in overrides.choices(CONF, group)]


def composed(*typed) -> dict:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return OmegaConf.to_container(compose("config", list(typed)), resolve=True)


@pytest.fixture(autouse=True)
def data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("CLNET_DATA", str(tmp_path))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment_is_complete(name, tmp_path):
    cfg = composed(f"experiment={name}", f"data.root={tmp_path}")
    assert cfg["name"] == name and cfg["seed"] == 0 and cfg["task"] == "run"
    steps, slots = cfg["order"]["steps"], cfg["data"]["datasets"]
    assert steps and set(steps) <= set(slots)
    assert len(set(steps)) == len(steps)
    assert all(slots[step]["labels"] and slots[step]["name"] for step in steps)
    overrides.check([f"experiment={name}", f"data.root={tmp_path}"], CONF)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment_holds_only_differences(name):
    text = (CONF / "experiment" / f"{name}.yaml").read_text()
    assert text.startswith("# @package _global_\n# ") and "paper" in text.splitlines()[1]
    default = composed("~experiment")
    own = {key: value for key, value in yaml.safe_load(text).items() if key != "defaults"}
    assert all(default.get(key) != value for key, value in own.items()), "repeats a default"
    assert len(text.splitlines()) <= 30


def test_the_default_is_order_1_on_the_phantom():
    assert composed() == composed("experiment=order1")
    assert composed()["data"].get("make") and composed()["order"]["name"] == "O1"


@pytest.mark.parametrize("group, name", [(group, name) for group, name in EVERY if group not in ("dataset", "experiment")])
def test_choice_composes_and_has_a_description(group, name, tmp_path):
    typed = [f"{group}={name}"] + ([f"data.root={tmp_path}"] if group == "data" else [])
    assert composed(*typed)
    described((CONF / group / f"{name}.yaml").read_text())


@pytest.mark.parametrize("name", overrides.choices(CONF, "dataset"))
def test_dataset_composes_and_has_a_description(name, tmp_path):
    cfg = composed(f"+dataset@data.datasets.new={name}", f"data.root={tmp_path}")
    assert cfg["data"]["datasets"]["new"]["labels"]
    described((CONF / "dataset" / f"{name}.yaml").read_text())


FOUR = ["head_neck", "chest", "abdomen", "lesion"]  # CL-Net A5: StructSeg19, SegTHOR, FLARE22, KiTS21


@pytest.mark.parametrize(("encoder", "datasets", "supervised"), [
    ("sequential", FOUR, {"average": None, "queue": None}), ("ema", FOUR, {"average": 0.999, "queue": None}),
    ("momentum_queue_128", FOUR, {"queue": 128}), ("momentum_queue", FOUR, {"queue": 1024}), ("momentum_queue_4096", FOUR, {"queue": 4096}),
    ("momentum_queue_u5", ["whole_body", *FOUR], {"queue": 1024}), ("simsiam_full", None, {"groups": None}),
    ("simsiam_bones", None, {"groups": ["Bone"]}),
])  # fmt: skip
def test_encoders_have_the_papers_settings(encoder, datasets, supervised):
    """CL-Net A4, A5: 1e-4 for the encoder, 1e-3 for its paired decoder, 1,000 epochs of 256; before, 5,000 epochs of SimSiam at 1e-3."""
    cfg = composed("scale=paper", f"encoder={encoder}")["encoder"]
    blind, labels = cfg["stages"]["without_labels"]["training"], cfg["stages"]["supervised"]
    assert (blind["lr"], blind["epochs"], blind["steps_per_epoch"], blind["cosine"]) == (1e-3, 5000, 256, True)
    paired = labels["training"]
    assert (paired["lr"], paired["encoder_lr_share"], paired["epochs"], paired["steps_per_epoch"]) == (1e-3, 0.1, 1000, 256)
    assert labels["joint"] and cfg["datasets"] == datasets and labels["sampling"]["batch_size"] == 2
    told = {"average": labels["average"], "queue": labels["queue"] and labels["queue"]["size"], "groups": labels["groups"]}
    assert supervised.items() <= told.items()


@pytest.mark.parametrize("name", ["table_s8", "table_s9", "few_labels", "few_labels_openkbp"])
def test_encoders_are_judged_by_refined_decoders(name, tmp_path):
    """Parts of a joint start take other organs for their own: without refinement they say nothing about an encoder."""
    cfg = composed(f"experiment={name}", f"data.root={tmp_path}")
    assert cfg["decoder"]["start"]["joint"] and cfg["decoder"]["refine"]["training"]["lr"] > 0


def described(text: str) -> None:
    first = next(line for line in text.splitlines() if not line.startswith("# @"))
    assert first.startswith("# ") and len(first) > 10


def test_launcher_reaches_hydra():
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for name, target in (("local", "BasicLauncher"), ("joblib", "JoblibLauncher"), ("submitit", "SlurmLauncher")):
            cfg = compose("config", [f"launcher={name}"], return_hydra_config=True)
            assert cfg.hydra.launcher._target_.endswith(target)
        assert cfg.hydra.launcher.max_num_timeout > 0  # 0 would end a job at its first time limit


def test_trainers_differ_in_values_only():
    trainers = [composed(f"trainer={name}")["trainer"] for name in overrides.choices(CONF, "trainer")]
    assert len({tuple(trainer) for trainer in trainers}) == 1


PARTS = [(group, name) for group in ("decoder", "pruning", "supporting", "tuning", "bpr", "merging", "scenario", "ema")
         for name in overrides.choices(CONF, group)]  # fmt: skip


@pytest.mark.parametrize("group,name", PARTS, ids=lambda value: value)
def test_every_part_can_be_made(group, name):
    part = composed(f"{group}={name}", "scale=small")[group]
    assert (part is None) == (name == "none")
    if isinstance(part, dict):
        assert made(part) is not None


@pytest.mark.parametrize("name", ["csclip", "plop"])
@pytest.mark.parametrize("own,lr", [("0.007", 0.007), ("null", 0.0015)])
def test_a_lesson_may_have_a_rate_of_its_own(name, own, lr):
    method = composed(f"method={name}", "scale=tiny", f"scale.{name}.later_lr={own}")["method"]
    assert made(method["later"]).training.lr == lr and made(method["first"]).training.lr == 0.06
