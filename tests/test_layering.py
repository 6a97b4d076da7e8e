"""Imports run one way, from clnet.data to analysis and benchmarks; torch stays out of what must start fast."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
# A package may import itself and what stands before it.
LAYERS = ["clnet.data", "clnet.model", "clnet.infer", "clnet.learn", "baselines", "experiments", "analysis", "benchmarks"]
# What every package may import, and what these few may import of each other.
COMMON = {"clnet.types": {"clnet.errors"}, "clnet.errors": set(), "clnet.anatomy": {"clnet.types", "clnet.errors"},
          "clnet.stop": {"clnet.errors"}, "clnet.atomic": {"clnet.types", "clnet.errors"},
          "clnet.units": {"clnet.types", "clnet.errors", "clnet.atomic", "clnet.stop"},
          "clnet.launch": {"clnet.errors", "clnet.stop", "clnet.units"}}
# What run.py calls for each task knows everything, as run.py does; so nothing may import it by name.
WIRING = {"experiments.tasks"}
# analysis reads tables only: of this repository it may know the common vocabulary, nothing of the pipeline.
ANALYSIS_MAY_IMPORT = {"analysis", *COMMON}
WITHOUT_TORCH = ["clnet/types.py", "clnet/errors.py", "clnet/units.py", "clnet/atomic.py", "clnet/stop.py", "clnet/launch",
                 "clnet/anatomy", "clnet/data/dataset.py", "clnet/data/layout.py", "analysis"]
OURS = ("clnet", "baselines", "experiments", "analysis", "benchmarks")
FILES = sorted(path for package in OURS for path in (REPOSITORY / package).rglob("*.py"))


def imports_of(source: str, module: str = "clnet") -> list[str]:
    """Dotted names that a source imports, anywhere in it: modules, and names out of modules (which may be modules)."""
    found, here = [], module.split(".")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = [*here[:len(here) - node.level], *filter(None, [node.module])] if node.level else [node.module]
            found += [".".join([*start, alias.name]) for alias in node.names]
    return found


def package_of(module: str) -> str | None:
    """The layer or common module that a dotted name lies in; `clnet` or another of ours if in neither; None if it is not ours."""
    for name in [*LAYERS, *COMMON]:
        if module == name or module.startswith(name + "."):
            return name
    return module.split(".")[0] if module.split(".")[0] in OURS else None


def allowed_for(package: str) -> set[str]:
    if package in COMMON:
        return {package, *COMMON[package]}
    if package == "analysis":
        return ANALYSIS_MAY_IMPORT
    return {*COMMON, *LAYERS[:LAYERS.index(package) + 1]}


def violations(module: str, source: str) -> list[str]:
    package = package_of(module)
    if module == "clnet":
        return [f"clnet/__init__.py imports {name}" for name in imports_of(source)]
    if package not in COMMON and package not in LAYERS:
        return [f"{module}: in no layer; give it a place in LAYERS or COMMON"]
    allowed = {*COMMON, *LAYERS} if module in WIRING else allowed_for(package)
    names = imports_of(source, module)
    wrong = [name for name in names if name.startswith(tuple(WIRING)) or package_of(name) and package_of(name) not in allowed]
    return [f"{module} imports {name}" for name in wrong]


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_imports_run_one_way(path):
    assert not violations(module_of(path), path.read_text(encoding="utf-8"))


def test_the_rule_sees_violations():
    assert violations("clnet.data.reader", "from clnet.model.network import Network")
    assert violations("clnet.model.encoder", "def f():\n    import experiments.evaluate")
    assert violations("analysis.load", "from experiments import results")
    assert violations("clnet.data.reader", "from ..model import network")
    assert violations("experiments.scenario", "from experiments import tasks") and not violations("experiments.tasks", "import analysis")
    assert violations("clnet.somewhere", "x = 1")
    assert violations("experiments.score", "from benchmarks import contest") and not violations("benchmarks.p1", "import experiments.score")
    assert not violations("clnet.data.phantom.shapes", "from .part import Part\nfrom .. import store")
    assert not violations("experiments.evaluate", "from clnet.data.store import PreparedCase\nimport numpy")


LIGHT_FILES = [path for path in FILES if any(path.is_relative_to(REPOSITORY / place) for place in WITHOUT_TORCH)]


@pytest.mark.parametrize("path", LIGHT_FILES, ids=module_of)
def test_torch_stays_out_of_the_source(path):
    heavy = {"torch", "lightning", "monai", "batchgeneratorsv2"}
    assert not [name for name in imports_of(path.read_text(encoding="utf-8"), module_of(path)) if name.split(".")[0] in heavy]


def test_a_dataset_is_described_without_torch():
    code = ("import sys; from clnet.data import dataset, layout; from clnet.anatomy import registry; registry.load();"
            "sys.exit('torch' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False).returncode == 0
