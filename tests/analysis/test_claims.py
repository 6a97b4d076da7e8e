"""Verdicts on claims: reproduced within the tolerance, differing, or not run; and a list of claims that is wrong is named."""

from __future__ import annotations

import json

import pytest
import yaml

from analysis.__main__ import main
from analysis.aggregate import final_mean
from analysis.claim_list import read_claims
from analysis.claims import DIFFERS, NOT_RUN, REPRODUCED, check, judge
from clnet.errors import DataError

TOLERANCES = {"near": {"within": 0.005, "because": "rounding"}, "none": {"within": 0, "because": "a count"}}
RUNS = {"one": "python run.py seed=0", "two": "python run.py seed=1", "absent": "python run.py seed=2"}


@pytest.fixture
def runs(run_with, scores_of, tmp_path):
    for seed, name in enumerate(("one", "two")):
        run_with(scores_of(0.05, seed=seed).assign(seed=seed), name=f"runs/{name}")
    return tmp_path / "runs"


@pytest.fixture
def listed(tmp_path):
    def listed(*numbers, **changes):
        sentence = {"text": "a sentence", "run": "one", "measure": "score", "tolerance": "near", "numbers": list(numbers)}
        content = {"runs": RUNS, "tolerances": TOLERANCES, "claims": [sentence]} | changes
        (tmp_path / "claims.yaml").write_text(yaml.safe_dump(content))
        return tmp_path / "claims.yaml"

    return listed


def means(scores_of):
    return [float(final_mean(scores_of(0.05, seed=seed))["dsc"]) for seed in (0, 1)]


def test_the_three_verdicts(listed, runs, scores_of, capsys):
    first, second = means(scores_of)
    file = listed({"id": "same", "expected": round(first, 3)}, {"id": "edge", "expected": first + 0.005},
                  {"id": "off", "expected": first + 0.0051},
                  {"id": "absent", "run": ["one", "absent"], "expected": 0.5},
                  {"id": "mean", "run": ["one", "two"], "expected": (first + second) / 2},
                  {"id": "least", "run": ["one", "two"], "over": "min", "expected": min(first, second)},
                  {"id": "points", "minus": "two", "times": 100, "expected": 100 * (first - second)},
                  {"id": "nothing", "dataset": "phantom_none", "expected": 0.5},
                  {"id": "undefined", "measure": "forgetting", "group": "decoder unknown", "expected": 0})
    verdicts = {verdict.claim.id: verdict for verdict in judge(read_claims(file), runs)}
    assert {name: verdict.word for name, verdict in verdicts.items()} == {
        "same": REPRODUCED, "edge": REPRODUCED, "off": DIFFERS, "absent": NOT_RUN, "mean": REPRODUCED, "least": REPRODUCED,
        "points": REPRODUCED, "nothing": DIFFERS, "undefined": DIFFERS}
    assert verdicts["off"].found == pytest.approx(first) and verdicts["absent"].missing == ("absent",)
    with pytest.raises(DataError) as caught:
        check(file, runs)
    told, printed = str(caught.value), capsys.readouterr().out
    assert "3 of 9 claims differ" in told and "off: " in told and "rounding" in told and "phantom_none" in told
    assert "python run.py seed=2" in printed and "python run.py seed=1" not in printed
    assert "claims: reproduced 5, differs 3, not run 1" in printed and "nan" not in printed


def test_a_run_that_is_not_finished_is_not_run(listed, runs):
    for state, word in (("running", NOT_RUN), ("stopped", NOT_RUN), ("finished", DIFFERS)):
        (runs / "one" / "status.json").write_text(json.dumps({"state": state}))
        assert [verdict.word for verdict in judge(read_claims(listed({"id": "a", "expected": 0})), runs)] == [word]


def test_a_damaged_run_differs_and_spoils_no_other_claim(listed, runs, scores_of):
    (runs / "two" / "scores.csv").write_text("a,b\n1,2\n")
    file = listed({"id": "damaged", "run": "two", "expected": 0.5}, {"id": "whole", "expected": means(scores_of)[0]})
    first, second = judge(read_claims(file), runs)
    assert (first.word, second.word) == (DIFFERS, REPRODUCED) and "lacks columns" in first.note


@pytest.mark.parametrize(("numbers", "told"), [
    ([{"id": "a", "expected": 1}, {"id": "a", "expected": 2}], "the same id"),
    ([{"id": "a"}], "expected"), ([{"expected": 1}], "id"),
    ([{"id": "a", "expected": 1, "tolerance": "far"}], "far"),
    ([{"id": "a", "expected": 1, "run": "nobody"}], "nobody"), ([{"id": "a", "expected": 1, "run": []}], "none named"),
    ([{"id": "a", "expected": 1, "measure": "luck"}], "luck"), ([{"id": "a", "expected": 1, "datasets": "x"}], "datasets"),
    ([{"id": "a", "expected": 1, "over": "all"}], "over"),
])
def test_a_wrong_claim_is_named(listed, numbers, told):
    with pytest.raises(DataError, match=told):
        read_claims(listed(*numbers))


def test_a_wrong_list_is_named(listed, tmp_path):
    with pytest.raises(DataError, match="which leaves"):  # a comma in a reason without quotes
        read_claims(listed({"id": "a", "expected": 1}, tolerances={"near": {"within": 1, "because": "x", "which leaves": None}}))
    for text in ("{", "runs: {}", "- a"):
        (tmp_path / "bad.yaml").write_text(text)
        with pytest.raises(DataError, match="cannot be read"):
            read_claims(tmp_path / "bad.yaml")
    with pytest.raises(DataError, match="cannot be read"):
        read_claims(tmp_path / "none.yaml")


def test_on_the_command_line(listed, runs, scores_of, capsys):
    value = means(scores_of)[0]
    assert main(["claims", "--runs", str(runs), "--claims", str(listed({"id": "a", "expected": value}))]) == 0
    assert main(["claims", "--runs", str(runs), "--claims", str(listed({"id": "a", "expected": value + 1}))]) == 3
    assert "1 of 1 claims differ" in capsys.readouterr().err
    assert main(["claims", "--runs", str(runs / "none"), "--claims", str(listed({"id": "a", "expected": value}))]) == 0
    assert "reproduced 0, differs 0, not run 1" in capsys.readouterr().out
