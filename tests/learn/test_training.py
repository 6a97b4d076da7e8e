"""Training: a kill costs nothing but time, frozen weights stay, the schedule is the paper's, and a bad loss is noticed."""

from __future__ import annotations

import json
import os

import pytest
import torch

from clnet.errors import ClnetError, HostError
from clnet.learn.checkpoint import newest_readable, previous_of
from clnet.model.weights import weights_sha256

STEPS = 6


class Killed(BaseException):
    """Passes every `except Exception`, as the end of a process does."""


class KilledAt:
    """The same batches; the process "dies" when it asks for one of them."""

    def __init__(self, batches, step: int):
        self.batches, self.step, self.seen = batches, step, []

    def __getitem__(self, step: int):
        if step == self.step:
            raise Killed
        self.seen.append(step)
        return self.batches[step]


class Recorder(torch.optim.SGD):
    """Notes, before every step: parameters with momentum, the learning rate, and the weights' sum."""

    log: list[tuple[int, float, float]] = []

    def step(self, closure=None):
        group = self.param_groups[0]
        Recorder.log.append((len(self.state), group["lr"], float(sum(p.detach().double().sum() for p in group["params"]))))
        return super().step(closure)


@pytest.fixture
def recorder():
    Recorder.log = []
    return Recorder


def die(tiny, model, folder, step: int) -> list[int]:
    items = KilledAt(tiny.batches(), step)
    with pytest.raises(Killed):
        tiny.train(model, items, folder)
    return items.seen


def test_a_training_on_a_cpu_keeps_its_memory(tiny, tmp_path, monkeypatch):
    seen = []

    class Watched:
        def __enter__(self):
            seen.append("kept")

        def __exit__(self, *_):
            seen.append("given back")

    monkeypatch.setattr("clnet.learn.fit.freed_memory_kept", Watched)
    batches = KilledAt(tiny.batches(), 2)
    with pytest.raises(Killed):
        tiny.train(tiny.module(tiny.adamw()), batches, tmp_path / "unit")
    assert seen == ["kept", "given back"] and batches.seen == [0, 1]


@pytest.mark.parametrize("coarse_share,frozen", [(0.0, False), (0.5, False), (0.0, True)])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "muon"])
def test_killed_training_ends_with_the_same_bits(tiny, tmp_path, optimizer, coarse_share, frozen):
    def fresh():
        return tiny.module(getattr(tiny, optimizer)(), coarse_share=coarse_share, frozen=frozen)

    whole = weights_sha256(tiny.train(fresh(), tiny.batches(), tmp_path / "whole"))
    assert whole != weights_sha256(fresh())
    for kills in [(0,), (2,), (1, 3, 5)]:
        folder = tmp_path / "-".join(map(str, kills))
        for step in kills:
            die(tiny, fresh(), folder, step)
        assert weights_sha256(tiny.train(fresh(), tiny.batches(), folder)) == whole, f"killed before step {kills}"
        assert (folder / "metrics.jsonl").read_text() == (tmp_path / "whole/metrics.jsonl").read_text()
        assert not list(folder.glob("*.ckpt"))


def test_only_the_epoch_that_was_cut_is_repeated(tiny, tmp_path):
    assert die(tiny, tiny.module(tiny.adamw()), tmp_path, 3) == [0, 1, 2]
    assert die(tiny, tiny.module(tiny.adamw()), tmp_path, 5) == [2, 3, 4]
    again = KilledAt(tiny.batches(), -1)
    tiny.train(tiny.module(tiny.adamw()), again, tmp_path)
    assert again.seen == [4, 5]


