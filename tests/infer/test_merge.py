"""Equations (8) and (9) against numbers worked out by hand."""

import numpy as np
import pytest

from clnet.infer.merge import body_part_range, lesion_weight, voxel_entropy


@pytest.mark.parametrize(
    "inside, lesion, expected",
    [
        (1, 0.0, 1.0),  # 1 - (1 - 1 + 0) / 2
        (1, 1.0, 0.5),  # 1 - (1 - 1 + 1) / 2
        (0, 0.0, 0.5),  # 1 - (1 - 0 + 0) / 2
        (0, 1.0, 0.5),  # 1 - (1 - 0 + 0) / 2: outside, the lesion does not matter
        (1, 0.6, 0.7),  # 1 - (1 - 1 + 0.6) / 2
    ],
)
def test_weight(inside, lesion, expected):
    assert lesion_weight(np.array(inside), np.array(lesion)) == pytest.approx(expected)
    assert lesion_weight(inside, lesion) == pytest.approx(expected)


def test_weight_broadcasts_a_range_of_slices_over_a_volume():
    inside = np.array([True, False])[:, None, None]
    lesion = np.zeros((2, 1, 3), np.float32)
    lesion[:, 0, 2] = 0.5
    weight = lesion_weight(inside, lesion)
    assert weight.dtype == np.float32
    assert weight.tolist() == [[[1.0, 1.0, 0.75]], [[0.5, 0.5, 0.5]]]
    assert lesion_weight(np.broadcast_to(inside, lesion.shape), lesion).tolist() == weight.tolist()


@pytest.mark.parametrize(
    "weight, probability, expected",
    [
        (1.0, 0.9, 0.0948245),  # -0.9 ln 0.9 = 0.9 * 0.1053605
        (0.5, 0.9, 0.3593285),  # -0.45 ln 0.45 = 0.45 * 0.7985077
        (0.5, 1.0, 0.3465736),  # -0.5 ln 0.5
        (1.0, 0.5, 0.3465736),  # the same: only the product counts
        (1.0, 0.25, 0.3465736),  # -0.25 ln 0.25 = 0.25 * 2 ln 2, the same once more: H rises and falls again
        (1.0, np.exp(-1), 0.3678794),  # the peak, 1/e
        (1.0, 1.0, 0.0),
        (1.0, 0.0, 0.0),  # the limit of x log x
    ],
)
def test_entropy(weight, probability, expected):
    assert voxel_entropy(np.array(weight), np.array(probability)) == pytest.approx(expected, abs=1e-7)


def test_entropy_broadcasts_and_is_never_negative():
    probability = np.linspace(0, 1, 12, dtype=np.float32).reshape(2, 2, 3)
    entropy = voxel_entropy(np.array([1.0, 0.5], np.float32)[:, None, None], probability)
    assert entropy.shape == probability.shape and entropy.dtype == np.float32
    assert (entropy >= 0).all() and not np.signbit(entropy).any()


def test_body_part_range_is_importable_from_here():
    assert callable(body_part_range)
