"""The rule of tests/conftest.py: tests of the real scans are skipped where there are none, and must not be skipped where there are."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = """
import pytest

@pytest.mark.shared
def test_that_skips_itself(shared):
    pytest.skip("no reason")

@pytest.mark.shared
def test_that_looks(shared):
    assert (shared / "here").is_file()

def test_of_nothing_real():
    pytest.skip("allowed")
"""


@pytest.mark.parametrize(("scans", "expected"), [(True, "1 failed, 1 passed, 1 skipped"), (False, "3 skipped")])
def test_skipping_a_shared_test(tmp_path, scans, expected):
    folder = tmp_path / "scans"
    if scans:
        folder.mkdir()
        (folder / "here").touch()
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path / "conftest.py")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = shared: real scans\n")
    (tmp_path / "test_example.py").write_text(EXAMPLE)
    run = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)], cwd=tmp_path, check=False,
                         capture_output=True, text=True, env={**os.environ, "CLNET_SHARED": str(folder)})
    assert expected in run.stdout.splitlines()[-1], run.stdout
