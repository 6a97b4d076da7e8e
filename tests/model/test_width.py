"""Rules for the width of a decoder."""

from __future__ import annotations

import pytest

from clnet.model.width import Same, SquareRoot


def test_widths():
    assert [SquareRoot()(n) for n in (1, 2, 4, 10, 16, 24)] == [8, 12, 16, 28, 32, 32]
    assert [Same(8)(n) for n in (1, 24)] == [8, 8] and Same()(3) is None
    assert SquareRoot(per_structure=8, smallest=16, largest=20, multiple=2)(1) == 16 == SquareRoot(smallest=16)(2)


@pytest.mark.parametrize("structures", range(1, 40))
def test_more_structures_never_get_less(structures):
    assert SquareRoot()(structures) <= SquareRoot()(structures + 1)
