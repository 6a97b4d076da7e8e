"""A whole run on a phantom of a few thousand voxels: real commands in processes of their own, and quick ones in this process."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import hydra
import pytest
import torch

from experiments import cli

REPOSITORY = Path(__file__).resolve().parents[2]
SMALL = (
    "name=small", "order.steps=[chest,abdomen]", "augment=none", "trainer.threads=1", "trainer.prepare_workers=0", "evaluate.workers=1",
    "data.make.coarsen=4", "data.make.workers=1", "data.make.cases={chest: [1,1], abdomen: [2,1], lesion: [1,1]}",
    "scale.recipe.spacing_mm=[12,12,12]", "scale.network.features=[4,4,8,8]", "scale.decoder_width=4",
    "bpr.steps=10", "bpr.slices=3", "bpr.slice_mm=12", "bpr.minimum_order=-1",
    "scale.network.summed_logits=false",  # heads that start at zero would predict background alone after two steps
    "scale.windows.patch_zyx=[16,16,16]", "scale.sampling.encoder.patch_zyx=[16,16,16]", "scale.sampling.decoder.patch_zyx=[16,16,16]",
    *(f"scale.training.{lesson}.{key}" for lesson, key in (("encoder", "epochs=2"), ("encoder", "steps_per_epoch=2"),
      ("new", "epochs=2"), ("new", "steps_per_epoch=1"), ("refine", "epochs=1"), ("refine", "steps_per_epoch=1"),
      ("update", "epochs=1"), ("update", "steps_per_epoch=1"), ("new", "warm_up_epochs=0"), ("refine", "warm_up_epochs=0"))),
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """How a command ended: exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def folder(self) -> Path:
        """The run folder that the command named last."""
        return Path(self.out.strip().splitlines()[-1].removeprefix("run folder: "))


def command(*overrides: str, script: str = "", **environment: str) -> Outcome:
    """`python run.py` as a user types it, or `script` with the same arguments."""
    arguments = ["-c", script] if script else ["run.py"]
    done = subprocess.run([sys.executable, *arguments, *SMALL, *overrides], cwd=REPOSITORY, capture_output=True, text=True, check=False,
                          env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)} | environment)  # fmt: skip
    return Outcome(done.returncode, done.stdout, done.stderr)


def here(*overrides: str) -> Outcome:
    """The same without a process of its own and without the report; what a run sets for its process is put back."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)}
    threads, deterministic, arguments = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), sys.argv
    out, err = io.StringIO(), io.StringIO()
    main = hydra.main(version_base="1.3", config_path=str(REPOSITORY / "conf"), config_name="config")
    try:
        sys.argv = ["run.py", *SMALL, *overrides]
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.exit_code_of(main(lambda cfg: cli.job(cfg, SimpleNamespace(report=lambda folder: None))))
    finally:
        sys.argv = arguments
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return Outcome(code, out.getvalue(), err.getvalue())


def units(root: Path) -> dict[str, int]:
    """Every file of the finished units with its time of change."""
    files = [path for path in root.rglob("*") if path.is_file() and ".locks" not in path.parts and path.name != "content.json"]
    return {name: file.stat().st_mtime_ns for file in files if ".partial" not in (name := str(file.relative_to(root)))}


@dataclass(frozen=True)
class FirstRun:
    """A finished run of the small configuration, and ways to call it again."""

    outputs: Path
    folder: Path
    here: Callable[..., Outcome] = here
    command: Callable[..., Outcome] = command
    units: Callable[[Path], dict[str, int]] = units

    def sharing(self, outputs: Path) -> tuple[str, ...]:
        """Overrides for a run with folders of its own that reads the same phantom and the same units."""
        return f"paths.outputs={outputs}", f"paths.units={self.outputs}/units", f"paths.data={self.outputs}/data"


@pytest.fixture(scope="session")
def first_run(tmp_path_factory) -> Iterator[FirstRun]:
    """`python run.py`, uninterrupted, in a process of its own, with its report."""
    outputs = tmp_path_factory.mktemp("outputs")
    done = command(f"paths.outputs={outputs}")
    assert done.code == 0, done.err
    yield FirstRun(outputs, done.folder)
