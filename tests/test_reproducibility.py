"""REPRODUCIBILITY.md: every test that it names exists in the file it names, and every method has a place in it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "REPRODUCIBILITY.md").read_text()


def test_every_test_that_is_named_exists():
    files = list((ROOT / "tests").rglob("test_*.py"))
    named = re.findall(r"`(?:tests/\w+/)?(test_\w+\.py)`|`(test_\w+)`", TEXT)
    assert len(named) > 30
    defined = {name for path in files for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)}
    assert not {file for file, _ in named if file} - {path.name for path in files}
    assert not {name for _, name in named if name} - defined


def test_every_method_has_its_section():
    titles = {name for line in TEXT.splitlines() if line.startswith("## ") for name in re.split(r", | ", line[3:])}
    methods = {path.stem for path in (ROOT / "conf" / "method").glob("*.yaml")} - {"clnet"}
    assert methods <= titles and "CL-Net" in titles
