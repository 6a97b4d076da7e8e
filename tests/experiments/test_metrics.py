"""Overlap and surface metrics against closed forms, their package's own numbers, and every degenerate pair of masks."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from surface_distance import lookup_tables

from experiments.metrics import average_surface_distance, dice, hausdorff_95, normalized_surface_dice, surface_metrics

SHAPE = (12, 20, 24)
EMPTY = np.zeros(SHAPE, bool)


def box(z, y, x, shape=SHAPE):
    mask = np.zeros(shape, bool)
    mask[slice(*z), slice(*y), slice(*x)] = True
    return mask


def brute_force(prediction, reference, spacing_mm, tolerance_mm):
    """(ASD, HD95, NSD) by all pairs of surface elements, with SciPy's own correlation for the neighbour codes."""
    kernel, table = lookup_tables.ENCODE_NEIGHBOURHOOD_3D_KERNEL, lookup_tables.create_table_neighbour_code_to_surface_area(spacing_mm)
    surfaces = []
    for mask in (prediction, reference):
        code = ndimage.correlate(np.pad(mask, 2).astype(np.uint8), kernel, mode="constant", cval=0)
        points = np.argwhere((code != 0) & (code != 255))
        surfaces.append((points * np.asarray(spacing_mm), table[code[tuple(points.T)]]))
    distances = np.linalg.norm(surfaces[0][0][:, None] - surfaces[1][0][None], axis=-1)
    means, percentiles, within = [], [], 0.0
    for directed_mm, area in ((distances.min(axis=1), surfaces[0][1]), (distances.min(axis=0), surfaces[1][1])):
        means.append((directed_mm * area).sum() / area.sum())
        order = np.argsort(directed_mm, kind="stable")
        share = np.cumsum(area[order]) / area.sum()
        percentiles.append(directed_mm[order][np.argmax(share >= 0.95)])
        within += area[directed_mm <= tolerance_mm + 1e-12].sum()
    return np.mean(means), max(percentiles), within / (surfaces[0][1].sum() + surfaces[1][1].sum())


def test_shifted_cube_at_anisotropic_spacing():
    """Faces that a shift along z moves sideways stay on the other surface or hang over by one slice; the ends move by the whole shift."""
    spacing = (5.0, 1.0, 1.0)
    reference, prediction = box((3, 7), (4, 14), (4, 14)), box((4, 8), (4, 14), (4, 14))
    assert dice(prediction, reference) == pytest.approx(0.75)
    assert hausdorff_95(prediction, reference, spacing) == 5.0
    asd_mm, hd95_mm, nsd = brute_force(prediction, reference, spacing, 1.0)
    assert surface_metrics(prediction, reference, spacing, 1.0) == pytest.approx((asd_mm, hd95_mm, nsd), abs=1e-9)


def test_two_parallel_plates_have_the_distance_of_their_gap():
    """Two flat sheets over the whole cross-section: their facing sides are 15 mm apart, their far sides 20 mm, in equal parts."""
    shape = (10, 30, 30)
    reference, prediction = box((2, 3), (0, 30), (0, 30), shape), box((6, 7), (0, 30), (0, 30), shape)
    # surfaces lie between voxels: those of slice 2 at 2 and 3, those of slice 6 at 6 and 7
    metrics = surface_metrics(prediction, reference, (5.0, 1.0, 1.0), tolerance_mm=15.0)
    assert 15.0 < metrics.asd_mm < 20.0
    assert metrics.asd_mm == pytest.approx(17.5, abs=1e-6)
    assert metrics.hd95_mm == 20.0
    assert metrics.nsd == pytest.approx(0.5, abs=1e-6)
    assert surface_metrics(prediction, reference, (5.0, 1.0, 1.0), tolerance_mm=14.999).nsd == 0.0


def test_spacing_is_in_the_order_of_the_axes():
    reference, prediction = box((3, 7), (4, 14), (4, 14)), box((3, 7), (4, 14), (6, 16))
    assert hausdorff_95(prediction, reference, (5.0, 1.0, 1.0)) == 2.0
    assert hausdorff_95(prediction, reference, (1.0, 1.0, 5.0)) == 10.0


def test_identical_masks():
    mask = box((3, 7), (4, 14), (4, 14))
    assert dice(mask, mask) == 1.0
    assert surface_metrics(mask, mask.copy(), (5.0, 1.0, 1.0), 0.0) == (0.0, 0.0, 1.0)


def test_both_empty_is_undefined():
    assert math.isnan(dice(EMPTY, EMPTY))
    assert all(math.isnan(value) for value in surface_metrics(EMPTY, EMPTY, (1.0, 1.0, 1.0), 2.0))


