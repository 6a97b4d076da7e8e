"""Every baseline through three tasks: what it predicts, what it shares, what survives, and what a kill changes (nothing)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from baselines.csclip import CSCLIP
from baselines.finetune import Finetune
from baselines.ilt import ILT
from baselines.joint import Joint
from baselines.lwf import LwF
from baselines.mib import MiB
from baselines.multitalent import MultiTalent
from baselines.nnunet import NnUNet
from baselines.plop import PLOP
from baselines.prediction import parts_of
from baselines.prompted import UNetBackbone
from baselines.training import UNetTraining
from clnet.errors import UsageError
from tests.baselines.conftest import LESSONS

ONE_NETWORK = {
    "finetune": partial(Finetune), "lwf": partial(LwF, distillation_weight=100.0),
    "ilt": partial(ILT, distillation_weight=100.0, feature_weight=100.0), "mib": partial(MiB, distillation_weight=10.0),
    "plop": partial(PLOP, pod_factor=1e-3, logits_factor=5e-4, scales=(1, 2), pooled_axes=1, threshold_batches=2),
    "multitalent": partial(MultiTalent, merged=False),
    "csclip": partial(CSCLIP, backbone="unet", backbones={"unet": UNetBackbone}, embedding="text", hidden=16, pseudo_labels="hard",
                      relabelled="truth"),
}  # fmt: skip


@pytest.fixture(params=ONE_NETWORK)
def own(request, baseline):
    """Makes one of the methods in a folder."""
    kind = ONE_NETWORK[request.param]

    def make(folder: str = "a"):
        return baseline(kind.func, folder, **kind.keywords)

    return make


def test_classes_grow_and_all_are_predicted(own, tasks):
    method = own()
    method.announce(tasks)
    hashes = []
    for task in tasks:
        method.learn(task)
        hashes.append(method.hashes()["network"])
        assert method.updated == ("network",)
    assert len(set(hashes)) == 3
    known = {label.name for part in method.parts() for label in part.labels}
    assert known == {"Liver", "Kidney_L", "Kidney_R", "Kidney_Lesion", "HepaticVessel"}
    case = tasks[0].cases[0]
    for part, label_map, confidence in method.predictor(method.parts())(case):
        assert label_map.shape == confidence.shape == case.shape_zyx and label_map.max() <= len(part.labels)


def test_everything_survives_saving(own, tasks, tmp_path):
    method = own()
    for task in tasks[:2]:
        method.learn(task)
    method.save(tmp_path / "model")
    again = own("elsewhere")
    again.load(tmp_path / "model")
    assert again.hashes() == method.hashes() and again.parts() == method.parts() and again.footprint() == method.footprint()


def test_a_kill_changes_nothing(own, tasks, monkeypatch):
    whole = own("whole")
    for task in tasks[:2]:
        whole.learn(task)

    class Killed(BaseException):
        """Passes every `except Exception`."""

    step, count = UNetTraining.training_step, [0]

    def dying(self, *arguments):
        count[0] += 1
        if count[0] in (4, 8, 13):
            raise Killed
        return step(self, *arguments)

    monkeypatch.setattr(UNetTraining, "training_step", dying)
    kills = 0
    while True:
        try:
            again = own("cut")
            for task in tasks[:2]:
                again.learn(task)
            break
        except Killed:
            kills += 1
    assert kills >= 2 and again.hashes() == whole.hashes()


def test_the_first_step_of_one_softmax_is_shared_and_all_later_ones_differ(baseline, tasks):
    first, second, alone = set(), set(), 0
    for kind in ONE_NETWORK.values():
        method = baseline(kind.func, "together", **kind.keywords)
        method.learn(tasks[0])
        first.add(method.learned.identity)
        alone += method.of_own
        method.learn(tasks[1])
        second.add(method.learned.identity)
    assert len(first) == 1 + alone and len(second) == len(ONE_NETWORK)


def test_the_teacher_does_not_learn(own, tasks):
    method = own()
    method.learn(tasks[0])
    before = method.hashes()
    first = method.learned
    method.learn(tasks[1])
    assert method.hashes_of({"network": first}) == before


def test_later_lessons_may_leave_the_finest_block_out(own, tasks):
    """The first half of the steps compares the two networks one level down."""
    method = own()
    method.learn(tasks[0])
    method.later = replace(method.later, training=replace(method.later.training, coarse_share=0.5))
    before = method.hashes()
    method.learn(tasks[1])
    assert method.hashes() != before


def test_specialists_are_judged_on_their_own_dataset(baseline, tasks):
    method = baseline(NnUNet)
    hashes = {}
    for task in tasks:
        method.learn(task)
        assert {name: method.hashes()[name] for name in hashes} == hashes, "no specialist changes again"
        hashes = method.hashes()
    assert list(hashes) == ["first", "second", "third"]
    kidneys = [part for part in method.parts() if any(label.name == "Kidney_L" for label in part.labels)]
    assert [part.datasets for part in kidneys] == [frozenset(["first"]), frozenset(["second"])]
    predicted = list(method.predictor(kidneys)(tasks[0].cases[0]))
    assert [part for part, *_ in predicted] == kidneys
    assert method.footprint().nominal_parameters_m == pytest.approx(3 * 31.3)


def test_joint_training_takes_all_at_once(baseline, tasks):
    method = baseline(Joint)
    with pytest.raises(UsageError, match="universal"):
        method.learn(tasks[0])
    method.announce(tasks, together=True)
    method.learn_together(tasks)
    assert len(method.learned.space.structures) == 5 and method.hashes().keys() == {"network"}


def test_joint_training_draws_a_small_dataset_as_often_as_a_large_one(baseline, tasks, monkeypatch):
    """Three cases with two labels beside one case with two, of which one is the same: each dataset has half of the patches."""
    drawn = []
    monkeypatch.setattr("baselines.method.fit", lambda module, batches, *_: drawn.extend(cases_of(batches, 400)))
    few = replace(tasks[2], cases=tasks[2].cases[:1])
    baseline(Joint).learn_together([tasks[0], few])
    assert drawn.count("third") / len(drawn) == pytest.approx(0.5, abs=0.08)


def cases_of(batches, count: int) -> list[str]:
    """The datasets of so many patches."""
    sampler, rng = batches.sampler, np.random.default_rng(0)
    return [sampler.cases[sampler.draw(rng, (8, 8, 8)).case].dataset for _ in range(count)]


def test_the_weights_of_datasets_are_part_of_what_a_network_is(baseline, tasks, monkeypatch):
    method = baseline(Joint)
    given = method.curriculum(tasks[:2], method.no_classes)
    even = method.identity(given)
    monkeypatch.setattr(Joint, "dataset_weights", lambda *_: {"first": 1.0, "second": 2.0})
    assert method.identity(given) != even


@pytest.mark.parametrize("count", [1, 3])
def test_what_is_announced_is_what_is_trained(baseline, tasks, monkeypatch, count):
    """Name and steps, also where all datasets at once are a single one, which the first lesson teaches."""
    planned, trained = [], []
    method = baseline(Joint)
    method.together = replace(method.together, training=replace(method.together.training, epochs=1, steps_per_epoch=7))
    monkeypatch.setattr(method.shop.progress, "plan", lambda title, steps: planned.append((title, steps)))
    monkeypatch.setattr("baselines.method.fit", lambda module, *rest: trained.append((rest[-2], rest[-1] * module.settings.steps)))
    method.announce(tasks[:count], together=True)
    method.learn_together(tasks[:count])
    assert planned == trained and len(planned) == 1


@pytest.mark.parametrize("name", ["multitalent", "csclip"])
def test_sigmoids_learn_all_at_once_too(baseline, tasks, name):
    method = baseline(ONE_NETWORK[name].func, **ONE_NETWORK[name].keywords)
    method.announce(tasks, together=True)
    method.learn_together(tasks)
    assert {label.name for part in method.parts() for label in part.labels} == {label.name for task in tasks for label in task.labels}
    assert list(method.predictor(method.parts())(tasks[2].cases[0]))


def test_thresholds_are_medians_of_the_teachers_entropy(baseline, tasks):
    kind = ONE_NETWORK["plop"]
    method = baseline(kind.func, **kind.keywords)
    method.learn(tasks[0])
    given = method.curriculum([tasks[1]], method.learned.space, method.learned)
    teacher = method.loaded(method.learned).eval()
    image, target = torch.randn(2, 1, 8, 8, 8), torch.zeros(2, 8, 8, 8, dtype=torch.uint8)
    batches = [{"image": image, "target/second/0": target}] * 2
    found = method.studied(given, teacher, batches)["thresholds"]
    logits = teacher(image).logits[0].softmax(1).detach()
    entropy = -(logits * logits.log()).sum(1).numpy() / np.log(3)
    guess = logits.argmax(1).numpy()
    for channel in range(3):
        mine = np.repeat(entropy[guess == channel], 2)  # the lower median of an even number, as torch has it
        expected = np.sort(mine)[(len(mine) - 1) // 2] if len(mine) else 0.0
        assert found[channel] == pytest.approx(max(expected, 0.001), rel=1e-4)


@pytest.mark.parametrize("name", ["shape", "width", "augmentation", "intensity", "validation_share", "first"])
def test_a_network_is_known_by_the_methods_own_settings(baseline, tasks, name):
    """`method.width=4` and the like reach the network past the settings of the same kind elsewhere."""
    plain, other = (baseline(Finetune, plain={name: value}) for value in (1, 2))
    assert plain.identity(plain.curriculum(tasks[:1], plain.no_classes)) != other.identity(other.curriculum(tasks[:1], other.no_classes))


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_network_is_taught_and_known_by_its_own_lesson(baseline, tasks, monkeypatch, lesson):
    """The first dataset alone, several at once and later ones: each by the steps of its lesson, and no other lesson changes it."""
    steps = []
    monkeypatch.setattr("baselines.method.fit", lambda module, *_: steps.append(module.settings.steps))
    usual, other = baseline(Finetune, "usual"), baseline(Finetune, "other", plain={lesson: "five steps"})
    own = getattr(other, lesson)
    setattr(other, lesson, replace(own, training=replace(own.training, epochs=1, steps_per_epoch=5)))
    known = {}
    for method in (usual, other):
        alone = method.learned_by(method.curriculum(tasks[:1], method.no_classes))
        many = method.learned_by(method.curriculum(tasks, method.no_classes))
        after = method.learned_by(method.curriculum(tasks[1:2], alone.space, replace(alone, identity="the network before")))
        known[method] = [alone.identity, many.identity, after.identity]
    changed = [kind == lesson for kind in LESSONS]
    assert [mine != theirs for mine, theirs in zip(known[usual], known[other], strict=True)] == changed
    assert steps == [4, 4, 4] + [5 if own else 4 for own in changed]


@pytest.mark.parametrize("name", ["windows", "intensity"])
def test_predictions_are_known_by_the_methods_own_settings(baseline, tasks, name):
    methods = [baseline(Finetune, plain={name: value}) for value in (1, 2)]
    space = methods[0].curriculum(tasks[:1], methods[0].no_classes).space
    first, second = (parts_of(space.outputs(), "one network", method.shop)[0].identity for method in methods)
    assert first != second
