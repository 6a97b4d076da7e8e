"""Compressed label maps give back what they were given, and noise takes no more than the bits of its labels."""

import numpy as np
import pytest

from clnet.infer.offheap import Pieces
from clnet.infer.packed import Packed, PackedLabelMap


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_packing_loses_nothing(dtype):
    for array in (np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (3, 5, 7)).astype(dtype), np.zeros((2, 1, 1), dtype)):
        back = Packed.of(array[:, ::-1], Pieces()).array()
        assert back.dtype == dtype and np.array_equal(back, array[:, ::-1])


def test_boxes_are_read_in_slabs():
    held, expected = PackedLabelMap((6, 3, 4), np.uint16), np.zeros((6, 3, 4), np.uint16)
    for z, value in ((slice(1, 4), 300), (slice(4, 6), 2)):
        box = (z, slice(1, 3), slice(0, 2))
        expected[box] = value
        held.add(box, expected[box])
    held.add((slice(0, 1), slice(0, 3), slice(0, 4)), np.zeros((1, 3, 4), np.uint16))
    assert len(held.pieces) == 2 and np.array_equal(held.read(), expected)
    for rows in (slice(0, 2), slice(3, 5), slice(5, 6)):
        assert np.array_equal(held.read(rows), expected[rows])
    assert held.read().dtype == np.uint16


def test_noise_of_few_labels_takes_few_bits():
    noise = np.random.default_rng(0).integers(0, 4, (16, 128, 128)).astype(np.uint8)  # two bits a voxel
    assert len(Packed.of(noise, Pieces()).data) < 0.27 * noise.size
    body = np.zeros((16, 128, 128), np.uint8)
    body[:, 20:100, 30:90] = 1
    assert len(Packed.of(body, Pieces()).data) < 0.02 * body.size
