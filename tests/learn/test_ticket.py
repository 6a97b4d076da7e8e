"""Lottery tickets: the rounds and where they stop, the masks to the end, and a kill inside a round that changes nothing."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from clnet.data.augment import Augmentation
from clnet.data.intensity import Intensity
from clnet.errors import UsageError
from clnet.infer.window import Windows
from clnet.learn import ticket as tickets
from clnet.learn.archive import Archive, LearnedEncoder
from clnet.learn.batches import Sampling
from clnet.learn.decoder import Assignment, train_decoder, update_decoder, validation_of
from clnet.learn.fit import TrainerSettings
from clnet.learn.optim import Training
from clnet.learn.plan import Lesson, Supporting, lottery_ticket
from clnet.learn.progress import RunProgress
from clnet.learn.target import decoder_variants
from clnet.learn.ticket import draw_ticket
from clnet.learn.update import prune_average, refreshed_route
from clnet.learn.validate import band_mean, held_out
from clnet.learn.workshop import Workshop
from clnet.model.compact import CompactDecoder, compact_paths
from clnet.model.mask import SingleWeights, prunable
from clnet.model.shape import NetworkShape
from clnet.model.structured import WholeChannels
from clnet.model.support import Pass, Route, for_inference
from clnet.model.weights import count_parameters, save_weights, weights_sha256
from clnet.model.width import Same
from clnet.types import Decoder, Label, Task
from clnet.units import UnitStore

SHAPE = NetworkShape((4, 8, 8), ((3, 3, 3),) * 3, ((1, 1, 1), (1, 2, 2), (2, 2, 2)))
KIDNEY = Decoder("Kidney", "Abdomen", ("Kidney_L", "Kidney_R"))
LABELS = (Label("Kidney_L", ("Kidney_L",), (2,)), Label("Kidney_R", ("Kidney_R",), (3,)))
SGD = partial(torch.optim.SGD, momentum=0.99, nesterov=True, weight_decay=1e-2)
PLAN = {"round": {"lr": 0.01, "epochs": 2, "steps_per_epoch": 2}, "recovery": {"lr": 0.01, "epochs": 2, "steps_per_epoch": 2}}
KEYS = ("network", "decoder_width", "augment", "intensity", "trainer", "validation_share", "validation_overlap", "windows",
        "pruning", "decoder_new", "decoder_update", "supporting")  # fmt: skip


class Bench:
    """A workshop of one decoder in a folder of its own; the same in every folder."""

    def __init__(self, tiny, folder, rates=(50, 80, 90), **plan):
        self.shop = Workshop(Augmentation([]), Intensity([{"center_hu": 0.0, "scale_hu": 250.0}]), Windows((8, 8, 8), 0.25, 2),
                             dict.fromkeys(KEYS), UnitStore(folder / "units"), TrainerSettings(threads=1), RunProgress(interval_s=1e9), 0,
                             validation_share=0.4)  # fmt: skip
        self.shop.settings["pruning"] = [list(rates), repr(plan)]
        self.archive = Archive(SHAPE, 1, Same(4))
        encoder = self.shop.made(self.archive.new_encoder, "encoder")
        save_weights(encoder, folder / "encoder.safetensors")
        self.archive.add(LearnedEncoder(folder / "encoder.safetensors", "encoder"))
        cases = tuple(tiny.Case(name, seed) for seed, name in enumerate("abcde"))
        self.task = Task(0, "memory", LABELS, cases, "data")
        self.given = Assignment((self.task,), decoder_variants([KIDNEY], {"memory": LABELS})["Kidney"], Route("encoder"))
        training = tiny.module(SGD).settings
        self.lesson = Lesson(tiny.SAMPLING, training)
        self.plan = lottery_ticket(rates, optimizer=SGD, max_drop_dsc_points=plan.pop("max_drop_dsc_points", 200.0), **PLAN, **plan)

    def dense(self):
        learned = train_decoder(self.shop, self.archive, self.given, self.lesson, "decoder_new", None, heads=True)
        self.archive.add(learned)
        return learned

    def ticket(self, alpha=0.9):
        learned = draw_ticket(self.shop, self.archive, self.given, self.lesson, self.dense(), self.plan, alpha)
        self.archive.add(learned)
        return learned

    def hashes(self, learned) -> tuple[str, str]:
        return tuple(weights_sha256(self.archive.decoder(learned, file)[0]) for file in (learned.file, learned.trained))

    def update(self, before, alpha=0.9):
        return update_decoder(self.shop, self.archive, self.given, self.lesson, before, alpha)


@pytest.fixture
def bench(tiny, tmp_path):
    def make(name: str, **values) -> Bench:
        (tmp_path / name).mkdir(exist_ok=True)
        return Bench(tiny, tmp_path / name, **values)

    return make


def test_all_rounds_pass_where_the_drop_is_allowed(bench):
    own = bench("a")
    learned = own.ticket()
    assert learned.ticket.rate == pytest.approx(0.9, abs=1e-3) and learned.ticket.rounds == 3
    assert learned.ticket.dsc_before is not None and learned.ticket.dsc_after is not None
    for file in (learned.file, learned.trained):
        network, masks = own.archive.decoder(learned, file)
        tensors = prunable(network)
        assert masks.keys() == tensors.keys()
        assert not any(bool(tensors[name][~kept].any()) for name, kept in masks.items()), "zero after momentum, decay and average"
        zeros = sum(int((p == 0).sum()) for p in tensors.values())
        assert zeros / sum(p.numel() for p in tensors.values()) == pytest.approx(0.9, abs=0.01)
    assert own.hashes(learned)[0] != own.hashes(learned)[1], "the average lags behind"


@pytest.mark.parametrize("drops,accepted", [([0.0, 0.9, 1.1], 2), ([1.1, 0.0, 0.0], 0), ([-5.0, 1.0, 0.5], 3)])
def test_the_search_stops_at_the_first_drop_beyond_one_point(bench, monkeypatch, drops, accepted):
    """Unpruned 50 points; a round that falls by more than 1.0 is taken back, with its mask, and none follows it."""
    scores = iter([0.5, *(0.5 - drop / 100 for drop in drops)])

    def score(self, network):
        value = next(scores, 0.5)
        return value

    monkeypatch.setattr(tickets._Search, "score", score)
    own = bench("a", max_drop_dsc_points=1.0)
    learned = own.ticket()
    assert learned.ticket.rate == pytest.approx([0.0, 0.5, 0.8, 0.9][accepted], abs=1e-3)
    assert learned.ticket.rounds == min(accepted + 1, 3)
    if accepted == 0:
        assert weights_sha256(own.archive.decoder(learned)[0]) == weights_sha256(own.archive.decoder(own.dense())[0]), "as it was"
        assert learned.ticket.dsc_after == learned.ticket.dsc_before == 0.5


@pytest.mark.parametrize("drops,rounds,rate", [([1.1, 1.0], 2, 0.5), ([1.1, 1.1], 2, 0), ([1.0, 1.1], 2, 0.8), ([0.0, 0.0], 2, 0.9)])
def test_a_lower_rate_is_tried_once_where_the_first_round_fails(bench, monkeypatch, drops, rounds, rate):
    """80 and 90 %, 50 % if 80 fails: then nothing follows, and a failure at 90 % goes back to 80."""
    scores = iter([0.5, *(0.5 - drop / 100 for drop in drops)])
    monkeypatch.setattr(tickets._Search, "score", lambda self, network: next(scores, 0.5))
    learned = bench("a", rates=(80, 90), fallback_percent=50, max_drop_dsc_points=1.0).ticket()
    assert learned.ticket.rate == pytest.approx(rate, abs=1e-3) and learned.ticket.rounds == rounds


def test_whole_channels_are_pruned_by_the_same_rounds(bench):
    """Weights and biases of convolutions, normalisations and readers of a removed channel are zero after momentum, decay and average."""
    own = bench("a", rates=(50, 70), choose=WholeChannels())
    learned = own.ticket()
    assert 0.7 <= learned.ticket.rate < 0.8 and learned.ticket.rounds == 2
    updated = own.update(learned)
    for state, file in ((learned, learned.file), (learned, learned.trained), (updated, updated.file), (updated, updated.trained)):
        network, masks = own.archive.decoder(state, file)
        parameters = dict(network.named_parameters())
        assert masks.keys() == parameters.keys()
        assert not any(bool(parameters[name][~kept].any()) for name, kept in masks.items())
        small = CompactDecoder(network, [])
        assert count_parameters(small)[0] == sum(int(kept.sum()) for kept in masks.values()), "all that is left is alive"
    image = torch.randn(2, 1, 8, 8, 8)
    paths = own.archive.paths([], [own.archive.decoders[learned.identity].identity])
    masked, compact = (Pass(for_inference(way, lambda network: network), image).output(learned.identity) for way in
                       (paths, compact_paths(paths)))  # fmt: skip
    assert torch.allclose(masked.logits[0], compact.logits[0], atol=1e-4)
    assert torch.equal(masked.logits[0].argmax(1), compact.logits[0].argmax(1))


@pytest.mark.parametrize("drops,rate,rounds", [([0, 0, 0, 0], 0.9, 3), ([0, 2, 0, 0], 0.9, 4), ([2, 0, 2], 0.7, 3), ([0, 0, 2], 0.7, 3),
                                              ([2, 2], 0, 2)])  # fmt: skip
def test_single_weights_follow_whole_channels(bench, monkeypatch, drops, rate, rounds):
    """Channels to 50 and 70 %, then weights to 70 and 90 %: a stage ends at its first failure, and the next one does what lies above."""
    scores = iter([0.5, *(0.5 - drop / 100 for drop in drops)])
    monkeypatch.setattr(tickets._Search, "score", lambda self, network: next(scores, 0.5))
    own = bench("a", rates=(50, 70), choose=WholeChannels(), then={"rates_percent": [70, 90]}, max_drop_dsc_points=1.0)
    learned = own.ticket()
    assert learned.ticket.rate == pytest.approx(rate, abs=0.08) and learned.ticket.rounds == rounds
    network, masks = own.archive.decoder(learned)
    if drops[0] == 0:
        assert count_parameters(CompactDecoder(network, []))[0] < 0.6 * count_parameters(network)[0], "channels stay removed"
        assert rate == 0.7 or not bool(masks["blocks.0.norm1.weight"].all())
    with pytest.raises(UsageError, match=r"pruning.then.rates_percent"):
        bench("b", then={"rates_percent": [90, 70]})


def test_the_fallback_lies_below_the_first_rate():
    with pytest.raises(UsageError, match="below the first"):
        lottery_ticket([80, 90], PLAN["round"], PLAN["recovery"], SGD, fallback_percent=80)


def test_kept_weights_are_rewound_to_the_end_of_the_warm_up(bench):
    own, warm = bench("a"), bench("b")
    own.lesson = replace(own.lesson, training=replace(own.lesson.training, balance=(0.0, 0.0)))
    warm.lesson = replace(own.lesson, training=replace(own.lesson.training, epochs=0))
    dense = own.dense()
    early = own.archive.new_decoder(KIDNEY, dense.route)
    tickets.rewind(early, dense, {})
    assert weights_sha256(early) != weights_sha256(own.archive.decoder(dense)[0]), "not the trained weights"
    assert weights_sha256(warm.archive.decoder(warm.dense())[0]) == weights_sha256(early)


def test_validation_scores_each_label_on_the_native_grid(bench, tiny, monkeypatch):
    """24 voxels of the reference, 16 predicted, 8 of them in it: 2 * 8 / (24 + 16); the right kidney is in no reference."""
    own, native = bench("a"), (24, 16, 20)  # twice the prepared slices

    def reference(case, label: str) -> np.ndarray:
        mask = np.zeros(native, bool)
        mask[6:12, :2, :2] = label == "Kidney_L"
        return mask

    def predicted(predictor, case):
        label_map = np.zeros(native, np.uint8)
        label_map[4:8, :2, :2], label_map[0, 0, 5] = 1, 2
        yield predictor.networks[0].part, label_map, label_map

    monkeypatch.setattr(tiny.Case, "reference_mask", reference)
    monkeypatch.setattr("clnet.infer.predict.ScanPredictor.__call__", predicted)
    values = validation_of(own.shop, own.archive, own.given, own.given.route)(own.archive.new_decoder(KIDNEY, own.given.route))
    assert values == [0.4] * len(own.shop.cases(own.given.tasks)[1]) and values


def test_validation_has_an_overlap_of_its_own(bench):
    own = bench("a")
    windows = validation_of(own.shop, own.archive, own.given, own.given.route).windows
    assert own.shop.windows.overlap == 0.25 and windows == replace(own.shop.windows, overlap=0.0)
    own.shop.validation_overlap = 0.5
    assert validation_of(own.shop, own.archive, own.given, own.given.route).windows.overlap == 0.5


def lesson(steps_per_epoch: int) -> Lesson:
    return Lesson(Sampling((8, 8, 8), 2, 0.5), Training(SGD, 0.1, 300, steps_per_epoch))


def test_steps_of_a_round_grow_with_the_rate():
    plan = lottery_ticket([80, 99.7], {"lr": 0.01, "epochs": 20}, {"lr": 0.002, "epochs": 3}, SGD)
    rounds = [plan.retraining(lesson(256), rate) for rate in (0.0, 0.5, 0.8, 0.997, 0.9999)]
    assert [each.training.steps_per_epoch for each in rounds] == [256, 384, 461, 511, 512]
    assert {(each.training.epochs, each.training.lr, each.sampling) for each in rounds} == {(20, 0.01, lesson(256).sampling)}
    assert plan.retraining(lesson(10), 0.8).training.steps_per_epoch == 18, "as many as the decoder's own lesson has"
    recovery = plan.recovering(lesson(256)).training
    assert (recovery.epochs, recovery.lr, recovery.steps_per_epoch) == (3, 0.002, 256)


def test_rounds_may_have_steps_of_their_own():
    plan = lottery_ticket([80], {"lr": 0.01, "epochs": 1, "steps_per_epoch": 50}, {"lr": 0.01, "epochs": 1, "steps_per_epoch": 7}, SGD)
    assert (plan.retraining(lesson(256), 0.8).training.steps_per_epoch, plan.recovering(lesson(256)).training.steps_per_epoch) == (90, 7)


def test_a_learning_rate_can_grow_as_fewer_weights_are_left():
    plan = lottery_ticket([80, 95], {"lr": 0.03, "epochs": 1}, {"lr": 0.01, "epochs": 1}, SGD, lr_exponent=0.5)
    assert plan.retraining(lesson(30), 0.8).training.lr == pytest.approx(0.03)
    assert plan.retraining(lesson(30), 0.95).training.lr == pytest.approx(0.06)  # a quarter of the weights of the first round


@pytest.mark.parametrize("rates", [[], [80, 80], [90, 80], [0, 50], [50, 100]])
def test_a_schedule_rises_inside_0_to_100(rates):
    with pytest.raises(UsageError, match="must rise"):
        lottery_ticket(rates, PLAN["round"], PLAN["recovery"], SGD)


class Killed(BaseException):
    """Passes every `except Exception`, as the end of a process does."""


@pytest.mark.parametrize("choose", [SingleWeights(), WholeChannels()])
def test_a_kill_anywhere_ends_with_the_same_bits(bench, monkeypatch, choose):
    """Steps 0-5 train, rounds take 2 x 3, 2 x 4 and 2 x 4 steps, recovery 4: killed at many of them in turn, also inside a round."""
    whole = bench("whole", choose=choose)
    expected = whole.hashes(whole.ticket())
    from clnet.learn.training import SegmentationTraining

    step, count = SegmentationTraining.training_step, [0]

    def dying(self, *arguments):
        count[0] += 1
        if count[0] in (3, 9, 20, 21, 40):
            raise Killed
        return step(self, *arguments)

    monkeypatch.setattr(SegmentationTraining, "training_step", dying)
    kills = 0
    while True:
        try:
            learned = (again := bench("cut", choose=choose)).ticket()
            break
        except Killed:
            kills += 1
    assert kills >= 4 and again.hashes(learned) == expected
    assert learned.ticket == whole.ticket().ticket
    folder = learned.file.parent
    assert {path.name for path in folder.iterdir()} == {"decoder.safetensors", "trained.safetensors", "ticket.json", "unit.json"}


def test_with_and_without_an_average_the_rounds_are_the_same(bench):
    own = bench("a")
    averaged, plain = own.ticket(0.9), own.ticket(None)
    assert [len(list(own.shop.store.root.glob(f"{kind}/*"))) for kind in ("rounds", "ticket")] == [1, 2]
    assert plain.trained is None and own.hashes(averaged)[1] == own.hashes(plain)[0], "what is averaged is trained as what is not"


def test_without_validation_nothing_is_pruned(bench):
    own = bench("a")
    own.shop.validation_share = 0.0
    learned = own.ticket()
    assert learned.ticket.rate == 0 and learned.ticket.rounds == 0 and learned.ticket.dsc_before is None


def test_what_finds_nothing_is_not_pruned(bench, monkeypatch):
    """With a DSC of 0 before, no round could fall by anything, and all would be accepted blindly."""
    monkeypatch.setattr("clnet.learn.validate.Validation.__call__", lambda self, network: [0.0, 0.0])
    learned = bench("a").ticket()
    assert learned.ticket.rate == 0 and learned.ticket.rounds == 0 and learned.ticket.dsc_before == 0


def test_updates_keep_the_mask_and_average_the_weights(bench):
    own = bench("a")
    before = own.ticket()
    after = own.update(before)
    old, old_masks = own.archive.decoder(before)
    for file in (after.file, after.trained):
        network, masks = own.archive.decoder(after, file)
        assert all(torch.equal(masks[name], old_masks[name]) for name in old_masks)
        assert not any(bool(prunable(network)[name][~kept].any()) for name, kept in masks.items())
        assert weights_sha256(network) != weights_sha256(old)
    distance = {alpha: _distance(own, before, own.update(before, alpha)) for alpha in (None, 0.5, 0.999)}
    assert 0 < distance[0.999] < distance[0.5] < distance[None]
    assert own.update(before, None).trained is None


def test_an_update_may_prune_the_average_in_small_steps(bench, monkeypatch):
    """From 90 % in steps of 0.5: 90.5 and 91.0 pass, 91.5 falls by more than a point and is not taken; both copies get the mask."""
    own = bench("a", update_step_percent=0.5, update_rounds=10)
    updated = own.update(own.ticket())
    own.archive.add(updated)
    scores = iter([[0.5], [0.495], [0.49], [0.489]])
    monkeypatch.setattr("clnet.learn.validate.Validation.__call__", lambda self, network: next(scores))
    plan = replace(own.plan, max_drop_dsc_points=1.0)
    pruned = prune_average(own.shop, own.archive, own.given, updated, plan)
    assert pruned.ticket.rate == pytest.approx(0.91, abs=1e-3) and pruned.ticket.rounds == updated.ticket.rounds + 3
    assert pruned.ticket.dsc_after == 0.49 and pruned.ticket.dsc_before == updated.ticket.dsc_before
    masks = [own.archive.decoder(pruned, file)[1] for file in (pruned.file, pruned.trained)]
    assert all(torch.equal(masks[0][name], masks[1][name]) for name in masks[0])
    before = own.archive.decoder(updated)[1]
    assert not any(bool((masks[0][name] & ~before[name]).any()) for name in before), "within the old mask"


def test_supporters_are_refreshed_only_where_that_costs_nothing(bench, monkeypatch):
    own = bench("a")
    supporter, other = own.dense(), own.update(own.dense())
    own.archive.add(other)
    given = replace(own.given, route=Route("encoder", (supporter.identity,)))
    before = train_decoder(own.shop, own.archive, given, own.lesson, "decoder_new", None, heads=True)
    own.archive.add(before)
    for drop, taken in ((0.9, True), (1.1, False)):
        scores = iter([[0.5], [0.5 - drop / 100]])
        monkeypatch.setattr("clnet.learn.validate.Validation.__call__", lambda self, network, scores=scores: next(scores))
        plan = Supporting(refresh=True)
        own.shop.settings["supporting"] = drop
        route = refreshed_route(own.shop, own.archive, given, before, (other.identity,), plan)
        assert route.supporters == ((other if taken else supporter).identity,)
    assert refreshed_route(own.shop, own.archive, given, before, (supporter.identity,), plan) == before.route, "nothing to decide"


def _distance(own, before, after) -> float:
    pairs = zip(own.archive.decoder(before)[0].parameters(), own.archive.decoder(after)[0].parameters(), strict=True)
    return float(sum((a - b).detach().square().sum() for a, b in pairs).sqrt())


def test_the_band_mean_by_hand():
    # 0.1 and 0.9 lie outside of the 5-95 % band of these (0.14 and 0.86); (0.3 + 0.5 + 0.7) / 3
    assert band_mean([0.1, 0.3, 0.5, 0.7, 0.9], (5, 95)) == pytest.approx(0.5)
    assert band_mean([0.0] + [0.8] * 39, (5, 95)) == pytest.approx(0.8), "one missed case of forty does not count"
    assert band_mean([0.4], (5, 95)) == 0.4 and band_mean([0.2, 0.4], (5, 95)) == pytest.approx(0.3)
    assert band_mean([], (5, 95)) != band_mean([], (5, 95))


def test_held_out_cases_show_as_much_as_they_can(tiny):
    cases = [tiny.Case("a", 0, absent=("Kidney_L",)), tiny.Case("b", 1, absent=("Liver", "Larynx", "Larynx_Glottic")), tiny.Case("c", 2),
             tiny.Case("d", 3), tiny.Case("e", 4, absent=("Kidney_R",))]  # fmt: skip
    learn, validate = held_out(cases, 0.4)
    assert [case.case for case in validate] == ["c", "d"] and [case.case for case in learn] == ["a", "b", "e"]
    assert held_out(cases, 0.0) == (cases, []) and held_out(cases[:1], 0.5) == (cases[:1], [])
    assert [len(part) for part in held_out(cases[2:4], 0.9)] == [1, 1]
    learn, validate = held_out(cases[:2], 0.5)  # only a shows the liver and the larynx, only b the left kidney
    assert len(learn) == 2 and not validate
