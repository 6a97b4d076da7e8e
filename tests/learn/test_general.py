"""How an encoder comes to be: stages that are shared, go on from each other, and leave nothing but an encoder behind."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from clnet.data.augment import Augmentation
from clnet.errors import UsageError
from clnet.learn.clnet import _check
from clnet.learn.encoder import Supervised
from clnet.learn.general import EncoderPlan
from clnet.learn.momentum_queue import QueuePlan
from clnet.learn.plan import Lesson
from clnet.learn.probe import ProbePlan
from clnet.learn.siamese import ViewSampling, WithoutLabels, last_spread
from clnet.model.weights import load_weights, weights_sha256


@pytest.fixture
def lesson(tiny) -> Lesson:
    """Two steps with a paired decoder of all labels; the encoder learns at a tenth of the rate."""
    training = replace(tiny.module(tiny.sgd()).settings, warm_up_epochs=0, epochs=1, encoder_lr_share=0.1)
    return Lesson(replace(tiny.SAMPLING, decoders_per_step=None), training, joint=True)


@pytest.fixture
def blind(lesson) -> WithoutLabels:
    view = Augmentation([])
    return WithoutLabels(ViewSampling((8, 8, 8), 3), replace(lesson.training, cosine=True), view, 8, 4, collapsed_below=0.0)


def encoder_of(own, tasks, sources=()) -> torch.nn.Module:
    """The encoder that a method learns for the first dataset."""
    own.sources = tuple(sources)
    own.learn(tasks[0])
    return own.archive.encoder(own.encoder.identity)


def moved(first: torch.nn.Module, second: torch.nn.Module) -> float:
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    return sum((a.detach() - b.detach()).square().sum().item() for a, b in pairs)


def test_stages_go_on_from_each_other_and_are_shared(method, tasks, blind, lesson):
    alone = method(encoder=EncoderPlan({"blind": blind}))
    first = encoder_of(alone, tasks)
    then = method(encoder=EncoderPlan({"blind": blind, "supervised": Supervised(lesson)}))
    second = encoder_of(then, tasks)
    begun = alone.archive.new_encoder
    fresh = alone.shop.made(begun, "encoder")
    assert moved(fresh, first) > 0 and moved(first, second) > 0
    units = {json.loads(path.read_text())["identity"].get("start", "none") for path in then.shop.store.root.glob("encoder/*/unit.json")}
    assert units == {None, alone.encoder.identity}, "one unit without labels, which both plans use, and one that starts from it"


@pytest.mark.parametrize(("share", "units"), [(0.0, 1), (0.34, 2)])
def test_scans_without_labels_are_seen_once_where_nobody_validates(method, tasks, blind, share, units):
    hidden = [replace(case, annotated=frozenset()) for case in tasks[0].cases[1:]]
    few = replace(tasks[0], cases=(tasks[0].cases[0], *hidden), identity="few", scans=tasks[0].identity)
    encoders = []
    for task in (tasks[0], few):
        own = method(encoder=EncoderPlan({"blind": blind}), validation_share=share)
        own.encoder_plan.build(own.shop, own.archive, own.registry.decoders.values(), [task])
        encoders = list(own.shop.store.root.glob("encoder/*/unit.json"))
    assert len(encoders) == units


def test_every_training_begins_with_what_the_one_before_left(method, tasks, blind, lesson):
    """Trainings that change nothing hand on what they were given."""
    still = replace(lesson, training=replace(lesson.training, lr=0.0))
    first = encoder_of(method(encoder=EncoderPlan({"blind": blind})), tasks, tasks[:2])
    for stage in (Supervised(still), Supervised(still, average=0.9)):
        then = method(encoder=EncoderPlan({"blind": blind, "supervised": stage}))
        assert weights_sha256(encoder_of(then, tasks, tasks[:2])) == weights_sha256(first)


def test_only_partners_of_the_first_dataset_are_handed_over(method, tasks, lesson):
    given = {
        "handed": (EncoderPlan({"s": Supervised(lesson, hand_over=True)}), []),
        "not handed": (EncoderPlan({"s": Supervised(lesson)}), []),
        "of another dataset": (EncoderPlan({"s": Supervised(lesson, hand_over=True)}), tasks[1:2]),
    }
    for name, (plan, sources) in given.items():
        own = method(name, encoder=plan)
        encoder_of(own, tasks, sources)
        kinds = {json.loads(path.read_text())["identity"]["start"][0] is None for path in own.shop.store.root.glob("decoder/*/unit.json")}
        assert kinds == {name != "handed"}, name
        assert (own.trunk is None) == (name != "handed")


def test_datasets_follow_each_other_and_the_order_matters(method, tasks, lesson):
    plan = EncoderPlan({"s": Supervised(lesson)})
    forth, back = (method(name, encoder=plan) for name in ("forth", "back"))
    assert moved(encoder_of(forth, tasks, tasks[1:]), encoder_of(back, tasks, tasks[:0:-1])) > 0
    assert len(list(forth.shop.store.root.glob("encoder/*/unit.json"))) == 2
    assert set(forth.learned) == {"Liver", "Kidney"}, "decoders are those of the dataset that was learned"


def test_slow_encoder_and_its_average(method, tasks, lesson):
    fresh = method().shop.made(method().archive.new_encoder, "encoder")
    fast = replace(lesson, training=replace(lesson.training, encoder_lr_share=1.0))
    slow = {
        name: moved(fresh, encoder_of(method(name, encoder=EncoderPlan({"s": stage})), tasks))
        for name, stage in {"fast": Supervised(fast), "slow": Supervised(lesson), "averaged": Supervised(lesson, average=0.9)}.items()
    }
    assert 0 < slow["averaged"] < slow["slow"] < slow["fast"]
    own = method("two", encoder=EncoderPlan({"s": Supervised(lesson, average=0.9)}))
    averaged = encoder_of(own, tasks, tasks[:2])
    folder = own.encoder.file.parent
    assert own.encoder.trained == folder / "trained.safetensors"
    trained = own.archive.new_encoder()
    load_weights(trained, own.encoder.trained)
    assert moved(fresh, averaged) < moved(fresh, trained)


def test_trained_weights_and_their_average_both_go_on(method, tasks, lesson):
    """A second dataset that changes no weight leaves what was trained, and the average comes nearer to it, step by step."""
    stage = Supervised(lesson, average=0.9)
    one = method("one", encoder=EncoderPlan({"s": stage}))
    shop, archive = one.shop, one.archive
    first = stage._learned(shop, archive, tasks[0], stage._targets(one.registry.decoders.values(), tasks[0]), None, {}, None)[0]
    archive.add(first)
    still = Supervised(replace(lesson, training=replace(lesson.training, lr=0.0)), average=0.9)
    second = still._learned(shop, archive, tasks[1], still._targets(one.registry.decoders.values(), tasks[1]), first, {}, None)[0]
    archive.add(second)
    before, after = (load_file(learned.trained) for learned in (first, second))
    assert all(torch.equal(before[name], after[name]) for name in before), "not from the average"
    share = 0.9 ** lesson.training.steps
    averages = [load_file(learned.file) for learned in (first, second)]
    for name, trained in before.items():
        assert torch.allclose(averages[1][name], share * averages[0][name] + (1 - share) * trained, atol=1e-6), "not begun anew"
    assert any(not torch.allclose(averages[0][name], before[name], atol=1e-5) for name in before)


def test_first_dataset_is_shared_whatever_queue_follows_and_partners_stay_only_to_be_handed_over(method, tasks, lesson):
    settings = {"rate": 1, "queue": {"size": 4}}
    stages = {"none": Supervised(lesson), "queue": Supervised(lesson, queue=QueuePlan(4, (8, 8, 8), 2, 1.0)),
              "kept": Supervised(lesson, hand_over=True)}  # fmt: skip
    own, folders = method(), {}
    for name, stage in stages.items():
        told = settings | ({"queue": None} if name == "none" else {"hand_over": True} if name == "kept" else {})
        targets = stage._targets(own.registry.decoders.values(), tasks[0])
        folders[name] = stage._learned(own.shop, own.archive, tasks[0], targets, None, told, None)[0].file.parent
    assert folders["none"] == folders["queue"] != folders["kept"]
    assert not (folders["none"] / "Liver.safetensors").exists() and (folders["kept"] / "Liver.safetensors").is_file()


def test_joint_starts_of_unlike_decoders_are_refused_before_anything_is_learned(method, lesson):
    own = method()
    wide = replace(own.plan, start=lesson, width=lambda structures: 4 if structures < 50 else 8)
    with pytest.raises(UsageError, match="all alike") as error:
        _check(None, wide, None, None, None, None, 0.2)
    assert error.value.where == "decoder.width"
    _check(None, replace(wide, start=None), None, None, None, None, 0.2)


def test_label_sets(method, tasks, lesson):
    own = method(encoder=EncoderPlan({"s": Supervised(lesson, groups=("Abdomen",))}))
    encoder_of(own, tasks)
    other = method(encoder=EncoderPlan({"s": Supervised(lesson, groups=("Bone",))}))
    with pytest.raises(UsageError, match="nothing to learn") as error:
        other.learn(tasks[0])
    assert error.value.where == "first" and error.value.fix


def test_frozen_afterwards(method, tasks, blind):
    own = method(encoder=EncoderPlan({"blind": blind}))
    before = weights_sha256(encoder_of(own, tasks))
    own.learn(tasks[1])
    assert weights_sha256(own.archive.encoder(own.encoder.identity)) == before == own.hashes()["encoder"]


def test_collapse_is_said(method, tasks, blind, capsys):
    own = method(encoder=EncoderPlan({"blind": replace(blind, collapsed_below=2.0)}))
    own.learn(tasks[0])
    spread = last_spread(own.encoder.file.parent / "metrics.jsonl")
    assert "collapsed" in capsys.readouterr().out and 0 <= spread < 2
    method("healthy", encoder=EncoderPlan({"blind": blind})).learn(tasks[0])
    assert "collapsed" not in capsys.readouterr().out


def test_decoders_may_have_a_start_on_an_encoder_that_comes_alone(method, tasks, blind, lesson):
    own = method(encoder=EncoderPlan({"blind": blind}))
    own.plan = replace(own.plan, start=lesson)
    own.announce(tasks)
    own.learn(tasks[0])
    starts = [path.parent for path in own.shop.store.root.glob("start/*/unit.json")]
    assert len(starts) == 1 and own.trunk is not None
    begun = {json.loads(path.read_text())["identity"]["start"][0] for path in own.shop.store.root.glob("decoder/*/unit.json")}
    assert begun == {f"{starts[0].name}/Liver", f"{starts[0].name}/Kidney"}
    own.plan = replace(own.plan, refine=None)
    again = method(encoder=EncoderPlan({"blind": blind}))
    again.plan = own.plan
    again.learn(tasks[0])
    assert {state.file.parent for state in again.learned.values()} == set(starts), "used as they are"


def test_probe_builds_the_encoder_once_and_leaves_learning_as_it_is(method, tasks, blind):
    for case in tasks[0].cases:
        case.spacing_mm = (3.0, 1.0, 1.0)
    own = method(encoder=EncoderPlan({"blind": blind}))
    plan = ProbePlan(3, (8, 8, 8))
    found = own.probe(tasks[0], plan)
    assert own.encoder is None and found.n == 3 and 0 <= found.tissue <= 1
    built = {path.parent: path.stat().st_mtime_ns for path in own.shop.store.root.glob("*/*/unit.json")}
    own.learn(tasks[0])
    hidden = [replace(case, annotated=frozenset()) for case in tasks[0].cases[1:]]
    with pytest.raises(UsageError, match="two cases with labels") as error:
        own.probe(replace(tasks[0], cases=(tasks[0].cases[0], *hidden)), plan)
    assert error.value.where == "first" and "probe=none" in error.value.fix
    assert own.probe(tasks[0], plan) == found and all(path.joinpath("unit.json").stat().st_mtime_ns == when for path, when in built.items())