@pytest.mark.parametrize("empty_first", [True, False])
def test_one_empty_has_no_overlap_and_no_distance(empty_first):
    mask = box((3, 7), (4, 14), (4, 14))
    pair = (EMPTY, mask) if empty_first else (mask, EMPTY)
    assert dice(*pair) == 0.0
    assert math.isnan(average_surface_distance(*pair, (1.0, 1.0, 1.0)))
    assert math.isnan(hausdorff_95(*pair, (1.0, 1.0, 1.0)))
    assert math.isnan(normalized_surface_dice(*pair, (1.0, 1.0, 1.0), 2.0))


def test_single_voxels_three_apart():
    reference, prediction = box((5, 6), (5, 6), (5, 6)), box((5, 6), (5, 6), (8, 9))
    metrics = surface_metrics(prediction, reference, (1.0, 1.0, 2.0), tolerance_mm=4.0)
    assert metrics.asd_mm == pytest.approx(5.0)  # corners two steps (4 mm) and three steps (6 mm) away, equally many
    assert metrics.hd95_mm == 6.0
    assert metrics.nsd == pytest.approx(0.5)


@pytest.mark.parametrize("shape", [(4, 5, 6), (1, 5, 6), (1, 1, 1)])
def test_mask_that_fills_the_volume_has_a_closed_surface(shape):
    full = np.ones(shape, bool)
    assert surface_metrics(full, full, (2.0, 1.0, 1.0), 0.0) == (0.0, 0.0, 1.0)
    inner = box((0, 4), (1, 4), (0, 6), (4, 5, 6))
    assert average_surface_distance(np.ones((4, 5, 6), bool), inner, (1.0, 1.0, 1.0)) > 0


def test_cropping_both_masks_alike_changes_nothing():
    reference, prediction = box((3, 7), (4, 14), (4, 14)), box((4, 8), (5, 14), (4, 12))
    region = np.s_[3:8, 4:14, 4:14]
    assert surface_metrics(prediction, reference, (5.0, 0.9, 0.8), 2.0) == surface_metrics(prediction[region], reference[region],
                                                                                          (5.0, 0.9, 0.8), 2.0)


def test_distance_equal_to_the_tolerance_counts_as_within():
    """0.7 * 3 is below 2.1 in floating point, 0.1 * 3 above 0.3: distances are whole steps times the spacing, whatever the position."""
    for start in range(0, 12):
        reference, prediction = box((0, 1), (0, 1), (start, start + 1)), box((0, 1), (0, 1), (start + 6, start + 7))
        assert normalized_surface_dice(prediction, reference, (1.0, 1.0, 0.4), 5 * 0.4) == pytest.approx(0.5)


def test_integer_masks_count_every_label_but_zero():
    reference = box((3, 7), (4, 14), (4, 14))
    assert dice(reference.astype(np.int16) * 7, reference) == 1.0


@pytest.mark.parametrize(("first", "second"), [((4, 5, 6), (4, 5, 7)), ((4, 5), (4, 5)), ((4, 5, 6), (5, 6))])
def test_other_shapes_are_refused_with_both_named(first, second):
    for call in (lambda: dice(np.ones(first), np.ones(second)), lambda: hausdorff_95(np.ones(first), np.ones(second), (1, 1, 1))):
        with pytest.raises(ValueError) as error:
            call()
        assert str(first) in str(error.value) and str(second) in str(error.value)


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0), (1.0, 0.0, 1.0), (1.0, math.nan, 1.0), (1.0, -1.0, 1.0)])
def test_impossible_spacing_is_refused(spacing_mm):
    with pytest.raises(ValueError, match="spacing_mm"):
        average_surface_distance(EMPTY, EMPTY, spacing_mm)


def test_negative_tolerance_is_refused():
    with pytest.raises(ValueError, match="tolerance_mm"):
        normalized_surface_dice(EMPTY, EMPTY, (1.0, 1.0, 1.0), -1.0)


masks = hnp.arrays(bool, hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=5))
spacings = st.tuples(*[st.sampled_from([0.5, 0.7, 1.0, 1.5, 3.0, 5.0])] * 3)


@settings(max_examples=60, deadline=None)
@given(masks, st.randoms(use_true_random=False), spacings)
def test_symmetric_total_and_equal_to_all_pairs(reference, random, spacing_mm):
    prediction = np.array([random.random() < 0.4 for _ in range(reference.size)]).reshape(reference.shape)
    forth, back = (surface_metrics(*pair, spacing_mm, 1.5) for pair in ((prediction, reference), (reference, prediction)))
    np.testing.assert_allclose(forth, back, atol=1e-12)
    np.testing.assert_equal(dice(prediction, reference), dice(reference, prediction))
    if prediction.any() and reference.any():
        np.testing.assert_allclose(forth, brute_force(prediction, reference, spacing_mm, 1.5), atol=1e-9)
    else:
        assert all(math.isnan(value) for value in forth)
