"""Neighbours and weights against the matrix of the same interpolation, and pieces against the whole."""

import numpy as np
import pytest
import torch

from clnet.data.resample import axis_weights
from clnet.infer.linearaxis import LinearAxis


def test_worked_by_hand():
    """From 2 to 4 values: outputs lie at -0.25, 0.25, 0.75 and 1.25, and the edges continue."""
    axis = LinearAxis(2, 4)
    assert axis.first == [0, 0, 0, 1] and axis.last == [0, 1, 1, 1]
    assert axis.along(0, torch.tensor([4.0, 8.0]), slice(0, 4), 0).tolist() == [4, 5, 7, 8]
    assert axis.ready(0) == 0 and axis.ready(1) == 1 and axis.ready(2) == 4
    assert axis.reads(slice(1, 2)) == slice(0, 2) and axis.readers(slice(1, 2)) == slice(1, 4)


@pytest.mark.parametrize("size_in,size_out", [(7, 7), (7, 12), (12, 7), (1, 3), (3, 1), (20, 4), (33, 95)])
def test_the_same_as_the_matrix(size_in, size_out):
    values, axis = torch.rand((2, size_in, 3), generator=torch.Generator().manual_seed(0)), LinearAxis(size_in, size_out)
    expected = np.einsum("nz,czx->cnx", axis_weights(size_in, size_out).astype(float), values.numpy().astype(float))
    assert np.allclose(axis.along(1, values, slice(0, size_out), 0).numpy(), expected, atol=2e-7)
    read = axis_weights(size_in, size_out) > 0
    for stop in range(size_in + 1):
        assert axis.ready(stop) == np.count_nonzero(~read[:, stop:].any(1))
    for low in range(size_in):
        found = np.flatnonzero(read[:, low : low + 2].any(1))
        own = axis.readers(slice(low, min(low + 2, size_in)))
        assert list(range(own.start, own.stop)) == found.tolist()


@pytest.mark.parametrize("size_in,size_out", [(61, 97), (97, 61), (50, 50)])
def test_pieces_are_the_whole_to_the_bit(size_in, size_out):
    values, axis = torch.rand((3, size_in, 37), generator=torch.Generator().manual_seed(1)), LinearAxis(size_in, size_out)
    whole = axis.along(1, values, slice(0, size_out), 0)
    for size in (1, 2, 7, 40):
        for first in range(0, size_out, size):
            outputs = slice(first, min(first + size, size_out))
            read = axis.reads(outputs)
            assert torch.equal(axis.along(1, values[:, read], outputs, read.start), whole[:, outputs])
