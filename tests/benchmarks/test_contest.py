"""The frame of the benchmarks: turns, ratios, goals, the table and the command."""

from __future__ import annotations

import math

import pytest

from benchmarks.__main__ import main, modules
from benchmarks.contest import Result, agreement, alternate, speedup
from benchmarks.table import machine, page, table

FASTER = Result("P0", "a|b", "new", "old", 3.0, 2.5, True, "bits", "why", 0.1, 0.3)


def test_sides_take_turns_after_one_warm_up_each():
    calls = []
    times = alternate({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=3)
    assert calls == ["a", "b"] * 4
    assert [len(values) for values in times.values()] == [3, 3] and all(value >= 0 for values in times.values() for value in values)


def test_no_rounds_are_refused():
    with pytest.raises(ValueError, match="at least 1"):
        alternate({"a": list}, repeats=0)


def test_the_ratio_is_taken_round_by_round():
    assert speedup({"new": [1.0, 10.0, 2.0], "old": [3.0, 30.0, 2.0]}, "new", "old") == 3.0


@pytest.mark.parametrize(("ratio", "higher", "met"), [(2.5, True, True), (2.4, True, False), (2.5, False, True), (2.6, False, False),
                                                      (math.nan, True, False), (math.inf, True, False)])  # fmt: skip
def test_goals(ratio, higher, met):
    assert Result("P0", "", "", "", ratio, 2.5, higher, "").met is met


@pytest.mark.parametrize("apart", [1e-8, math.nan])
def test_sides_that_differ_are_an_error(apart):
    with pytest.raises(AssertionError, match="labels"):
        agreement("labels", apart, 1e-9)
    assert agreement("labels", 0.0, 0.0) == "labels: equal" and agreement("labels", 2e-16, 1e-9) == "labels: within 2e-16"


def test_the_table_has_a_row_a_result_and_its_note():
    lines = table([FASTER]).splitlines()
    assert lines[2] == r"| P0 | a\|b | new | old | 0.1 | 0.3 | 3 | ≥ 2.5 | yes | bits |"
    assert lines[4:] == ["- P0, new: why"]
    assert machine() in page([FASTER], "python -m benchmarks") and table([FASTER]) in page([FASTER], "")


def test_keys_are_those_of_the_files(repository):
    files = {path.stem for path in (repository / "benchmarks").glob("[ph][0-9]*.py")}
    assert {name.removeprefix("benchmarks.") for name in modules().values()} == files | {"memory"}
    assert all(module.removeprefix("benchmarks.").partition("_")[0] == key.lower() for key, module in modules().items())


def test_an_unknown_key_is_refused(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["P77"])
    assert stopped.value.code == 2 and "P77" in capsys.readouterr().err
