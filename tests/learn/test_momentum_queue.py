"""The queue: who enters, who leaves, what it costs, that it survives a kill, and that it holds an encoder."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from clnet.errors import DataError, HostError
from clnet.learn import momentum_queue
from clnet.learn.encoder import Supervised
from clnet.learn.general import EncoderPlan
from clnet.learn.momentum_queue import FeatureQueue, QueuePlan, Rehearsal, consistency, pooled
from clnet.learn.plan import Lesson
from clnet.model.encoder import Encoder
from clnet.model.shape import NetworkShape

SHAPE = NetworkShape((4, 8, 8), ((3, 3, 3),) * 3, ((1, 1, 1), (1, 2, 2), (2, 2, 2)))
PLAN = QueuePlan(size=5, patch_zyx=[8, 8, 8], batch_size=2, weight=1.0, half=False)


def filled(numbers, plan: QueuePlan = PLAN) -> FeatureQueue:
    """A queue of entries that are constants, given in batches of two."""
    queue = FeatureQueue(plan)
    for first in range(0, len(numbers), 2):
        batch = torch.tensor(numbers[first : first + 2]).float()
        queue.add(batch.reshape(-1, 1, 1, 1, 1).expand(-1, 1, 2, 2, 2), [batch.reshape(-1, 1, 1, 1, 1).expand(-1, 3, 2, 2, 2)])
    return queue


def order(queue: FeatureQueue) -> list[int]:
    return [int(image[0, 0, 0, 0]) for image, _ in queue.entries]


def test_the_oldest_leaves_first():
    assert order(filled([1, 2, 3])) == [1, 2, 3]
    assert order(filled(list(range(8)))) == [3, 4, 5, 6, 7]


def test_entries_survive_a_file(tmp_path):
    plan = replace(PLAN, size=20)
    queue = filled(list(range(14)), plan)
    queue.save(tmp_path / "queue.safetensors")
    again = FeatureQueue.load(tmp_path / "queue.safetensors", plan)
    assert order(again) == order(queue) == list(range(14)), "two digits are not sorted as text"
    assert all(torch.equal(a, b) for (_, one), (_, other) in zip(queue.entries, again.entries, strict=True) for a, b in zip(one, other))
    (tmp_path / "queue.safetensors").write_bytes(b"x")
    with pytest.raises(DataError, match="cannot be read"):
        FeatureQueue.load(tmp_path / "queue.safetensors", plan)


def test_what_is_drawn_depends_on_the_seed_alone():
    queue = filled([1, 2, 3, 4])
    (first, levels), (again, _) = queue.draw([0, 3]), queue.draw([0, 3])
    assert torch.equal(first, again) and first.shape == (2, 1, 2, 2, 2) and [level.shape for level in levels] == [(2, 3, 2, 2, 2)]
    assert {int(image[0, 0, 0, 0]) for step in range(40) for image in queue.draw([0, step])[0]} == {1, 2, 3, 4}
    assert torch.equal(first[:, :, 0, 0, 0], levels[0][:, :1, 0, 0, 0]), "features stay with their image"


@pytest.mark.parametrize(("half", "pool"), [(False, 1), (True, 1), (True, 3)])
def test_bytes_are_those_of_the_entries(half, pool):
    plan = replace(PLAN, half=half, pool=pool)
    queue = FeatureQueue(plan)
    image = torch.randn(1, 2, 8, 8, 8)
    queue.add(image, Encoder(SHAPE, 2)(image))
    [(stored, features)] = queue.entries
    assert plan.entry_bytes(SHAPE, 2) == sum(part.nbytes for part in (stored, *features))


def test_papers_queue_is_of_the_papers_size():
    shape = NetworkShape((32, 64, 128, 256, 320, 320), ((1, 3, 3), *((3, 3, 3),) * 5), ((1, 1, 1), (1, 2, 2), *((2, 2, 2),) * 4))
    plan = QueuePlan(1024, (112, 96, 128), 2, 1.0)
    assert 90 < plan.size * plan.entry_bytes(shape, 1) / 2**30 < 150, "90 GiB in the paper (A4), which does not say what an entry is"


def test_memory_is_stated_and_refused(monkeypatch):
    entry = PLAN.entry_bytes(SHAPE, 1)
    monkeypatch.setattr(momentum_queue, "free_memory", lambda: 5 * entry)
    assert "5 entries" in PLAN.memory(SHAPE, 1)
    monkeypatch.setattr(momentum_queue, "free_memory", lambda: 5 * entry - 1)
    with pytest.raises(HostError, match="does not fit") as error:
        PLAN.memory(SHAPE, 1)
    assert error.value.fix and error.value.where
    monkeypatch.undo()
    assert 2**20 < momentum_queue.free_memory() < 2**50


def test_loss_by_hand_and_its_gradient():
    now = [torch.zeros(1, 1, 2, 2, 2, requires_grad=True), torch.ones(1, 2, 1, 1, 1, requires_grad=True)]
    stored = [torch.full((1, 1, 2, 2, 2), 3.0, requires_grad=True), torch.zeros(1, 2, 1, 1, 1)]
    loss = consistency(now, stored, 1)
    assert loss.item() == pytest.approx((9 + 1) / 2)
    loss.backward()
    assert stored[0].grad is None and float(now[0].grad.abs().sum()) > 0
    assert pooled(torch.arange(3.0).reshape(1, 1, 1, 1, 3), 2).flatten().tolist() == [0.5, 2.0], "cells at the border are smaller"


def test_unchanged_encoder_has_no_loss_and_a_changed_one_has():
    torch.manual_seed(0)
    encoder = Encoder(SHAPE)
    queue = FeatureQueue(replace(PLAN, pool=2))
    images = torch.randn(4, 1, 8, 8, 8)
    queue.add(images, encoder(images))
    held = Rehearsal(queue, seed=0)
    assert held.loss(encoder, 3).item() == pytest.approx(0.0, abs=1e-9)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.mul_(1.1)
    assert held.loss(encoder, 3).item() > 1e-4
    assert Rehearsal(replaced(queue, weight=10.0), 0).loss(encoder, 3).item() == pytest.approx(10 * held.loss(encoder, 3).item(), rel=1e-5)


def replaced(queue: FeatureQueue, **values) -> FeatureQueue:
    other = FeatureQueue(replace(queue.plan, **values))
    other.entries = queue.entries
    return other


def test_later_datasets_are_held_to_earlier_ones(method, tasks, tiny):
    training = replace(tiny.module(tiny.sgd()).settings, warm_up_epochs=0, epochs=4, lr=0.01)
    lesson = Lesson(replace(tiny.SAMPLING, decoders_per_step=None), training, joint=True)
    strong = replace(PLAN, size=6, weight=5.0)

    def learned(name: str, queue: QueuePlan | None):
        own = method(name, encoder=EncoderPlan({"s": Supervised(lesson, queue=queue)}))
        own.sources = tuple(tasks)
        own.announce(tasks[:1])
        own.learn(tasks[0])
        return own

    own = learned("held", strong)
    identities = [json.loads(path.read_text())["identity"] for path in own.shop.store.root.glob("queue/*/unit.json")]
    assert sorted(identity["entries"] for identity in identities) == [3, 3], "an equal share of each dataset but the last"
    [last] = [path.parent for path in own.shop.store.root.glob("queue/*/unit.json") if json.loads(path.read_text())["identity"]["before"]]
    queue = FeatureQueue.load(last / "queue.safetensors", strong)
    assert len(queue) == strong.size
    free = learned("free", None)
    drift = {name: Rehearsal(queue, 0).loss(each.archive.encoder(each.encoder.identity), 0).item() for name, each in
             {"held": own, "free": free}.items()}  # fmt: skip
    assert drift["held"] < drift["free"]
