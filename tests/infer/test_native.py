"""The confidence beside the label map: hand-worked, and the same from slabs as from the whole volume."""

import numpy as np
import pytest
import torch

from clnet.data.intensity import Intensity
from clnet.infer.native import NativeClaims, NativeGrid, decide
from clnet.infer.predict import PartNetwork, ScanPredictor
from clnet.infer.window import Windows
from clnet.types import Geometry, Label, Part


def test_confidence_is_the_probability_of_the_predicted_label_in_255ths():
    probability = torch.tensor([
        [0.6, 0.10, 0.3, 0.5, 0.2],  # background
        [0.3, 0.85, 0.3, 0.5, 0.4],
        [0.1, 0.05, 0.4, 0.0, 0.4],
    ])  # fmt: skip
    labels, confidence = decide(probability, nested=False)
    assert labels.tolist() == [0, 1, 2, 0, 1]  # of equals the first
    assert confidence.tolist() == [0, 217, 102, 0, 102]  # 0.85 * 255 = 216.75, 0.4 * 255 = 102; none for the background
    assert labels.dtype == confidence.dtype == torch.uint8


def test_half_is_always_at_least_half_in_255ths():
    _, confidence = decide(torch.tensor([[0.49, 0.50002, 0.2], [0.51, 0.49998, 0.8]]), nested=False)
    assert confidence.tolist() == [130, 0, 204]
    _, confidence = decide(torch.tensor([[0.3, 0.3], [0.5, 0.49999], [0.2, 0.2]]), nested=False)
    assert confidence.tolist() == [128, 127]  # 127.5 rounds to the even 128, 127.497 down


def test_nested_labels_count_as_certain():
    labels, confidence = decide(torch.tensor([[0.9, 0.2, 0.5], [0.6, 0.1, 0.4]]), nested=True)
    assert labels.tolist() == [3, 0, 1] and confidence.tolist() == [255, 0, 255]
    assert labels.dtype == confidence.dtype == torch.uint8


@pytest.mark.parametrize("nested", [False, True])
def test_slabs_give_the_confidence_of_the_whole_volume(nested):
    probability = torch.rand((3, 6, 5, 4), generator=torch.Generator().manual_seed(0))
    if not nested:
        probability = (6 * probability).softmax(0)
    labels, confidence = decide(probability, nested)
    claims = NativeClaims(NativeGrid((6, 5, 4), ((3, 9), (0, 5), (2, 6))), nested)
    found = np.zeros((2, 10, 5, 7), np.uint8)
    for first in range(0, 6, 2):
        for claim in claims.add(probability[:, first : first + 2], 2):
            assert claim.labels.dtype == claim.confidence.dtype == np.uint8
            found[(slice(None), *claim.box)] = claim.labels, claim.confidence
    inside = found[:, 3:9, :, 2:6].astype(int)
    assert (inside[0] == labels.numpy()).all() and found.sum() == inside.sum()
    assert np.abs(inside[1] - confidence.numpy()).max() <= 1  # rounding of the interpolation
    assert ((inside[1] > 0) == (inside[0] > 0)).all()


@pytest.mark.parametrize("native", [6, 9, 17, 4])
@pytest.mark.parametrize("nested", [False, True])
def test_slabs_that_no_window_reached_are_certain_background(native, nested):
    """Slices 0-1, 4-5 and 6-7 come as None, 2-3 and 8-9 with probabilities: the same as slabs that say so voxel by voxel."""
    probability = torch.zeros((2, 10, 3, 3))
    probability[0] = 0.0 if nested else 1.0
    for rows in (slice(2, 4), slice(8, 10)):
        probability[:, rows] = torch.tensor([0.1, 0.9]).reshape(2, 1, 1, 1)
    results = []
    for lazy in (True, False):
        claims, found = NativeClaims(NativeGrid((10, 3, 3), ((0, native), (0, 3), (0, 3))), nested), np.zeros((2, native, 3, 3), np.uint8)
        for first in range(0, 10, 2):
            slab = probability[:, first : first + 2]
            for claim in claims.add(None if lazy and first not in (2, 8) else slab, 2):
                found[(slice(None), *claim.box)] = claim.labels, claim.confidence
        results.append(found)
    assert results[0].any() and (results[0] == results[1]).all()


class Scan:
    """Just what a predictor reads of a prepared case."""

    shape_zyx = (4, 4, 4)
    crop_zyx = ((1, 5), (0, 4), (2, 6))
    geometry = Geometry((6, 4, 7), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))

    def image_hu(self):
        return np.full((4, 4, 4), 100, np.int16)


def test_a_scan_yields_label_map_and_confidence_on_its_own_grid():
    intensity = Intensity([{"center_hu": 0.0, "scale_hu": 100.0}])
    parts = [Part("a", (Label("A", ("A",)), Label("B", ("B",))), "1"), Part("n", (Label("N", ("N",)),), "2", nested=True)]
    networks = [
        PartNetwork(parts[0], lambda x: torch.tensor([0.2, 0.1, 0.7]).reshape(1, 3, 1, 1, 1).expand(len(x[0]), 3, 4, 4, 4)),
        PartNetwork(parts[1], lambda x: torch.full((len(x[0]), 1, 4, 4, 4), 0.75)),
    ]
    results = list(ScanPredictor(lambda x: [x], networks, Windows((4, 4, 4)), intensity)(Scan()))
    assert [part.name for part, _, _ in results] == ["a", "n"]
    for (_, labels, confidence), value, certain in zip(results, (2, 1), (178, 255), strict=True):  # 0.7 * 255 = 178.5, to the even 178
        assert labels.shape == confidence.shape == (6, 4, 7) and labels.dtype == confidence.dtype == np.uint8
        inside = np.zeros((6, 4, 7), bool)
        inside[1:5, :, 2:6] = True
        assert (labels == inside * value).all()
        assert (np.abs(confidence.astype(int) - inside * certain) <= 1).all()
