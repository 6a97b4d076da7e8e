"""What the environment must and must not hold, and that its files agree with each other."""

from __future__ import annotations

import importlib.util
import tomllib
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.version import Version


@pytest.fixture(scope="module")
def project(repository) -> dict:
    return tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def constraints(repository) -> dict[str, str]:
    lines = (repository / "constraints.txt").read_text(encoding="utf-8").split()
    return dict(line.lower().replace("_", "-").split("==") for line in lines)


def test_torchvision_is_not_installed():
    """Its wheel for this torch links CUDA; once it is there, even `import lightning` fails on a machine without."""
    assert importlib.util.find_spec("torchvision") is None


def test_requirements_hold_and_are_constrained(project, constraints):
    for line in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        requirement = Requirement(line)
        exact = constraints[requirement.name.lower().replace("_", "-")]
        assert requirement.specifier.contains(exact), line
        assert requirement.specifier.contains(Version(metadata.version(requirement.name)).public), line


def test_constraints_are_plain_versions(repository):
    """name==version only: no paths, hosts or local versions, which would not install elsewhere."""
    lines = (repository / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert all(line.count("==") == 1 and not set(line) & set("/@+ ") for line in lines)
    assert "torch==2.13.0" in lines


def test_every_dependency_says_why(repository):
    text = (repository / "pyproject.toml").read_text(encoding="utf-8")
    body = text[text.index("dependencies = ["):text.index("[tool.setuptools")]
    pins = [line for line in body.splitlines() if line.strip().startswith('"')]
    assert len(pins) > 20 and not [line for line in pins if "  #" not in line and ", #" not in line]
