"""What the slice scorer sees: true sizes in millimetres, air round the scan, and the same score whatever else is in a batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from clnet.model.bodypart import SliceScorer, SliceView, network_input

VIEW = SliceView([20, 24], 10, [-1000, 1000])


def disc(spacing_mm: float, size_mm: float, radius_mm: float = 60.0) -> np.ndarray:
    """One slice (1, y, x) int16 of a disc of 40 HU in air, in the middle."""
    place = (np.arange(round(size_mm / spacing_mm)) + 0.5) * spacing_mm - size_mm / 2
    inside = np.hypot(place[:, None], place[None, :]) < radius_mm
    return np.where(inside, 40, -1000).astype(np.int16)[None]


@pytest.mark.parametrize("spacing_mm,size_mm", [(2.0, 140.0), (2.0, 400.0), (5.0, 200.0), (5.0, 140.0)])
def test_a_slice_looks_the_same_in_any_field_of_view_and_grid(spacing_mm, size_mm):
    shown, body = VIEW.slices(disc(spacing_mm, size_mm), (6.0, spacing_mm, spacing_mm))
    assert shown.shape == (1, 20, 24) and shown.dtype == np.uint8 and body.tolist() == [True]
    square = (shown[0] > 64).sum() * VIEW.pixel_mm**2
    assert square == pytest.approx(np.pi * 60**2, rel=0.05)
    rows, columns = np.nonzero(shown[0] > 64)
    assert (rows.mean(), columns.mean()) == (pytest.approx(9.5, abs=0.6), pytest.approx(11.5, abs=0.6))


def test_axes_are_not_exchanged():
    image_hu = np.full((2, 20, 24), -1000, np.int16)
    image_hu[1, 3:9, 5:20] = 1000
    shown, body = VIEW.slices(image_hu, (5.0, 10.0, 10.0))
    assert body.tolist() == [False, True]
    assert shown[0].max() == 0 and np.array_equal(shown[1] == 255, image_hu[1] == 1000)


def test_the_window_and_what_lies_beyond_the_scan():
    view = SliceView((4, 4), 10, (-100, 100))
    image_hu = np.array([[[-500, 0], [50, 500]]], np.int16)
    assert view.slices(image_hu, (1.0, 10.0, 10.0))[0][0].tolist() == [[0, 0, 0, 0], [0, 0, 128, 0], [0, 191, 255, 0], [0, 0, 0, 0]]


def test_network_input_spans_minus_one_to_one():
    shown = torch.tensor([[[0, 255]]], dtype=torch.uint8)
    assert network_input(shown).tolist() == [[[[-1.0, 1.0]]]]


@pytest.mark.parametrize("size", [16, 33])
def test_a_slice_is_scored_on_its_own(size):
    torch.manual_seed(0)
    network = SliceScorer([4, 8]).train()  # no statistics over a batch: training and prediction are the same function
    slices = torch.randn(5, 1, size, size)
    scores = network(slices)
    assert scores.shape == (5,) and network(slices[3:4]).item() == pytest.approx(scores[3].item(), abs=1e-5)
    assert torch.equal(network(slices), scores)
    scores.sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())
