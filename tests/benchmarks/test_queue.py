"""The table of the queue's sizes: what is stated and what is measured agree, and a row is of the entries that it names."""

from __future__ import annotations

import pytest

from benchmarks import queue
from clnet.errors import HostError
from clnet.learn.momentum_queue import QueuePlan
from clnet.model.encoder import Encoder
from clnet.model.shape import NetworkShape

SHAPE = NetworkShape(features=(4, 8), kernels=((3, 3, 3),) * 2, strides=((1, 1, 1), (2, 2, 2)))
PLAN = QueuePlan(1, (32, 32, 64), 2, 1.0, half=False)


def test_memory_grows_as_stated():
    rows = [dict(zip(queue.HEADER, row, strict=True)) for row in queue.measured(PLAN, Encoder(SHAPE, 1), 1, [20, 80])]
    assert [row["entries"] for row in rows] == [20, 80]
    assert rows[0]["MiB an entry"] == pytest.approx((32 * 32 * 64 * 5 + 16 * 16 * 32 * 8) * 4 / 2**20)
    grown, stated = (rows[1][of] - rows[0][of] for of in ("GiB, measured", "GiB, stated"))
    assert grown == pytest.approx(stated, rel=0.15)
    assert rows[1]["s to fill"] > rows[0]["s to fill"] > 0 and min(row["s a step"] for row in rows) > 0


def test_a_queue_that_does_not_fit_is_refused_before_it_is_filled(monkeypatch):
    monkeypatch.setattr("clnet.learn.momentum_queue.free_memory", lambda: 2**20)
    with pytest.raises(HostError, match="does not fit"):
        next(queue.measured(PLAN, Encoder(SHAPE, 1), 1, [1000]))
