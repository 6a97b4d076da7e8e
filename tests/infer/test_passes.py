"""Decoders that share a pass over a scan: hand-worked groups."""

import numpy as np

from clnet.infer.passes import passes
from clnet.infer.window import Windows

WINDOWS = Windows((8, 4, 4), 0.5)  # rows of windows at 0, 4, 8, 12 and 16 of 24 slices
SHAPE = (24, 4, 4)
ONE = 8 * 4 * 4 * 4  # bytes of one channel


def test_all_in_one_pass_where_there_is_room():
    assert passes({"a": 2, "b": 3}, SHAPE, WINDOWS, {}, 5 * ONE) == [["a", "b"]]


def test_each_in_the_first_pass_with_room_for_it():
    assert passes({"a": 2, "b": 3, "c": 2, "d": 1}, SHAPE, WINDOWS, {}, 4 * ONE) == [["a", "c"], ["b", "d"]]


def test_what_fits_nowhere_goes_alone():
    assert passes({"a": 1, "wide": 9, "b": 1}, SHAPE, WINDOWS, {}, 2 * ONE) == [["a", "b"], ["wide"]]


def test_decoders_that_never_meet_share_a_pass():
    # a: slices 0-3, windows at 0, whose sums last through the row at 4. b: slices 8-9, windows at 4 and 8. c: slices 12-13, at 8 and 12.
    reach = {name: np.isin(np.arange(24), slices) for name, slices in {"a": range(4), "b": (8, 9), "c": (12, 13)}.items()}
    assert passes({"a": 2, "b": 2, "c": 2}, SHAPE, WINDOWS, reach, 2 * ONE) == [["a", "c"], ["b"]]


def test_no_decoder_no_pass():
    assert passes({}, SHAPE, WINDOWS, {}, ONE) == []
