"""Whole scans by several networks: in one pass or many, in slabs or at once, with windows skipped or not, the labels are the same."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from clnet.data.intensity import Intensity
from clnet.errors import UsageError
from clnet.infer.mergedscan import Anywhere, MergedScan, ScanMerging
from clnet.infer.merging import merging_rules
from clnet.infer.native import Claim
from clnet.infer.passes import passes
from clnet.infer.predict import PartNetwork, ScanPredictor
from clnet.infer.scanmerger import ScanMerger
from clnet.infer.window import Windows
from clnet.types import Geometry, Label, Part

NAMES = ("Liver", "Kidney", "Spleen", "Kidney_Lesion", "Body", "Larynx")
RULES = merging_rules({"abdomen": ["Liver", "Kidney", "Spleen"]}, {"Kidney_Lesion": ["Kidney"]})
PARTS = [
    Part(name, tuple(Label(f"{name}{i}", (f"{name}{i}",)) for i in range(1 + index % 3)), name, nested=name == "Larynx")
    for index, name in enumerate(NAMES)
]
FIRST = RULES.lesions_first(PARTS)
INTENSITY, WINDOWS = Intensity([{"center_hu": 0.0, "scale_hu": 200.0}]), Windows((8, 8, 8), 0.5, 3)
MAX_SUMS = sum(len(part.labels) + (not part.nested) for part in PARTS) * 8 * 14 * 16 * 4 / 2**30  # of all parts, in GiB


class Scan:
    """What prediction reads of a prepared case: 30 x 14 x 16 voxels, 45 x 21 x 16 on the native grid, of which the scan has a few more."""

    shape_zyx, crop_zyx = (30, 14, 16), ((2, 47), (1, 22), (3, 19))
    geometry = Geometry((50, 22, 20), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), tuple(np.eye(3).ravel()))

    def image_hu(self):
        noise = np.random.default_rng(2).normal(0, 250, self.shape_zyx)
        noise[20:24] = -1000
        return noise.astype(np.int16)


def networks(parts, shown=None):
    """Random networks, whose convolutions reach across windows' borders; `shown` counts the windows that each is shown."""

    def probabilities(encoded, part):
        if shown is not None:
            shown[part.name] = shown.get(part.name, 0) + len(encoded)
        channels = len(part.labels) + (not part.nested)
        weight = torch.randn((channels, 2, 3, 3, 3), generator=torch.Generator().manual_seed(NAMES.index(part.name)))
        logits = F.conv3d(encoded, weight, padding=1)
        return logits.sigmoid() if part.nested else logits.softmax(1)

    calls = [lambda encoded, part=part: probabilities(encoded, part) for part in parts]
    return [PartNetwork(part, call, -place) for place, (part, call) in enumerate(zip(parts, calls, strict=True))]  # the last runs first


def encoder(image):
    weight = torch.randn((2, 1, 3, 3, 3), generator=torch.Generator().manual_seed(99))
    return F.leaky_relu(F.conv3d(image, weight, padding=1))


def predictor(sums_gib=1.0, shown=None):
    return ScanPredictor(encoder, networks(FIRST, shown), WINDOWS, INTENSITY, sums_gib=sums_gib)


def test_several_passes_predict_what_one_does():
    channels = {network.part.name: network.channels for network in predictor().networks}
    limits = {1: MAX_SUMS, 3: MAX_SUMS / 2, 6: 1e-9}
    expected = [(part, labels.copy(), confidence.copy()) for part, labels, confidence in predictor()(Scan())]
    assert [part.name for part, _, _ in expected] == [part.name for part in FIRST] and all(labels.any() for _, labels, _ in expected)
    for count, limit in limits.items():
        assert len(passes(channels, Scan.shape_zyx, WINDOWS, {}, limit * 2**30)) == count
        for (part, *own), (other, *theirs) in zip(expected, predictor(limit)(Scan()), strict=True):
            assert part == other and all(np.array_equal(a, b) for a, b in zip(own, theirs, strict=True))


@pytest.mark.parametrize("limit", [1.0, MAX_SUMS / 3])
@pytest.mark.parametrize("slab_voxels", [1 << 21, 500])
def test_merging_slab_by_slab_is_merging_at_once(monkeypatch, limit, slab_voxels):
    monkeypatch.setattr("clnet.infer.window.SLAB_VOXELS", slab_voxels)
    ranges = {"Liver": slice(5, 30), "Kidney": slice(12, 40), "Body": slice(0, 33)}
    inside = {name: np.isin(np.arange(50), np.arange(own.start, own.stop)) for name, own in ranges.items()}
    merger, alone = ScanMerger(RULES, PARTS, inside, (50, 22, 20)), {}
    for part, labels, confidence in predictor()(Scan()):
        alone[part.name] = merger.add(part, labels, confidence)
    body = SimpleNamespace(inside=lambda case: inside, inside_prepared=lambda case: {})
    scan = ScanMerging(RULES, PARTS, body)(Scan(), predictor(limit))
    for part, label_map in scan.parts():
        expected = merger.masks(part) if alone[part.name] is None else alone[part.name]
        assert label_map.any() and np.array_equal(label_map, expected)
        assert label_map.dtype == expected.dtype
    ((name, values),) = scan.sets()
    assert name == "abdomen" and np.array_equal(values, merger.set_map(name)) and scan.names == merger.names
    assert all(np.array_equal(scan.ranges[part.name], merger.ranges[part.name]) for part in PARTS)


