"""Sliding windows in slabs against the whole volume at once."""

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates

from clnet.data.intensity import Intensity
from clnet.infer.native import NativeClaims, NativeGrid, decide
from clnet.infer.window import Windows, finished_slabs

SCALE = Intensity([{"center_hu": 0.0, "scale_hu": 100.0}])


def run(image, windows, function, channels=2):
    slabs = finished_slabs(image, lambda x: [x], {"d": function}, {"d": channels}, {"d": True}, windows, SCALE)
    pieces, expected = [], 0
    for first, slab in slabs:
        assert first == expected
        nothing = torch.zeros((channels, slab.slices, *image.shape[1:]))
        nothing[0] = 1
        pieces.append(slab.get("d", nothing))
        assert pieces[-1].shape == nothing.shape
        expected += slab.slices
    return torch.cat(pieces, dim=1)


def two_classes(encoded):
    foreground = torch.sigmoid(encoded[0])
    return torch.cat((1 - foreground, foreground), dim=1)


@pytest.mark.parametrize("shape", [(20, 17, 9), (5, 6, 7), (8, 8, 8), (1, 30, 8)])
def test_a_pointwise_network_gives_its_own_output_everywhere(shape):
    image = np.random.default_rng(0).integers(-300, 300, shape).astype(np.int16)
    result = run(image, Windows((8, 8, 8), 0.5, 3), two_classes)
    expected = two_classes([torch.from_numpy(SCALE.normalise(image))[None]])[0]
    assert result.shape == expected.shape
    assert torch.allclose(result, expected, atol=1e-5)


def test_air_is_background_and_costs_nothing():
    image = np.full((24, 8, 8), -1000, np.int16)
    image[:8] = 50
    seen = []

    def counting(encoded):
        seen.append(len(encoded[0]))
        return torch.cat((torch.zeros_like(encoded[0]), torch.ones_like(encoded[0])), dim=1)

    result = run(image, Windows((8, 8, 8), 0.0, 1), counting)
    assert sum(seen) == 2  # one window, doubled
    assert result[1, :8].min() == 1 and result[0, 8:].min() == 1


def test_starts_cover_the_length_evenly():
    windows = Windows((8, 8, 8), 0.5)
    starts = windows.starts(21, 0)
    assert starts[0] == 0 and starts[-1] == 13 and max(np.diff(starts)) <= 4
    assert windows.starts(3, 0) == [0]


@pytest.mark.parametrize(
    "prepared,native", [((6, 5, 7), (13, 11, 9)), ((9, 8, 8), (4, 5, 3)), ((1, 4, 4), (3, 4, 4)), ((7, 6, 5), (7, 6, 5))]
)
@pytest.mark.parametrize("nested", [False, True])
def test_slabs_are_interpolated_like_the_whole_volume(prepared, native, nested):
    generator = torch.Generator().manual_seed(1)
    probability = torch.rand((3, *prepared), generator=generator)
    if not nested:
        probability = (6 * probability).softmax(0)
    grids = [np.clip((np.arange(n) + 0.5) * p / n - 0.5, 0, p - 1) for p, n in zip(prepared, native, strict=True)]
    places = np.meshgrid(*grids, indexing="ij")
    whole = torch.from_numpy(np.stack([map_coordinates(channel.numpy(), places, order=1, mode="nearest") for channel in probability]))
    expected = decide(whole, nested)[0].numpy()
    claims, labels = NativeClaims(NativeGrid(prepared, [(0, n) for n in native]), nested), np.zeros(native, np.uint8)
    for first in range(0, prepared[0], 2):
        slab = probability[:, first : first + 2]
        for claim in claims.add(slab, slab.shape[1]):
            labels[claim.box] = claim.labels
    assert (labels == expected).mean() > 0.995  # ties within rounding


def test_nested_labels_keep_both_bits():
    assert decide(torch.tensor([[0.9, 0.2], [0.6, 0.1]]), nested=True)[0].tolist() == [3, 0]