def test_a_kill_between_record_and_checkpoint_repeats_no_record(tiny, tmp_path, monkeypatch):
    def no_time_left(*_):
        raise Killed

    whole = tiny.train(tiny.module(tiny.sgd()), tiny.batches(), tmp_path / "whole")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr("clnet.learn.checkpoint.torch.save", no_time_left)
        tiny.train(tiny.module(tiny.sgd()), tiny.batches(), tmp_path / "cut")
    again = tiny.train(tiny.module(tiny.sgd()), tiny.batches(), tmp_path / "cut")
    records = [json.loads(line) for line in (tmp_path / "cut/metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in records] == [1, 2, 3]
    assert weights_sha256(again) == weights_sha256(whole)


def test_frozen_encoder_keeps_its_hash(tiny, tmp_path):
    model = tiny.module(tiny.adamw(), frozen=True)
    encoder, before = model.frozen.encoders["encoder"], weights_sha256(model.decoders)
    frozen = weights_sha256(encoder)
    tiny.train(model, tiny.batches(), tmp_path)
    assert weights_sha256(encoder) == frozen and weights_sha256(model.decoders) != before
    free = tiny.module(tiny.adamw())
    start = weights_sha256(free.trained_encoder)
    assert start == frozen != weights_sha256(tiny.train(free, tiny.batches(), tmp_path / "free").trained_encoder)


@pytest.mark.parametrize("kill", [None, 2, 3])
def test_momentum_is_reset_after_the_warm_up(tiny, tmp_path, recorder, kill):
    def fresh():
        return tiny.module(tiny.sgd(recorder))

    if kill is not None:
        die(tiny, fresh(), tmp_path, kill)
        recorder.log.clear()
    tiny.train(fresh(), tiny.batches(), tmp_path)
    momentum, rates, _ = zip(*recorder.log, strict=True)
    expected = [False, True, False, True, True, True]  # two steps of warm-up, then four
    assert [bool(count) for count in momentum] == expected[-len(momentum) :] and len(momentum) == (STEPS if kill is None else 4)
    polynomial = [0.01 * (1 - step / 4) ** 0.9 for step in range(4)]
    assert rates == pytest.approx([1e-3, 1e-3, *polynomial][-len(rates) :])


class Poisoned:
    """Batches whose image is NaN at some steps."""

    def __init__(self, batches, steps):
        self.batches, self.steps = batches, steps

    def __getitem__(self, step: int):
        batch = self.batches[step]
        return batch | {"image": torch.full_like(batch["image"], torch.nan)} if step in self.steps else batch


@pytest.mark.parametrize("optimizer", ["recorder", "adamw"])
def test_a_step_without_a_finite_loss_is_skipped(tiny, tmp_path, recorder, optimizer):
    model = tiny.module(tiny.sgd(recorder) if optimizer == "recorder" else tiny.adamw())
    tiny.train(model, Poisoned(tiny.batches(), {0, 3, 4}), tmp_path)
    assert all(bool(parameter.isfinite().all()) for parameter in model.parameters())
    if optimizer == "recorder":
        weights = [entry[2] for entry in recorder.log]
        assert len(weights) == STEPS and weights[0] == weights[1] and weights[3] == weights[4] == weights[5]
        assert weights[1] != weights[2] != weights[3]


def test_three_steps_without_a_finite_loss_end_the_training(tiny, tmp_path):
    with pytest.raises(ClnetError, match="not finite in 3 steps in a row") as error:
        tiny.train(tiny.module(tiny.adamw()), Poisoned(tiny.batches(), {1, 2, 3}), tmp_path)
    assert error.value.fix and "Liver" in str(error.value.where)


def test_bad_steps_are_counted_across_a_kill(tiny, tmp_path):
    poisoned = Poisoned(tiny.batches(), {2, 3, 4})
    with pytest.raises(Killed):
        tiny.train(tiny.module(tiny.adamw()), KilledAt(poisoned, 4), tmp_path)
    with pytest.raises(ClnetError, match="not finite in 3 steps in a row"):
        tiny.train(tiny.module(tiny.adamw()), poisoned, tmp_path)


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tiny, tmp_path):
    whole = weights_sha256(tiny.train(tiny.module(tiny.sgd()), tiny.batches(), tmp_path / "whole"))
    for name, damage in (("cut", lambda path: os.truncate(path, path.stat().st_size // 2)), ("gone", lambda path: path.unlink())):
        folder = tmp_path / name
        die(tiny, tiny.module(tiny.sgd()), folder, 5)
        damage(folder / "last.ckpt")  # gone: killed between the two renames
        assert newest_readable(folder / "last.ckpt") == previous_of(folder / "last.ckpt")
        items = KilledAt(tiny.batches(), -1)
        assert weights_sha256(tiny.train(tiny.module(tiny.sgd()), items, folder)) == whole
        assert items.seen == [2, 3, 4, 5]


def test_no_readable_checkpoint_is_not_a_fresh_start(tiny, tmp_path):
    die(tiny, tiny.module(tiny.adamw()), tmp_path, 5)
    for path in tmp_path.glob("*.ckpt"):
        path.write_bytes(b"PK" + bytes(100))
    with pytest.raises(HostError, match="no checkpoint can be read") as error:
        tiny.train(tiny.module(tiny.adamw()), tiny.batches(), tmp_path)
    assert "last.ckpt" in str(error.value) and "previous-last.ckpt" in str(error.value) and error.value.fix
