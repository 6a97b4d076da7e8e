"""Jobs that do not depend on each other: the same units whoever runs them, and nothing hangs or is lost when one of them dies."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from clnet import stop
from clnet.errors import DataError, HostError, PreemptedError, UsageError
from clnet.launch import JoblibLauncher, LocalLauncher, SubmititLauncher
from clnet.units import UnitStore

SEEDS = (0, 1, 2)


def build(store: UnitStore, seed: int, draw, attempt=lambda folder: None) -> None:
    """A unit of random numbers; `attempt` is what happens in the middle."""

    def builder(folder: Path) -> None:
        with (folder / "attempts").open("a") as file:
            file.write("x")
        attempt(folder)
        (folder / "weights").write_text(repr([draw(random.Random(seed)) for _ in range(9)]))

    store.build("decoder", {"seed": seed}, builder)


def jobs(root: Path, attempts: dict | None = None) -> dict:
    """One job a seed; the lambda is what no plain pickle takes."""
    store = UnitStore(root)
    return {f"decoder {seed}": partial(build, store, seed, lambda source: source.gauss(0, 1), (attempts or {}).get(seed, nothing))
            for seed in SEEDS}  # fmt: skip


def nothing(folder: Path) -> None:
    pass


def killed(folder: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed_with_a_child(folder: Path) -> None:
    """As a training whose loader has processes: they outlive it for a while and hold what it had open."""
    if not (folder / "child").exists():
        child = os.fork()
        if child == 0:
            time.sleep(60)
            os._exit(0)
        (folder / "child").write_text(str(child))
        killed(folder)
    os.kill(int((folder / "child").read_text()), signal.SIGKILL)


def endless(folder: Path) -> None:
    (folder / "checkpoint").write_text(str(os.getpid()))
    time.sleep(300)


def refuse(folder: Path) -> None:
    raise DataError("not sound", where="case_3", fix="none")


def stop_at_a_safe_place(folder: Path) -> None:
    """The first time: asked to stop in the middle of a batch, in two ways as SLURM does; leaves a checkpoint."""
    if not (folder / "checkpoint").exists():
        with stop.deferred():
            os.kill(os.getpid(), signal.SIGUSR2)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.1)
            (folder / "checkpoint").write_text("half")


def units(root: Path) -> dict[int, tuple[str, str]]:
    """What lies on the disk: weights and number of attempts."""
    store = UnitStore(root)
    paths = {seed: store.path("decoder", {"seed": seed}) for seed in SEEDS if store.finished("decoder", {"seed": seed})}
    return {seed: ((path / "weights").read_text(), (path / "attempts").read_text()) for seed, path in paths.items()}


def submitit_launcher(folder: Path) -> SubmititLauncher:
    return SubmititLauncher(folder, gpus=0, cpus=1, mem_gb=1, timeout_min=5, cluster="local")


@pytest.fixture(autouse=True)
def importable(monkeypatch, repository):
    """A job out of this file finds it again in a process that submitit starts; no job of a scheduler starts these tests."""
    monkeypatch.setenv("PYTHONPATH", str(repository))
    for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID", "WORLD_SIZE", "SUBMITIT_EXECUTOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def expected(tmp_path) -> dict:
    LocalLauncher().run(jobs(tmp_path / "expected"))
    return units(tmp_path / "expected")


@pytest.mark.parametrize("make", [lambda _: LocalLauncher(), lambda _: JoblibLauncher(1), lambda _: JoblibLauncher(2), submitit_launcher],
                         ids=["local", "one", "two", "submitit"])  # fmt: skip
def test_same_units_whoever_builds_them(make, tmp_path, expected):
    said = []
    make(tmp_path / "jobs").run(jobs(tmp_path / "units"), lambda *line: said.append(line))
    assert len(expected) == len(SEEDS) and units(tmp_path / "units") == expected
    assert sorted(label for label, _, _ in said) == sorted(jobs(tmp_path)) and [line[1:] for line in said] == [(1, 3), (2, 3), (3, 3)]
    make(tmp_path / "jobs").run({})


def test_processes_are_others_and_reused(tmp_path):
    def note(path: Path) -> None:
        path.write_text(str(os.getpid()))

    JoblibLauncher(2).run({name: partial(note, tmp_path / name) for name in "abcde"})
    pids = {path.read_text() for path in tmp_path.iterdir()}
    assert len(pids) == 2 and str(os.getpid()) not in pids


def test_killed_process_names_its_job_and_the_others_stop(tmp_path, expected):
    began = time.monotonic()
    with pytest.raises(HostError, match="SIGKILL") as caught:
        JoblibLauncher(2).run(jobs(tmp_path / "units", {0: endless, 1: killed_with_a_child}))
    assert caught.value.where == "decoder 1" and caught.value.exit_code == 4 and time.monotonic() - began < 20
    JoblibLauncher(2).run(jobs(tmp_path / "units", {1: killed_with_a_child}))
    again = units(tmp_path / "units")
    assert {seed: weights for seed, (weights, _) in again.items()} == {seed: weights for seed, (weights, _) in expected.items()}
    assert again[1][1] == "xx"  # the second attempt found what the first had left


@pytest.mark.parametrize("make", [lambda _: LocalLauncher(), lambda _: JoblibLauncher(2), submitit_launcher],
                         ids=["local", "two", "submitit"])  # fmt: skip
def test_error_is_the_one_that_was_raised(make, tmp_path):
    with pytest.raises(DataError) as caught:
        make(tmp_path / "jobs").run(jobs(tmp_path / "units", {1: refuse}))
    assert (caught.value.what, caught.value.where, caught.value.exit_code) == ("not sound", "case_3", 3)
    assert str(caught.value) == "not sound\n  where: case_3\n  fix: none" and 1 not in units(tmp_path / "units")


def test_bug_keeps_its_traceback_and_what_cannot_travel_its_text():
    class Private(Exception):
        def __init__(self, one, two):
            super().__init__("cannot be built again")

    def fail(kind, *arguments):
        raise kind(*arguments)

    for kind, arguments, message in ((ZeroDivisionError, ["over"], "over"), (Private, [1, 2], "cannot be built again")):
        with pytest.raises(ZeroDivisionError if kind is ZeroDivisionError else RuntimeError) as caught:
            JoblibLauncher(2).run({"a": partial(fail, kind, *arguments), "b": partial(time.sleep, 0)})
        text = "".join([str(caught.value), *getattr(caught.value, "__notes__", [])])
        assert "in fail" in text and message in text


def test_job_that_cannot_be_read_in_its_process_is_no_lack_of_memory():
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        JoblibLauncher(2).run({"a": Unreadable(), "b": partial(time.sleep, 0)})


class Unreadable:
    def __reduce__(self):
        return __import__, ("no_such_module",)

    def __call__(self):
        pytest.fail("has run")


def test_process_that_is_asked_to_stop_does_so_at_a_safe_place(tmp_path, expected):
    with pytest.raises(PreemptedError) as caught:
        JoblibLauncher(2).run(jobs(tmp_path, {2: stop_at_a_safe_place}))
    assert caught.value.where == "decoder 2" and caught.value.exit_code == 75
    JoblibLauncher(2).run(jobs(tmp_path, {2: stop_at_a_safe_place}))
    assert units(tmp_path)[2] == (expected[2][0], "xx")


PARENT = """
import sys
from pathlib import Path
from clnet import stop
from clnet.launch import JoblibLauncher
from tests.test_launch import endless, jobs
if __name__ == "__main__":
    stop.install()
    JoblibLauncher(2).run(jobs(Path(sys.argv[1]), {0: endless, 1: endless}))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_no_process_outlives_its_parent(number, tmp_path, repository):
    (tmp_path / "parent.py").write_text(PARENT)
    parent = subprocess.Popen([sys.executable, tmp_path / "parent.py", tmp_path], cwd=repository)
    places = [UnitStore(tmp_path).path("decoder", {"seed": seed}) for seed in (0, 1)]
    checkpoints = [path.with_name(f".{path.name}.partial") / "checkpoint" for path in places]
    wait_for(lambda: all(path.exists() and path.read_text() for path in checkpoints))
    parent.send_signal(number)
    assert parent.wait(15) == (-9 if number == signal.SIGKILL else 75)
    wait_for(lambda: not any(Path(f"/proc/{path.read_text()}").exists() for path in checkpoints))
    assert not units(tmp_path) and all(path.exists() for path in checkpoints)


