"""Sums that exist only where windows are, against dense ones that hold every decoder everywhere: equal to the bit."""

import numpy as np
import pytest
import torch
from monai.data.utils import compute_importance_map

from clnet.data.intensity import AIR_HU, Intensity
from clnet.infer import accumulate
from clnet.infer.accumulate import WindowSums
from clnet.infer.window import Windows, finished_slabs

SCALE = Intensity([{"center_hu": 0.0, "scale_hu": 100.0}])
CHANNELS = {"a": 2, "b": 3, "n": 2}
BACKGROUND = {"a": True, "b": True, "n": False}


def network(name):
    generator = torch.Generator().manual_seed(CHANNELS[name])
    weight = torch.randn((CHANNELS[name], 1, 3, 3, 3), generator=generator)

    def probabilities(encoded):
        logits = torch.nn.functional.conv3d(encoded[0], weight, padding=1)
        return logits.softmax(1) if BACKGROUND[name] else logits.sigmoid()

    return probabilities


NETWORKS = {name: network(name) for name in CHANNELS}


def dense(image, windows):
    """Every decoder's mean over the whole scan, window by window in the same order."""
    size = windows.patch_zyx
    missing = [max(s - n, 0) for s, n in zip(size, image.shape, strict=True)]
    padded = np.pad(image, [(m // 2, m - m // 2) for m in missing], constant_values=AIR_HU)
    importance = compute_importance_map(size, mode="gaussian", sigma_scale=0.125).float()
    sums = {name: torch.zeros((count, *padded.shape)) for name, count in CHANNELS.items()}
    weight = torch.zeros(padded.shape)
    starts = [windows.starts(n, axis) for axis, n in enumerate(padded.shape)]
    for z in starts[0]:
        places = [(y, x) for y in starts[1] for x in starts[2]]
        places = [p for p in places if padded[tuple(slice(a, a + s) for a, s in zip((z, *p), size, strict=True))].max() > -700]
        for first in range(0, len(places), windows.batch):
            boxes = [tuple(slice(a, a + s) for a, s in zip((z, *p), size, strict=True)) for p in places[first : first + windows.batch]]
            inputs = np.stack([SCALE.normalise(padded[box]) for box in boxes])
            encoded = [torch.from_numpy(np.concatenate((inputs, inputs)) if len(inputs) == 1 else inputs)]
            for name, function in NETWORKS.items():
                for box, probability in zip(boxes, function(encoded), strict=False):
                    sums[name][(slice(None), *box)] += probability * importance
            for box in boxes:
                weight[box] += importance
    inside = tuple(slice(m // 2, m // 2 + n) for m, n in zip(missing, image.shape, strict=True))
    means = {}
    for name, total in sums.items():
        means[name] = total / weight.clamp_min(1e-12)
        if BACKGROUND[name]:
            means[name][0][weight == 0] = 1.0
        means[name] = means[name][(slice(None), *inside)]
    return means


def collected(image, windows, reach=None):
    """The slabs put together; a decoder that is missing from one is background there."""
    whole = {name: torch.zeros((count, *image.shape)) for name, count in CHANNELS.items()}
    for first, slab in finished_slabs(image, lambda x: [x], NETWORKS, CHANNELS, BACKGROUND, windows, SCALE, reach=reach):
        for name in CHANNELS:
            rows = whole[name][:, first : first + slab.slices]
            rows.copy_(slab[name]) if name in slab else rows[0].fill_(float(BACKGROUND[name]))
    return whole


def scan(shape=(40, 14, 18)):
    """Tissue with air above it and, in the middle, beside it."""
    image = np.random.default_rng(5).integers(-200, 300, shape).astype(np.int16)
    image[shape[0] * 3 // 4 :] = -1000
    image[shape[0] // 3 : shape[0] // 2, :, : shape[2] // 2] = -1000
    return image


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.7])
@pytest.mark.parametrize("shape", [(40, 14, 18), (5, 14, 18), (9, 6, 30)])
@pytest.mark.parametrize("slab_voxels", [1 << 21, 600])
def test_the_same_as_dense_sums_to_the_bit(monkeypatch, overlap, shape, slab_voxels):
    monkeypatch.setattr("clnet.infer.window.SLAB_VOXELS", slab_voxels)
    image, windows = scan(shape), Windows((8, 8, 8), overlap, 3)
    expected, found = dense(image, windows), collected(image, windows)
    assert all(torch.equal(found[name], expected[name]) for name in CHANNELS)


def test_a_decoder_that_is_wanted_in_some_slices_has_its_full_sums_there():
    image, windows = scan(), Windows((8, 8, 8), 0.5, 3)
    inside = {"a": np.arange(40) < 9, "n": (np.arange(40) > 13) & (np.arange(40) < 16)}
    expected, found = dense(image, windows), collected(image, windows, inside)
    assert torch.equal(found["b"], expected["b"])
    for name, slices in inside.items():
        assert torch.equal(found[name][:, slices], expected[name][:, slices])
    assert not torch.equal(found["a"], expected["a"])


def test_windows_that_nobody_wants_are_not_encoded():
    image, windows, seen = np.full((40, 8, 8), 50, np.int16), Windows((8, 8, 8), 0.0, 1), []
    reach = {name: np.arange(40) < 8 for name in CHANNELS}

    def encoder(given):
        seen.append(len(given))
        return [given]

    list(finished_slabs(image, encoder, NETWORKS, CHANNELS, BACKGROUND, windows, SCALE, reach=reach))
    assert seen == [2]  # the first of five, doubled


def test_sums_are_let_go_behind_the_last_window():
    sums = WindowSums(4, (2, 2), {"a": 1}, frozenset(), torch.ones((4, 2, 2)))
    sums.add("a", [(slice(0, 2), slice(0, 2))], torch.ones((1, 1, 4, 2, 2)))
    sums.visit((slice(0, 2), slice(0, 2)))
    sums.advance(3)
    assert sums.sums["a"][0, :, 0, 0].tolist() == [1, 0, 0, 0] and sums.weight[:, 0, 0].tolist() == [1, 0, 0, 0]
    sums.advance(1)
    assert not sums.sums and not sums.weight.any()


def test_the_bytes_of_a_decoder():
    assert accumulate.sums_bytes(3, 112, (300, 300)) == 3 * 112 * 300 * 300 * 4
