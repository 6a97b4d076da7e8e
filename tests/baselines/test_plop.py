"""PLOP's pieces by hand: pooling, pseudo-labels with thresholds, the adaptive factor."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from baselines.plop import (
    IGNORED,
    PLOP,
    adaptive_cross_entropy,
    local_pod,
    normalised_entropy,
    pod_distance,
    with_new_as_background,
    with_pseudo_labels,
)
from baselines.unet import UNetOutput

OWN = {"pod_factor": 1.0, "logits_factor": 10.0, "scales": (1,), "pooled_axes": 1, "threshold_batches": 1}


def test_pooling_one_axis_at_a_time_by_hand():
    """A cube of 0..7: means along z 2 4, along y, along x; at scale 2 a window is a voxel, so each axis gives all of them."""
    cube = torch.arange(8.0).reshape(1, 1, 2, 2, 2)
    assert local_pod(cube, [1]).tolist() == [[2, 3, 4, 5, 1, 2, 5, 6, 0.5, 2.5, 4.5, 6.5]]
    assert local_pod(cube, [2]).tolist() == [[*range(8)] * 3]
    assert local_pod(cube, [1, 2]).shape == (1, 12 + 24)


def test_pooling_two_axes_keeps_one():
    cube = torch.arange(8.0).reshape(1, 1, 2, 2, 2)
    assert local_pod(cube, [1], pooled_axes=2).tolist() == [[1.5, 5.5, 2.5, 4.5, 3, 4]]


def test_windows_are_means_of_their_own():
    """Against the definition: every window of a scale cut out and pooled along each axis; the same values in another order."""
    torch.manual_seed(0)
    features, scale = torch.rand(2, 3, 4, 8, 4), 2
    parts = [f.mean(axis).flatten(1) for z in features.chunk(scale, 2) for y in z.chunk(scale, 3) for f in y.chunk(scale, 4)
             for axis in (2, 3, 4)]  # fmt: skip
    expected = torch.cat(parts, 1).sort(1).values
    assert torch.allclose(local_pod(features, [scale]).sort(1).values, expected, atol=1e-6)


@pytest.mark.parametrize("pooled_axes", [1, 2])
def test_several_scales_pool_as_adaptive_pooling_does(pooled_axes):
    """Lengths that all scales divide (8), that some do (6) and that none does (5): against torch's pooling of each scale by itself."""
    torch.manual_seed(0)
    features, scales, expected = torch.rand(2, 3, 8, 6, 5), (1, 2, 4), []
    for axis in range(3):
        for scale in scales:
            size = [scale if (own == axis) == (pooled_axes == 1) else n for own, n in enumerate(features.shape[2:])]
            expected.append(F.adaptive_avg_pool3d(features, size).flatten(1))
    found, expected = (values.sort(1).values for values in (local_pod(features, scales, pooled_axes), torch.cat(expected, 1)))
    assert torch.allclose(found, expected, atol=1e-6)


def test_more_windows_than_voxels():
    assert local_pod(torch.rand(1, 2, 2, 8, 8), [4]).shape[1] == 2 * (2 * 64 + 4 * 16 + 4 * 16)


def test_the_distance_squares_and_reaches_the_student_alone():
    own, other = torch.full((2, 1, 1, 1, 1), 2.0, requires_grad=True), torch.full((2, 1, 1, 1, 1), 1.0, requires_grad=True)
    distance = pod_distance([own, own], [other, own.detach()], [1])
    assert float(distance.detach()) == pytest.approx(math.sqrt(3) * 3 / 2)  # three axes, each (4 - 1); the second map does not differ
    distance.backward()
    assert own.grad.abs().sum() > 0 and other.grad is None


def test_new_classes_join_the_background():
    logits = torch.arange(5.0).reshape(1, 5, 1, 1, 1)
    assert with_new_as_background(logits, 2).flatten().tolist() == [0 + 3 + 4, 1, 2]


def test_entropy_of_nothing_known_is_one():
    logits = torch.zeros(1, 4, 1, 1, 2)
    logits[0, 0, 0, 0, 1] = 100.0
    assert normalised_entropy(logits).flatten().tolist() == pytest.approx([1.0, 0.0], abs=1e-6)


