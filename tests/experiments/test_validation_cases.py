"""scored_cases=validation: the cases that nothing learns from are scored, test cases are not even prepared, nothing looks like a result."""

from __future__ import annotations

from pathlib import Path

import pytest

from clnet.data.prepare import Recipe, prepare_dataset
from clnet.errors import DataError, UsageError
from clnet.learn.validate import held_out
from experiments import overrides, results, runfolder
from experiments.pipeline import tasks_and_tests, training_task, validation_set

CONF = Path(__file__).resolve().parents[2] / "conf"
VALIDATION = ("order.steps=[abdomen]", "data.make.cases={chest: [1,1], abdomen: [2,1], lesion: [1,1]}", "scored_cases=validation",
              "validation_share=0.4")  # fmt: skip


class Said:
    def say(self, line: str) -> None:
        self.line = line


@pytest.fixture
def spec_and_prepare(make_dataset, tmp_path):
    spec = make_dataset(tmp_path / "raw", train=5, test=1)
    asked = []

    def prepare(spec, split):
        asked.append(split)
        return tuple(prepare_dataset(spec, split, Recipe((3.0, 3.0, 3.0)), tmp_path / split, 0)), f"identity of {split}"

    return spec, prepare, asked


def test_what_is_scored_is_what_nothing_learns_from(spec_and_prepare):
    spec, prepare, asked = spec_and_prepare
    said = Said()
    [task], tests = tasks_and_tests({"slot": spec}, prepare, said, validation_share=0.4)
    learn, validate = held_out(task.cases, 0.4)
    assert asked == ["train"], "test cases are left alone"
    scored = {case.case for case in tests[spec.name].cases}
    assert scored == {case.case for case in validate} and len(scored) == 2 and not scored & {case.case for case in learn}
    assert tests[spec.name].identity == "identity of train, validation 0.4" and "of them 2 validation cases" in said.line
    _, tests = tasks_and_tests({"slot": spec}, prepare, said)
    assert asked == ["train", "train", "test"] and tests[spec.name].identity == "identity of test" and "1 test cases" in said.line


def test_no_case_to_spare_is_told(spec_and_prepare):
    spec, prepare, _ = spec_and_prepare
    with pytest.raises(DataError, match="no training case can be spared"):
        validation_set(spec, training_task(0, spec, prepare, 1), 0.4)


@pytest.mark.parametrize("typed, told", [("scored_cases=train", "expected.*test, validation"),
                                         ("validation_share=0", "no case is left out")])  # fmt: skip
def test_the_command_line_is_checked(typed, told):
    with pytest.raises(UsageError, match=f"(?s){told}"):
        overrides.check(["scored_cases=validation", typed], CONF)


def test_the_folders_name_and_configuration_tell():
    assert runfolder.name_of("order1", ["method=mib", "scored_cases=validation"]) == "order1__method-mib__scored_cases-validation"
    old, test, validation = ({"seed": 0} | more for more in ({}, {"scored_cases": "test"}, {"scored_cases": "validation"}))
    assert runfolder.semantic(old) == runfolder.semantic(test) != runfolder.semantic(validation)


@pytest.mark.parametrize("method", ["clnet", "finetune"])
def test_a_run_of_validation_cases(first_run, tmp_path, method):
    quick = [f"scale.training.{lesson}.{key}=1" for lesson in ("first", "later") for key in ("epochs", "steps_per_epoch")]
    own = (*VALIDATION, f"method={method}", *quick, *first_run.sharing(tmp_path))
    done = first_run.here(*own)
    assert done.code == 0, done.err
    folder = done.folder
    scores = results.read(folder / "validation_scores.csv")
    assert not (folder / "scores.csv").exists() and not (folder / "cases").exists()
    before = first_run.units(first_run.outputs / "units")
    tested = first_run.here(*(word for word in own if word != "scored_cases=validation"))
    assert tested.code == 0, tested.err
    kinds = {name.split("/")[0] for name in first_run.units(first_run.outputs / "units").keys() - before.keys()}
    assert kinds <= {"predictions", "scores", "merged", "rivals"}, "the same weights, nothing is trained again"
    assert scores and not {row["case"] for row in scores} & {row["case"] for row in results.read(tested.folder / "scores.csv")}
