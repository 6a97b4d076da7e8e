"""The mirror never stops a run and never logs what is undefined."""

import pytest

from experiments import mirror

ROWS = [
    {"step": 0, "dataset": "d", "structure": "Liver", "dsc": 0.5},
    {"step": 0, "dataset": "d", "structure": "Liver", "dsc": 1.0},
    {"step": 0, "dataset": "d", "structure": "Eso", "dsc": None},
    {"step": 1, "dataset": "d", "structure": "Liver", "dsc": 0.25},
]


def test_means_leave_out_what_is_undefined():
    assert mirror._means(ROWS) == {0: {"d/Liver": 0.75}, 1: {"d/Liver": 0.25}}


def test_nothing_happens_unless_asked_for(tmp_path):
    mirror.mirror({"logger": {"wandb": None}}, tmp_path, ROWS)
    mirror.mirror({}, tmp_path, ROWS)
    assert not list(tmp_path.iterdir())


def test_a_failing_service_is_one_warning(tmp_path):
    with pytest.warns(UserWarning, match="got no copy"):
        mirror.mirror({"logger": {"wandb": {"project": "p", "mode": "no such mode"}}}, tmp_path, ROWS)