NESTED = """
import sys
from pathlib import Path
from joblib import Parallel, delayed
from clnet.launch import JoblibLauncher
from tests.test_launch import jobs
if __name__ == "__main__":
    Parallel(n_jobs=2)(delayed(JoblibLauncher(2).run)(jobs(Path(place))) for place in sys.argv[1:])
"""


def test_several_at_once_in_each_of_several_runs(tmp_path, repository, expected):
    (tmp_path / "nested.py").write_text(NESTED)
    places = [tmp_path / name for name in ("a", "b")]
    subprocess.run([sys.executable, tmp_path / "nested.py", *places], cwd=repository, check=True, timeout=60)
    assert [units(place) for place in places] == [expected, expected]


def wait_for(condition) -> None:
    deadline = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_cluster_job_at_its_time_limit_continues(tmp_path, expected):
    submitit_launcher(tmp_path / "jobs").run(jobs(tmp_path / "units", {2: stop_at_a_safe_place}))
    after = units(tmp_path / "units")
    assert after[2] == (expected[2][0], "xx") and after[0] == expected[0]


def test_cluster_job_without_an_answer_names_its_log(tmp_path, monkeypatch):
    from submitit.core.core import Job

    monkeypatch.setattr(Job, "_results_timeout_s", 0)  # a slow file system is given 15 s
    with pytest.raises(HostError) as caught:
        submitit_launcher(tmp_path / "jobs").run(dict(list(jobs(tmp_path / "units", {0: killed}).items())[:1]))
    place, log = caught.value.where.split(", log ")
    assert place == "decoder 0" and Path(log).is_file() and Path(log).is_relative_to(tmp_path / "jobs")


