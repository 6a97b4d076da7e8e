"""labelled_cases: so many training cases keep their labels, the others stay as scans alone, and units know the difference."""

from __future__ import annotations

import pytest

from clnet.data.prepare import Recipe, prepare_dataset
from clnet.errors import UsageError
from clnet.learn.validate import held_out
from experiments.pipeline import training_task


@pytest.fixture
def spec_and_prepare(make_dataset, tmp_path):
    spec = make_dataset(tmp_path / "raw", train=5, test=0)
    cases = tuple(prepare_dataset(spec, "train", Recipe((3.0, 3.0, 3.0)), tmp_path / "prepared", 0))
    return spec, lambda *_: (cases, "identity")


@pytest.mark.parametrize(("labelled", "kept"), [(None, 5), (0.1, 1), (0.4, 2), (3, 3), (99, 5)])
def test_so_many_keep_their_labels(spec_and_prepare, labelled, kept):
    spec, prepare = spec_and_prepare
    task = training_task(0, spec, prepare, labelled)
    assert len(task.cases) == 5 and sum(bool(case.annotated) for case in task.cases) == kept
    assert (task.identity == "identity") == (labelled is None)
    assert all(case.image_hu().size for case in task.cases) and all(len(case.annotated) in (0, 3) for case in task.cases)
    again, more = training_task(0, spec, prepare, labelled), training_task(0, spec, prepare, 4)
    assert [case.annotated for case in again.cases] == [case.annotated for case in task.cases]
    few = {case.case for case in task.cases if case.annotated}
    assert kept > 4 or few <= {case.case for case in more.cases if case.annotated}, "more labels are those and others"


def test_none_is_refused(spec_and_prepare):
    with pytest.raises(UsageError, match="no case") as error:
        training_task(0, *spec_and_prepare, 0)
    assert error.value.where == "labelled_cases"


def test_cases_without_labels_do_not_validate(spec_and_prepare):
    spec, prepare = spec_and_prepare
    learn, validate = held_out(training_task(0, spec, prepare, 3).cases, 0.34)
    assert len(validate) == 1 and validate[0].annotated and len(learn) == 4
    learn, validate = held_out(training_task(0, spec, prepare, 1).cases, 0.34)
    assert not validate and len(learn) == 5, "the only labels are learned from"
