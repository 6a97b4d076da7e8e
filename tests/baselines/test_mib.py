"""MiB's losses by hand: a voxel of four classes, with and without overlap of old and current ones."""

from __future__ import annotations

import math

import pytest
import torch

from baselines.mib import unbiased_cross_entropy, unbiased_distillation

PROBABILITY = (0.4, 0.3, 0.2, 0.1)  # background, two old classes, a new one
TEACHER = (0.5, 0.25, 0.25)


def voxels(*probabilities, gradient: bool = False) -> torch.Tensor:
    """(1, class, voxel, 1, 1) logits of these softmax probabilities."""
    logits = torch.tensor(probabilities).log().T[None, :, :, None, None].contiguous()
    return logits.requires_grad_(gradient)


def truth(*values: int) -> torch.Tensor:
    return torch.tensor(values)[None, :, None, None]


def test_background_may_be_an_old_class():
    """Eq. 12, 13: 0.4 + 0.3 + 0.2 where the dataset labels nothing, 0.1 where it labels the new class."""
    loss = unbiased_cross_entropy(voxels(PROBABILITY, PROBABILITY), truth(0, 3), old={0, 1, 2}, current={0, 3})
    assert float(loss) == pytest.approx(-(math.log(0.9) + math.log(0.1)) / 2)


def test_an_old_class_that_is_labelled_again_is_no_background():
    """Class 2 is in both: background is 0.4 + 0.3, class 2 itself 0.2."""
    loss = unbiased_cross_entropy(voxels(PROBABILITY, PROBABILITY), truth(0, 2), old={1, 2}, current={2, 3})
    assert float(loss) == pytest.approx(-(math.log(0.7) + math.log(0.2)) / 2)


def test_labels_of_old_classes_count_as_background():
    given = voxels(PROBABILITY)
    assert float(unbiased_cross_entropy(given, truth(1), {1, 2}, {3})) == pytest.approx(-math.log(0.9))


def test_without_old_classes_it_is_the_cross_entropy():
    given = voxels(PROBABILITY, (0.1, 0.2, 0.3, 0.4))
    ours = unbiased_cross_entropy(given, truth(2, 0), set(), {1, 2, 3})
    assert float(ours) == pytest.approx(float(torch.nn.functional.cross_entropy(given, truth(2, 0))))


def test_distillation_lets_the_background_be_new():
    """Eq. 14, 15: -(0.5 ln(0.4 + 0.1) + 0.25 ln 0.3 + 0.25 ln 0.2)."""
    loss = unbiased_distillation(voxels(PROBABILITY), voxels(TEACHER), old={0, 1, 2}, current={3})
    assert float(loss) == pytest.approx(-(0.5 * math.log(0.5) + 0.25 * math.log(0.3) + 0.25 * math.log(0.2)))


def test_distillation_leaves_out_what_is_labelled_again():
    """Class 2 is in both: -(0.5 ln(0.4 + 0.2 + 0.1) + 0.25 ln 0.3)."""
    loss = unbiased_distillation(voxels(PROBABILITY), voxels(TEACHER), old={1, 2}, current={2, 3})
    assert float(loss) == pytest.approx(-(0.5 * math.log(0.7) + 0.25 * math.log(0.3)))


def test_a_split_that_the_dataset_does_not_make_is_not_held():
    """It labels class 1 and 2 as one: what they share between them counts nothing, as eq. 15 has it."""
    swapped = (0.4, 0.2, 0.3, 0.1)
    one, other = (unbiased_distillation(voxels(given), voxels(TEACHER), old={1, 2}, current={1, 2, 3}) for given in (PROBABILITY, swapped))
    assert float(one) == pytest.approx(float(other))


def test_distillation_without_new_classes():
    loss = unbiased_distillation(voxels(TEACHER), voxels(TEACHER), old={1, 2}, current=set())
    assert float(loss) == pytest.approx(-(0.5 * math.log(0.5) + 0.5 * math.log(0.25)))


def test_gradients_reach_the_student_alone():
    student, teacher = voxels(PROBABILITY, gradient=True), voxels(TEACHER, gradient=True)
    unbiased_distillation(student, teacher, {1, 2}, {3}).backward()
    assert teacher.grad is None and student.grad.abs().sum() > 0
    student.grad = None
    unbiased_cross_entropy(student, truth(0), {1, 2}, {3}).backward()
    # unlabelled: the old classes are not pushed down, in proportion to the background's own gradient; the new one is
    assert student.grad[0, 3].item() > 0 > student.grad[0, 1].item()


@pytest.mark.parametrize("labels", [(0, 0), (1, 1), (3, 3)])
def test_no_nan_with_only_background_only_old_or_only_new_classes(labels):
    given = voxels(PROBABILITY, PROBABILITY, gradient=True)
    unbiased_cross_entropy(given, truth(*labels), {1, 2}, {3}).backward()
    assert given.grad.isfinite().all()