def lingers(place: Path) -> None:
    """Takes its time to end when it is asked to."""

    def later(*_) -> None:
        time.sleep(0.5)
        os._exit(1)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, later)
    place.write_text(str(os.getpid()))
    time.sleep(60)


def is_killed_once_there_is(place: Path) -> None:
    while not place.exists():
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGKILL)


def test_companions_of_a_cluster_job_that_failed_have_ended(tmp_path, monkeypatch):
    from submitit.core.core import Job

    monkeypatch.setattr(Job, "_results_timeout_s", 0)
    place = tmp_path / "pid"
    with pytest.raises(HostError, match="dies"):
        submitit_launcher(tmp_path / "jobs").run({"lingers": partial(lingers, place), "dies": partial(is_killed_once_there_is, place)})
    with pytest.raises(ProcessLookupError):
        os.kill(int(place.read_text()), 0)


def test_inside_a_cluster_job_nothing_more_is_submitted(tmp_path, monkeypatch):
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
    submitit_launcher(tmp_path / "jobs").run(jobs(tmp_path / "units"))
    assert len(units(tmp_path / "units")) == 3 and not (tmp_path / "jobs").exists()


@pytest.mark.parametrize("variables", [{"RANK": "1"}, {"RANK": "0", "WORLD_SIZE": "2"}, {"LOCAL_RANK": "1"}], ids=str)
@pytest.mark.parametrize("make", [lambda _: JoblibLauncher(2), submitit_launcher], ids=["joblib", "submitit"])
def test_refused_where_processes_train_together(make, variables, tmp_path, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="launcher=local"):
        make(tmp_path).run({"a": partial(pytest.fail, "has run"), "b": partial(pytest.fail, "has run")})
    assert LocalLauncher().run({"a": partial(int, 1)}) is None


def test_nonsense_is_refused(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="launcher.jobs=0"):
        JoblibLauncher(0)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageError, match="no SLURM"):
        SubmititLauncher(tmp_path, gpus=1, cpus=1, mem_gb=1, timeout_min=5, cluster="slurm")
    launcher = SubmititLauncher(tmp_path, gpus=1, cpus=1, mem_gb=1, timeout_min=5, cluster="local", slurm={"partiton": "gpu"})
    with pytest.raises(UsageError, match="partiton"):
        launcher.run({"a": partial(int, 1)})


def test_slurm_that_refuses_says_why(tmp_path, monkeypatch, repository):
    for name, text in (("srun", "exit 0"), ("sbatch", "echo invalid partition specified >&2; exit 1")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    cfg = OmegaConf.load(repository / "conf" / "launcher" / "submitit.yaml")
    cfg.paths, cfg.launcher.slurm.partition = {"outputs": str(tmp_path)}, "nowhere"
    with pytest.raises(UsageError, match="invalid partition"):
        instantiate(cfg.launcher, _convert_="all").run({"a": partial(int, 1), "b": partial(int, 1)})
    script = next((tmp_path / "jobs").glob("*.sh")).read_text()
    for flag in ("partition=nowhere", "array=0-1%2", "signal=USR2@120", "gpus-per-node=1", "cpus-per-task=16", "mem=64GB", "time=1440"):
        assert f"#SBATCH --{flag}" in script.replace("'", "")


@pytest.mark.parametrize("name, kind", [("local", LocalLauncher), ("joblib", JoblibLauncher), ("submitit", SubmititLauncher)])
def test_yaml_makes_a_launcher(name, kind, repository, tmp_path):
    cfg = OmegaConf.load(repository / "conf" / "launcher" / f"{name}.yaml")
    cfg.paths = {"outputs": str(tmp_path)}
    if name == "submitit":
        cfg.launcher.cluster = "local"
    assert type(instantiate(cfg.launcher, _convert_="all")) is kind
