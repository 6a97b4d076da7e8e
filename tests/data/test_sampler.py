"""Which patch is drawn: by decoder, label and case, or by dataset, label and case."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from clnet.data.sampler import PatchSampler
from tests.learn.conftest import Case

GROUPS = {"x": ("Liver", "Kidney_L"), "y": ("Kidney_R",)}


def test_without_weights_patches_are_those_that_they_always_were():
    sampler = PatchSampler([Case("a", 1), Case("b", 2)], GROUPS, 0.5)
    drawn = [sampler.draw(np.random.default_rng([0, i]), (8, 8, 8)) for i in range(4)]
    assert [(patch.case, patch.start_zyx) for patch in drawn] == [(1, (0, 0, 3)), (1, (0, 8, 0)), (0, (3, 8, 0)), (1, (4, 1, 7))]


def test_datasets_are_drawn_by_their_weights():
    """Four to one, though the second has more cases and a label of its own."""
    cases = [Case("a", 1, dataset="first", absent=("Kidney_R",)), Case("b", 2, dataset="second"), Case("c", 3, dataset="second")]
    sampler = PatchSampler(cases, GROUPS, 1.0, {"first": 4.0, "second": 1.0})
    rng, drawn = np.random.default_rng(0), Counter()
    for _ in range(1000):
        drawn[sampler.draw(rng, (1, 1, 1)).case] += 1
    assert drawn[0] == pytest.approx(800, abs=40) and drawn[1] == pytest.approx(100, abs=30) and drawn[2] == pytest.approx(100, abs=30)