def test_pseudo_labels_only_where_unlabelled_and_sure():
    """Voxels: labelled; sure of class 1; unsure; sure of class 2, which the dataset labels itself; sure of background."""
    sure = 20.0 * torch.nn.functional.one_hot(torch.tensor([1, 1, 1, 2, 0]), 3).float()
    sure[2] = torch.tensor([0.0, 0.1, 0.0])
    teacher = sure.T[None, :, :, None, None]
    target = torch.tensor([1, 0, 0, 0, 0])[None, :, None, None]
    group_of = torch.tensor([0, 2, 0])  # class 1 has group 2; class 2 is labelled: where it is not, it is background
    labelled, accepted = with_pseudo_labels(target, teacher, group_of, torch.tensor([0.5, 0.5, 0.5]))
    assert labelled.flatten().tolist() == [1, 2, IGNORED, 0, 0]
    assert accepted.tolist() == [0.75]


def test_an_image_without_background_has_a_factor_of_one():
    target = torch.ones(1, 2, 1, 1, dtype=torch.long)
    _, accepted = with_pseudo_labels(target, torch.zeros(1, 3, 2, 1, 1), torch.tensor([0, 2, 0]), torch.ones(3))
    assert accepted.tolist() == [1.0]


def test_ignored_voxels_add_nothing_and_the_factor_multiplies():
    logits = torch.tensor([[0.5, 0.25, 0.25]]).log().T[None, :, :, None, None].expand(1, 3, 2, 1, 1).contiguous().requires_grad_()
    target = torch.tensor([1, IGNORED])[None, :, None, None]
    loss = adaptive_cross_entropy(logits.log_softmax(1), target, torch.tensor([0.5]))
    assert float(loss.detach()) == pytest.approx(0.5 * math.log(4) / 2)  # two voxels in the mean
    loss.backward()
    assert logits.grad[0, :, 0].abs().sum() > 0 and logits.grad[0, :, 1].abs().sum() == 0


def test_all_ignored_is_no_nan():
    logits = torch.zeros(1, 3, 2, 1, 1, requires_grad=True)
    target = torch.full((1, 2, 1, 1), IGNORED)
    loss = adaptive_cross_entropy(logits.log_softmax(1), target, torch.tensor([0.0]), balance=0.5)
    loss.backward()
    assert float(loss.detach()) == 0 and logits.grad.isfinite().all()


def kept(method, given, channels: int) -> float:
    """What is held of maps of one voxel: of two of the encoder, only the first differs (root 3 times 4 - 1), of one of the decoder, and
    of the logits, in whose background the student has 2 and the teacher 0 (root 3 times 4)."""
    def output(value: float, background: float, count: int) -> UNetOutput:
        logits = torch.zeros(1, count, 1, 1, 1)
        logits[0, 0] = background
        maps = [torch.full((1, 1, 1, 1, 1), level) for level in (value, 1.0, 1.0)]
        return UNetOutput([logits], maps[:2], maps[2:])

    loss = method.objective(given, {}, {"thresholds": [0.0] * 3})
    return float(loss(output(2.0, 2.0, channels), output(1.0, 0.0, 3), {}, 0.0))


def test_logits_are_one_map_of_all(baseline, tasks):
    """(3 feature maps * 1 * the mean of 3 sqrt 3, 0, 0 + 10 * 4 sqrt 3) / 4 maps, times the root of five classes over two new ones."""
    method = baseline(PLOP, **OWN)
    method.learn(tasks[0])
    given = method.curriculum([tasks[1]], method.learned.space, method.learned)
    assert kept(method, given, 5) == pytest.approx(math.sqrt(3) * (3 + 40) / 4 * math.sqrt(5 / 2), rel=1e-5)


def test_a_dataset_without_new_classes_is_held_by_those_that_it_labels(baseline, tasks):
    """Three classes with the background, and two labelled."""
    method = baseline(PLOP, **OWN)
    method.learn(tasks[0])
    given = method.curriculum([tasks[0]], method.learned.space, method.learned)
    assert kept(method, given, 3) == pytest.approx(math.sqrt(3) * (3 + 40) / 4 * math.sqrt(3 / 2), rel=1e-5)
