"""Hand-worked 3 x 3 examples of the metrics that compare with a second run."""

from __future__ import annotations

import math

import numpy as np
import pytest

from analysis.continual_references import (
    REFERENCE_METRICS,
    intransigence,
    plasticity,
    relative_forward_transfer,
    scores_of_reference,
)
from analysis.matrix import ScoreMatrix, score_matrix

NAN = math.nan
MATRIX = np.array([[0.9, NAN, NAN],
                   [0.7, 0.8, NAN],
                   [0.6, 0.5, 0.7]])


def test_intransigence_is_negative_where_sequence_helps():
    assert intransigence(MATRIX, np.array([0.95, 0.85, 0.75])) == pytest.approx(0.05)
    assert intransigence(MATRIX, np.array([0.8, 0.8, 0.4])) == pytest.approx((-0.1 + 0 - 0.3) / 3)


def test_plasticity_against_the_specialist():
    assert plasticity(MATRIX, np.array([0.8, 0.9, 0.4])) == pytest.approx((0.1 - 0.1 + 0.3) / 3)


def test_relative_forward_transfer_leaves_out_the_first_step():
    assert relative_forward_transfer(MATRIX, np.array([0.1, 0.4, 0.7])) == pytest.approx(((0.8 - 0.4) / 0.4 + 0) / 2)
    assert relative_forward_transfer(np.array([[0.9, 0.8, NAN], [0.9, 0.8, 0.6]]), np.array([0.1, 0.1, 0.5]), (0, 0, 1)) == (
        pytest.approx(0.2))
    assert relative_forward_transfer(-np.array([[1.0, NAN], [1.0, 2.0]]), -np.array([1.0, 4.0])) == pytest.approx(0.5)  # 4 mm became 2


def test_tasks_without_a_reference_are_left_out():
    joint = np.array([0.95, NAN, 0.6])
    assert intransigence(MATRIX, joint) == pytest.approx((0.05 - 0.1) / 2)
    assert plasticity(MATRIX, joint) == pytest.approx((-0.05 + 0.1) / 2)
    assert relative_forward_transfer(MATRIX, np.array([0.9, 0.0, 0.35])) == pytest.approx(1.0)  # nothing to divide task 1 by
    assert all(math.isnan(metric.function(MATRIX, np.full(3, NAN))) for metric in REFERENCE_METRICS.values())


def test_a_reference_of_another_length_is_refused():
    with pytest.raises(ValueError, match="each of 3 tasks"):
        plasticity(MATRIX, np.zeros(2))


def test_the_references_scores_are_those_when_it_learned_a_task():
    ours = ScoreMatrix(MATRIX, ("a", "b", "c"), (0, 1, 2))
    other = ScoreMatrix(np.array([[0.5, NAN], [0.4, 0.6]]), ("c", "a"), (0, 1))
    assert scores_of_reference(ours, other) == pytest.approx(np.array([0.6, NAN, 0.5]), nan_ok=True)


def test_a_universal_run_is_a_joint_reference(scores, universal_scores):
    ours, together = score_matrix(scores, by="structure"), score_matrix(universal_scores, by="structure")
    joint = scores_of_reference(ours, together)
    assert np.array_equal(joint, ours.values[-1], equal_nan=True)  # its only step is the last of the other run
    assert intransigence(ours.values, joint, ours.learned) < 0  # what was forgotten since