def test_a_predictor_that_is_a_plain_function_is_merged_as_well():
    def plain(case, reach=None):
        yield from predictor()(case, reach)

    expected = ScanMerging(RULES, PARTS, Anywhere())(Scan(), predictor())
    for part, label_map in ScanMerging(RULES, PARTS, Anywhere())(Scan(), plain).parts():
        assert label_map.any() and np.array_equal(label_map, expected.label_map(part))


@pytest.mark.parametrize("limit", [1.0, 1e-9])
def test_skipped_windows_change_nothing_within_the_ranges(limit):
    """Ranges on the prepared grid, a slice wider where it is predicted, as interpolation reads; merging bounds what is left."""
    prepared = {"Liver": slice(4, 9), "Kidney": slice(14, 18), "Body": slice(25, 30), "Larynx": slice(0, 2)}
    narrow = {name: np.isin(np.arange(30), np.arange(own.start, own.stop)) for name, own in prepared.items()}
    wide = {name: np.convolve(own, [1, 1, 1], mode="same") > 0 for name, own in narrow.items()}
    nearest = np.clip(np.rint((np.arange(45) + 0.5) * 30 / 45 - 0.5).astype(int), 0, 29)
    inside = {name: np.concatenate((np.zeros(2, bool), own[nearest], np.zeros(3, bool))) for name, own in narrow.items()}
    skipping = SimpleNamespace(inside=lambda case: inside, inside_prepared=lambda case: wide)
    everything = SimpleNamespace(inside=lambda case: inside, inside_prepared=lambda case: {})
    shown, all_shown = {}, {}
    skipped = ScanMerging(RULES, PARTS, skipping)(Scan(), predictor(limit, shown))
    expected = ScanMerging(RULES, PARTS, everything)(Scan(), predictor(limit, all_shown))
    for part in PARTS:
        assert np.array_equal(skipped.label_map(part), expected.label_map(part)) and expected.label_map(part).any()
    assert shown["Kidney"] < all_shown["Kidney"] and shown["Kidney_Lesion"] == shown["Kidney"] and shown["Spleen"] == all_shown["Spleen"]


def test_what_is_held_does_not_grow_with_the_parts():
    """30 parts that claim the same box of a set: one winner a voxel stays, compressed."""
    parts = [Part(f"d{i}", (Label(f"s{i}", (f"s{i}",)),), "x") for i in range(30)]
    rules, shape = merging_rules({"all": [part.name for part in parts]}, {}), (12, 40, 40)
    rng = np.random.default_rng(0)

    def slabs():
        for first in range(0, 12, 3):
            box = (slice(first, first + 3), slice(5, 35), slice(0, 40))
            claims = [[Claim(box, np.ones((3, 30, 40), np.uint8), rng.integers(128, 256, (3, 30, 40), np.uint8))] for _ in parts]
            yield box[0], zip(parts, claims, strict=True)

    scan = MergedScan(rules, parts, {}, shape, slabs())
    ((_, values),) = scan.sets()
    assert scan.nbytes < values.size and (values[:, 5:35] > 0).all() and not values[:, :5].any()
    assert sum(label_map for _, label_map in scan.parts()).max() == 1


@pytest.mark.parametrize("precision,message", [("bf16-mixed", "need a GPU"), ("16-mixed", "need a GPU"), ("half", "no precision")])
def test_mixed_precision_is_refused_on_a_cpu(precision, message):
    with pytest.raises(UsageError, match=message):
        ScanPredictor(encoder, networks(FIRST), WINDOWS, INTENSITY, precision=precision)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("precision", ["16-mixed", "bf16-mixed"])
def test_mixed_precision_on_a_gpu(precision):
    """Networks compute in 16 bits, probabilities have 32; few labels of random networks change."""
    seen = []

    def watched(image):
        made = encoder_on_gpu(image)
        seen.append(made.dtype)
        return made

    def encoder_on_gpu(image):
        return F.leaky_relu(F.conv3d(image, torch.ones((2, 1, 3, 3, 3), device=image.device), padding=1))

    parts = [PartNetwork(FIRST[0], lambda encoded: torch.cat((encoded, -encoded), dim=1)[:, :2].softmax(1))]
    found = [
        [labels for _, labels, _ in ScanPredictor(watched, parts, WINDOWS, INTENSITY, "cuda", precision=which)(Scan())][0]
        for which in ("32-true", precision)
    ]
    assert seen[0] == torch.float32 and seen[-1] in (torch.float16, torch.bfloat16) and (found[0] == found[1]).mean() > 0.98
