"""Hounsfield units become network input channel by channel."""

from __future__ import annotations

import math

import numpy as np
import pytest

from clnet.data.intensity import Intensity


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float64])
def test_each_window_is_a_channel(dtype):
    image_hu = np.array([[[-110, 40], [190, 340]]], dtype)
    before = image_hu.copy()
    found = Intensity([{"center_hu": 40.0, "scale_hu": 150.0, "saturating": True}, {"center_hu": -10.0, "scale_hu": 400.0}])
    channels = found.normalise(image_hu)
    assert channels.shape == (2, 1, 2, 2) and channels.dtype == np.float32 and np.array_equal(image_hu, before)
    assert channels[0].ravel() == pytest.approx([-math.tanh(1), 0, math.tanh(1), math.tanh(2)], rel=1e-6)
    assert channels[1].ravel().tolist() == [-0.25, 0.125, 0.5, 0.875]
