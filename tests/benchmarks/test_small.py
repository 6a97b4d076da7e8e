"""Every benchmark on its small workload: both sides give the same result, or it raises; ratios are numbers. Speed is not judged."""

from __future__ import annotations

import math
from importlib import import_module

import pytest

from benchmarks.__main__ import modules


@pytest.mark.parametrize("key", modules())
def test_both_sides_agree(key):
    results = import_module(modules()[key]).run("small")
    assert results and all(result.key == key and math.isfinite(result.ratio) and result.ratio > 0 for result in results)
    assert all(result.equal and result.workload and result.ours != result.rival for result in results)
