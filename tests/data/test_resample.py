"""Resampling: the convention of the grid, equality with scipy, and what small and anisotropic structures keep."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from clnet.data.resample import CUBIC, LINEAR, NEAREST, axis_weights, orders_zyx, resample_image, resample_labels, target_shape


def dice(a, b) -> float:
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


@pytest.mark.parametrize("order", [LINEAR, CUBIC])
@pytest.mark.parametrize("shape", [(20, 12, 31), (7, 40, 9), (14, 25, 22), (1, 25, 22)])
def test_equals_scipy_zoom_between_pixel_grids(order, shape):
    image = np.random.default_rng(0).integers(-1000, 1000, (14, 25, 22)).astype(np.int16)
    zoomed = ndimage.zoom(image.astype(float), [m / n for m, n in zip(shape, image.shape)], order=order, mode="nearest", grid_mode=True)
    assert np.allclose(resample_image(image, shape, (order,) * 3), np.clip(zoomed, image.min(), image.max()), atol=2e-3)


@given(n_in=st.integers(1, 60), n_out=st.integers(1, 60), order=st.sampled_from([NEAREST, LINEAR, CUBIC]), smooth=st.booleans())
@settings(max_examples=80, deadline=None)
def test_rows_sum_to_one_and_centres_align(n_in, n_out, order, smooth):
    weights = axis_weights(n_in, n_out, order, smooth)
    assert weights.shape == (n_out, n_in) and weights.dtype == np.float32
    assert np.allclose(weights.sum(1), 1, atol=1e-4)
    assert np.allclose(weights[::-1, ::-1], weights, atol=1e-4) or order == NEAREST  # the same from both ends


def test_linear_weights_are_half_pixel_aligned_and_clamped():
    assert np.allclose(axis_weights(2, 4), [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])
    assert np.allclose(axis_weights(4, 2), [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]])
    assert np.array_equal(axis_weights(5, 5), np.eye(5, dtype=np.float32))


def test_shared_weights_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        axis_weights(3, 6)[0, 0] = 2


def test_spline_overshoot_stays_in_range():
    step = np.zeros((1, 1, 20), np.int16)
    step[..., 10:] = 1000
    out = resample_image(step, (1, 1, 53))
    assert out.min() == 0 and out.max() == 1000


def test_smoothing_averages_noise_that_plain_splines_keep():
    noise = np.random.default_rng(0).normal(0, 100, (32, 32, 32)).astype(np.float32)
    plain, smooth = (resample_image(noise, (8, 8, 8), smooth=value).std() for value in (False, True))
    assert smooth < 0.25 * plain


def test_target_shape_covers_the_extent():
    assert target_shape((100, 64, 64), (5.0, 0.8, 0.8), (2.5, 1.6, 1.6)) == (200, 32, 32)
    assert target_shape((1, 8, 8), (1.0, 1.0, 1.0), (4.0, 4.0, 4.0)) == (1, 2, 2)


def test_coarse_axis_is_taken_alone():
    fine = (1.0, 1.0, 1.0)
    assert orders_zyx((5.0, 0.8, 0.8), fine, CUBIC, 3.0) == (NEAREST, CUBIC, CUBIC)
    assert orders_zyx((2.0, 0.8, 0.8), fine, CUBIC, 3.0) == (CUBIC, CUBIC, CUBIC)
    assert orders_zyx((0.8, 5.0, 0.8), fine, LINEAR, 3.0) == (LINEAR, NEAREST, LINEAR)
    assert orders_zyx((5.0, 5.0, 0.8), fine, CUBIC, 3.0) == (CUBIC, CUBIC, CUBIC)
    assert orders_zyx((1.0, 0.8, 0.8), (6.0, 1.0, 1.0), CUBIC, 3.0) == (NEAREST, CUBIC, CUBIC)


@pytest.mark.parametrize("spacing", [(5.0, 0.8, 0.8), (5.0, 2.0, 2.0), (1.0, 1.0, 1.0)])
def test_sphere_survives_the_way_there_and_back(scans, spacing):
    shape = tuple(int(round(60 / mm)) for mm in spacing)
    sphere = scans.ellipsoid(shape, spacing, (0.5, 0.5, 0.5), 22.0).astype(np.uint8)
    orders = orders_zyx(spacing, (3.0, 3.0, 3.0), LINEAR, 3.0)
    there = resample_labels(sphere, target_shape(shape, spacing, (3.0, 3.0, 3.0)), orders)
    back = resample_labels(there, shape, orders)
    assert dice(back == 1, sphere == 1) >= 0.9
    if orders[0] == NEAREST:
        assert np.array_equal((back > 0).any((1, 2)), (sphere > 0).any((1, 2)))
        assert len({layer.tobytes() for layer in back}) >= len({layer.tobytes() for layer in sphere})


def test_labels_compete_by_share_and_keep_their_type():
    labels = np.zeros((6, 6, 9), np.uint16)
    labels[..., 3:6], labels[..., 6:] = 300, 2
    out = resample_labels(labels, (6, 6, 27))
    assert out.dtype == np.uint16 and np.array_equal(np.unique(out), [0, 2, 300])
    assert np.array_equal(out[0, 0], np.repeat(labels[0, 0], 3))


def test_every_label_equals_its_own_linear_zoom():
    labels = (ndimage.gaussian_filter(np.random.default_rng(1).normal(size=(20, 22, 24)), 3) * 30).clip(0, 4).astype(np.uint8)
    shape = (13, 30, 17)
    factors = [m / n for m, n in zip(shape, labels.shape)]
    shares = np.stack([ndimage.zoom((labels == v).astype(float), factors, order=1, mode="nearest", grid_mode=True) for v in range(5)])
    clear = np.diff(np.sort(shares, axis=0)[-2:], axis=0)[0] > 1e-3
    assert np.array_equal(resample_labels(labels, shape)[clear], shares.argmax(0)[clear])


def test_two_voxels_survive_a_finer_grid():
    labels = np.zeros((10, 10, 10), np.uint8)
    labels[5, 5, 5:7] = 7
    assert np.count_nonzero(resample_labels(labels, (20, 20, 20)) == 7) >= 8
    assert resample_labels(labels, (3, 3, 3)).max() == 0  # lost: `prepare` tells so
