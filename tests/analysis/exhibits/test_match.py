"""Which of the paper's methods there are, and the words for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.exhibits.match import METHODS, method_name, why_absent

CONF = Path(__file__).resolve().parents[3] / "conf"


def test_methods_are_those_that_can_be_chosen():
    assert set(METHODS) == {path.stem for path in (CONF / "method").glob("*.yaml")}


@pytest.mark.parametrize(("method", "name"), [("CLNet_U36_unpruned", "CL-Net U36, unpruned"), ("nnUNet_E5", "nnU-Net E5"),
                                              ("CLNet_C36_noFLS", "CL-Net C36, no FL-supporting"), ("SAT-Pro", "SAT-Pro")])
def test_names_for_readers(method, name):
    assert method_name(method) == name


def test_why_no_run_can_repeat_a_method():
    assert why_absent("CLNet_C5_unpruned") is None
    assert "released model of another work" in why_absent("VISTA3D")
    for method, ours in (("nnUNet_E36", "nnunet"), ("MiB", "mib")):
        assert (why_absent(method) is None) == (ours in METHODS)
