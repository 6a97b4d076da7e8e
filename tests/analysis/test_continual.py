"""Hand-worked 3 x 3 examples of each continual-learning metric."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from analysis.continual import (
    METRICS,
    average_accuracy,
    average_incremental_accuracy,
    backward_transfer,
    backward_transfer_all_pairs,
    forgetting,
    forgetting_terms,
    forward_transfer_all_pairs,
    learning_accuracy,
    positive_backward_transfer,
    relative_backward_transfer,
    remembering,
)

NAN = math.nan
# rows: after step 0, 1, 2; columns: tasks 0, 1, 2
FORGETS = np.array([[0.9, NAN, NAN],
                    [0.7, 0.8, NAN],
                    [0.6, 0.5, 0.7]])
IMPROVES = np.array([[0.5, NAN, NAN],
                     [0.4, 0.6, NAN],
                     [0.8, 0.6, 0.9]])


def test_forgetting_matrix():
    assert average_accuracy(FORGETS) == pytest.approx((0.6 + 0.5 + 0.7) / 3)
    assert forgetting(FORGETS) == pytest.approx(((0.9 - 0.6) + (0.8 - 0.5)) / 2)
    assert backward_transfer(FORGETS) == pytest.approx(((0.6 - 0.9) + (0.5 - 0.8)) / 2)
    assert learning_accuracy(FORGETS) == pytest.approx((0.9 + 0.8 + 0.7) / 3)


def test_forgetting_is_negative_where_tasks_improve():
    assert forgetting(IMPROVES) == pytest.approx(((0.5 - 0.8) + 0.0) / 2)  # the maximum leaves out the last step: not clipped at 0
    assert backward_transfer(IMPROVES) == pytest.approx((0.3 + 0.0) / 2)


def test_forgetting_takes_the_best_earlier_step_and_backward_transfer_the_first():
    matrix = np.array([[0.5, NAN, NAN], [0.9, 0.6, NAN], [0.7, 0.6, 0.9]])
    assert forgetting(matrix) == pytest.approx(((0.9 - 0.7) + 0.0) / 2)
    assert backward_transfer(matrix) == pytest.approx(((0.7 - 0.5) + 0.0) / 2)


def test_average_incremental_accuracy():
    assert average_incremental_accuracy(FORGETS) == pytest.approx((0.9 + (0.7 + 0.8) / 2 + (0.6 + 0.5 + 0.7) / 3) / 3)
    matrix = np.array([[0.9, 0.1, NAN], [NAN, NAN, NAN], [0.6, NAN, 0.8]])  # 0.1: not learned yet; step 1 has no score
    assert average_incremental_accuracy(matrix) == pytest.approx((0.9 + 0.7) / 2)


def test_backward_transfer_over_all_pairs():
    loss = ((0.7 - 0.9) + (0.6 - 0.9) + (0.5 - 0.8)) / 3
    assert backward_transfer_all_pairs(FORGETS) == pytest.approx(loss)
    assert remembering(FORGETS) == pytest.approx(1 + loss) and positive_backward_transfer(FORGETS) == 0
    gain = ((0.4 - 0.5) + (0.8 - 0.5) + (0.6 - 0.6)) / 3
    assert backward_transfer_all_pairs(IMPROVES) == positive_backward_transfer(IMPROVES) == pytest.approx(gain)
    assert remembering(IMPROVES) == 1


def test_backward_transfer_over_all_pairs_leaves_out_missing_cells():
    matrix = np.array([[0.9, NAN, NAN], [NAN, NAN, NAN], [0.6, 0.5, 0.7]])  # task 1 has no score from when it was learned
    assert backward_transfer_all_pairs(matrix) == pytest.approx(-0.3)


def test_backward_transfer_over_all_pairs_of_organs_learned_together():
    matrix = np.array([[0.9, 0.8, NAN], [0.7, 0.9, 0.6]])
    assert backward_transfer_all_pairs(matrix, (0, 0, 1)) == pytest.approx(((0.7 - 0.9) + (0.9 - 0.8)) / 2)


def test_forward_transfer_over_all_pairs():
    matrix = np.array([[0.9, 0.2, 0.1], [0.7, 0.8, 0.3], [0.6, 0.5, 0.7]])
    assert forward_transfer_all_pairs(matrix) == pytest.approx((0.2 + 0.1 + 0.3) / 3)
    assert math.isnan(forward_transfer_all_pairs(FORGETS))


def test_relative_backward_transfer():
    assert relative_backward_transfer(FORGETS) == pytest.approx(((0.6 - 0.9) / 0.9 + (0.5 - 0.8) / 0.8) / 2)
    assert relative_backward_transfer(-np.array([[1.0, NAN], [1.5, 2.0]])) == pytest.approx(-0.5)  # 50 % further away
    assert relative_backward_transfer(np.array([[0.0, NAN, NAN], [0.0, 0.5, NAN], [0.3, 0.4, 0.9]])) == pytest.approx(-0.2)


def test_missing_cells_are_left_out():
    matrix = np.array([[0.9, NAN, NAN], [NAN, NAN, NAN], [0.6, 0.5, NAN]])
    assert average_accuracy(matrix) == pytest.approx(0.55)
    assert forgetting(matrix) == pytest.approx(0.3)  # task 1 has no earlier score
    assert backward_transfer(matrix) == pytest.approx(-0.3)
    assert learning_accuracy(matrix) == pytest.approx(0.9)
    assert np.isnan(forgetting_terms(matrix)).tolist() == [False, True, True]


def test_final_score_missing():
    matrix = np.array([[0.9, NAN], [NAN, 0.5]])
    assert math.isnan(forgetting(matrix)) and math.isnan(backward_transfer(matrix))
    assert average_accuracy(matrix) == 0.5


def test_one_task_has_no_forgetting():
    matrix = np.array([[0.8]])
    assert math.isnan(forgetting(matrix)) and math.isnan(backward_transfer(matrix))
    assert average_accuracy(matrix) == learning_accuracy(matrix) == average_incremental_accuracy(matrix) == 0.8
    assert all(math.isnan(function(matrix)) for function in (backward_transfer_all_pairs, remembering, positive_backward_transfer))


def test_nothing_defined():
    assert all(math.isnan(metric.function(np.full((3, 3), NAN))) for metric in METRICS)


def test_negated_distances():
    matrix = -np.array([[1.0, NAN], [1.5, 2.0]])  # the surface moved away by 0.5 mm
    assert forgetting(matrix) == pytest.approx(0.5)
    assert backward_transfer(matrix) == pytest.approx(-0.5)


def test_organs_learned_in_one_step():
    matrix = np.array([[0.9, 0.8, NAN], [0.7, 0.9, 0.6]])  # two organs in step 0, one in step 1
    assert forgetting(matrix, (0, 0, 1)) == pytest.approx(((0.9 - 0.7) + (0.8 - 0.9)) / 2)
    assert backward_transfer(matrix, (0, 0, 1)) == pytest.approx(((0.7 - 0.9) + (0.9 - 0.8)) / 2)
    assert learning_accuracy(matrix, (0, 0, 1)) == pytest.approx((0.9 + 0.8 + 0.6) / 3)
    assert average_accuracy(matrix, (0, 0, 1)) == pytest.approx((0.7 + 0.9 + 0.6) / 3)


def test_shapes_that_have_no_meaning_are_refused():
    with pytest.raises(ValueError, match="needs `learned`"):
        forgetting(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="one step of the 2"):
        forgetting(np.zeros((2, 3)), (0, 1, 2))
    with pytest.raises(ValueError, match="at least one step"):
        average_accuracy(np.zeros(3))


@given(some.lists(some.lists(some.one_of(some.floats(0, 1), some.just(NAN)), min_size=4, max_size=4), min_size=4, max_size=4))
def test_forgetting_is_at_least_minus_backward_transfer(rows: list[list[float]]):
    matrix = np.array(rows)
    np.fill_diagonal(matrix, 0.5)
    matrix[-1] = np.nan_to_num(matrix[-1], nan=0.3)
    assert forgetting(matrix) >= -backward_transfer(matrix) - 1e-12  # the best earlier score is at least the one when learned
