"""CL-Net: one general encoder, trained on the first dataset and frozen, and one decoder per anatomy, learned dataset by dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from pathlib import Path

from clnet.anatomy.registry import Registry
from clnet.data.augment import Augmentation
from clnet.data.intensity import Intensity
from clnet.errors import UsageError
from clnet.infer.predict import ScanPredictor
from clnet.infer.window import Windows
from clnet.launch import Launcher
from clnet.learn.archive import Archive, LearnedDecoder, LearnedEncoder
from clnet.learn.bodypart import BodyPartTraining
from clnet.learn.bodyranges import BodyRanges
from clnet.learn.bundle import load_bundle, reachable, save_bundle
from clnet.learn.decoder import Assignment, train_decoder, update_decoder
from clnet.learn.fit import TrainerSettings
from clnet.learn.general import EncoderPlan
from clnet.learn.meter import Meter
from clnet.learn.partners import partner_cost
from clnet.learn.plan import DecoderPlan, EncoderTuning, LotteryTicket, Supporting
from clnet.learn.predictor import parts_of, predictor_of
from clnet.learn.probe import Probed, ProbePlan, probed
from clnet.learn.progress import RunProgress
from clnet.learn.size import decoder_rows, footprint
from clnet.learn.target import Variants, decoder_variants
from clnet.learn.ticket import draw_ticket
from clnet.learn.tuning import start_decoders, start_title, tune_encoder
from clnet.learn.update import prune_average, refreshed_route
from clnet.learn.workshop import Workshop
from clnet.model.shape import NetworkShape
from clnet.model.support import Route
from clnet.model.weights import weights_sha256
from clnet.types import Footprint, Part, Task
from clnet.units import UnitStore


class CLNet:
    """The method of the paper.

    registry: decoders and structures; shape, encoder, decoder: networks and lessons; sources: datasets that the encoder learns from,
    where these are not the order's first one; augmentation, intensity, windows: how scans are read; pruning, ema (decay of the
    average), supporting, encoder_tuning, bpr: None leaves them out; validation_share: of the training cases, validation_overlap: of the
    windows there; settings: the plain configuration of all these, which identifies the units; store: where units are kept; launcher:
    builds decoders that do not depend on each other.
    Source: CL-Net 4.2 (general encoder), 4.3 (decoders), 2.1 (continual protocol), A2 (universal setting).
    """

    def __init__(
        self, *, registry: Registry, shape: NetworkShape, encoder: EncoderPlan, decoder: DecoderPlan, augmentation: Augmentation,
        intensity: Intensity, windows: Windows, settings: Mapping, store: UnitStore, trainer: TrainerSettings, progress: RunProgress,
        launcher: Launcher, seed: int, validation_share: float = 0.0, validation_overlap: float = 0.0, pruning: LotteryTicket | None = None,
        ema: float | None = None, supporting: Supporting | None = None, encoder_tuning: EncoderTuning | None = None,
        bpr: BodyPartTraining | None = None, name: str = "clnet", sources: Sequence[Task] = (),
    ):  # fmt: skip
        _check(encoder, decoder, pruning, ema, supporting, encoder_tuning, validation_share)
        graph = supporting.graph if supporting is not None else None
        self.registry = registry if graph is None else registry.with_supporters(graph)
        self.name, self.launcher = name, launcher
        self.encoder_plan, self.plan, self.sources = encoder, decoder, tuple(sources)
        self.pruning, self.ema, self.supporting, self.encoder_tuning = pruning, ema, supporting, encoder_tuning
        self.shop = Workshop(augmentation, intensity, windows, dict(settings), store, trainer, progress, seed, validation_share,
                             validation_overlap)  # fmt: skip
        self.archive = Archive(shape, intensity.channels, decoder.width)
        self.meter = Meter(self.shop, self.archive)
        self.body = BodyRanges(self.shop, bpr)
        self.encoder: LearnedEncoder | None = None
        self.learned: dict[str, LearnedDecoder] = {}
        self.trunk: LearnedDecoder | None = None  # out of a joint training; new decoders begin with its weights, but for the heads
        self.updated: tuple[str, ...] = ()  # what the last task trained

    @property
    def seconds(self) -> float:
        """Spent on building what the last task needed, in this run or in an earlier one."""
        return sum(self.shop.spent.values())

    def announce(self, tasks: Sequence[Task], together: bool = False) -> None:
        """Tell the progress line what lies ahead."""
        plan, known = self.shop.progress.plan, set()
        first = self._variants(tasks[:1])
        self._announce_encoder(tasks[0])
        if not self._hands_over(tasks[0]):
            if self.plan.start is not None:
                plan(start_title(tasks[0]), partner_cost(self.plan.start, first) * self.plan.start.training.steps)
            else:
                first = {}
        for step in [tasks] if together else [[task] for task in tasks]:
            for name, own in self._variants(step).items():
                given = self._assignment(step, own, Route(""))
                lesson = self.plan.update if name in known else self.plan.refine if name in first else self.plan.new
                plan(given.title, lesson.training.steps if lesson else 0)
                if self.pruning and name not in known:
                    own = lesson or self.plan.new
                    rates = [rate for stage in self.pruning.stages for rate in stage.rates_percent]
                    lessons = [self.pruning.retraining(own, rate / 100) for rate in rates]
                    plan(given.pruning_title, sum(each.training.steps for each in (*lessons, self.pruning.recovering(own))))
                known.add(name)

    def learn(self, task: Task) -> None:
        """Train what this dataset can teach; every decoder without a label in it stays as it is."""
        self.learn_together([task])

    def learn_together(self, tasks: Sequence[Task]) -> None:
        """Train what these datasets together can teach, supporters before those that they support; the first one trains the encoder.

        Source: CL-Net A2 (universal setting: a decoder learns from all samples that carry its structures).
        """
        if len(tasks) > 1 and self.encoder_tuning is not None:
            raise UsageError("the encoder is tuned from one dataset to the next", where="tuning", fix="tuning=none, or scenario=continual")
        self.shop.spent.clear()
        self.shop.encoded.forget()
        variants = self._variants(tasks)
        starts: dict[str, LearnedDecoder] = {}
        changed, kind = [], "refine" if self.encoder is None else "new"
        if self.encoder is None:
            starts = self._learn_encoder(tasks[0])
            joint = self.encoder_plan.joint_start
            if not starts and self.plan.start is not None:
                starts, joint = self._started(tasks[0]), self.plan.start.joint
            self.trunk = next(iter(starts.values())) if starts and joint else None
        elif self.encoder_tuning is not None:
            starts, changed = self._tune(tasks, variants), ["encoder"]
        for decoder in (*starts.values(), *([self.trunk] if self.trunk else [])):
            self.archive.add(decoder)
        for _, wave in groupby(variants, key=lambda name: self.registry.decoders[name].fl_level):
            jobs = {name: partial(self._learn_decoder, tasks, variants[name], starts.get(name), kind if name in starts else "new")
                    for name in wave}  # fmt: skip
            missing = {f"decoder {name}": job for name, job in jobs.items() if not self.shop.is_done(job)}
            self.launcher.run(missing, lambda label, *_, jobs=missing: self.shop.is_done(jobs[label]))  # which notes the progress
            for name, job in jobs.items():
                self.learned[name] = job()
        self.shop.trainer.use_threads()
        self.body.learn(tasks, variants)
        self.updated = (*variants, *changed)

    def probe(self, task: Task, plan: ProbePlan) -> Probed:
        """How much a linear map reads out of the encoder, which is built first where it is not there yet, on the first dataset."""
        encoder = self.encoder
        if encoder is None:
            self._announce_encoder(task)
            self._learn_encoder(task)
            encoder, self.encoder = self.encoder, None  # `learn` takes its decoders over as well
        return probed(self.shop, self.archive, encoder, task, plan)

    def _announce_encoder(self, first: Task) -> None:
        self.encoder_plan.announce(self.shop, self.archive, self.registry.decoders.values(), self.sources or [first])

    def _learn_encoder(self, first: Task) -> dict[str, LearnedDecoder]:
        """The general encoder; returns the decoders that learned with it and are the start of the first dataset's."""
        built = self.encoder_plan.build(self.shop, self.archive, self.registry.decoders.values(), self.sources or [first])
        self.encoder = built.encoder
        return dict(built.decoders) if self._hands_over(first) else {}

    def _started(self, first: Task) -> dict[str, LearnedDecoder]:
        return start_decoders(self.shop, self.archive, first, self._variants([first]), self.plan.start, self.encoder)

    def _hands_over(self, first: Task) -> bool:
        """Whether the first dataset's decoders begin with those that learned with the encoder."""
        return self.encoder_plan.hand_over and [task.identity for task in self.sources or [first]] == [first.identity]

    def _variants(self, tasks: Sequence[Task]) -> dict[str, Variants]:
        return decoder_variants(self.registry.decoders.values(), {task.dataset: task.labels for task in tasks})

    def _tune(self, tasks: Sequence[Task], variants: Mapping[str, Variants]) -> dict[str, LearnedDecoder]:
        """The ablation that unfreezes the encoder; decoders as they come out of it."""
        start = self.encoder
        encoder, starts = tune_encoder(self.shop, self.archive, tasks[0], variants, self.encoder_tuning.lesson, start, self.learned)
        self.archive.add(encoder)
        self.learned |= {name: decoder for name, decoder in starts.items() if name in self.learned}
        if self.encoder_tuning.shared:
            self.encoder = encoder
            self.learned = {name: self._reading(encoder, own) for name, own in self.learned.items()}
        return starts

    def _reading(self, encoder: LearnedEncoder, own: LearnedDecoder) -> LearnedDecoder:
        """The same weights on another encoder: another decoder to all that know it by its identity."""
        if own.route.encoder == encoder.identity:
            return own
        moved = replace(own, identity=f"{own.identity}@{encoder.identity}", route=replace(own.route, encoder=encoder.identity))
        self.archive.add(moved)
        return moved

    def _assignment(self, tasks: Sequence[Task], variants: Variants, route: Route) -> Assignment:
        """With those of the tasks that annotate the decoder."""
        holders = {dataset for target in variants.targets.values() for dataset in target.datasets}
        return Assignment(tuple(task for task in tasks if task.dataset in holders), variants, route)

    def _learn_decoder(self, tasks: Sequence[Task], variants: Variants, start: LearnedDecoder | None, kind: str) -> LearnedDecoder:
        """A decoder after these tasks, built where it is not there yet."""
        self.shop.trainer.of_decoders.use_threads()
        before = self.learned.get(variants.decoder.name)
        if before is not None:
            learned = self._updated(self._assignment(tasks, variants, before.route), before)
        else:
            encoder = start.route.encoder if start is not None else self.encoder.identity
            given = self._assignment(tasks, variants, self._route(variants.decoder.name, encoder))
            learned = self._trained(given, start, kind)
        self.archive.add(learned)
        return learned

    def _updated(self, given: Assignment, before: LearnedDecoder) -> LearnedDecoder:
        if self.supporting is not None and self.supporting.refresh:
            names = [self.archive.decoders[key].decoder.name for key in before.route.supporters]
            present = tuple(self.learned[name].identity for name in names)
            route = refreshed_route(self.shop, self.archive, given, before, present, self.supporting)
            given, before = replace(given, route=route), replace(before, route=route)
        learned = update_decoder(self.shop, self.archive, given, self.plan.update, before, self.ema)
        self.archive.add(learned)
        pruned = before.ticket is not None and before.ticket.rate > 0 and self.ema is not None
        if not (pruned and self.pruning is not None and self.pruning.update_step_percent):
            return learned
        return prune_average(self.shop, self.archive, given, learned, self.pruning)

    def _trained(self, given: Assignment, start: LearnedDecoder | None, kind: str) -> LearnedDecoder:
        lesson = self.plan.refine if kind == "refine" else self.plan.new
        if lesson is None:
            learned, lesson = start, self.plan.new
        else:
            began, heads = (start, True) if start is not None else (self.trunk, False)
            learned = train_decoder(self.shop, self.archive, given, lesson, f"decoder_{kind}", began, heads)
        self.archive.add(learned)
        if self.pruning is None:
            return learned
        given = replace(given, route=learned.route)
        return draw_ticket(self.shop, self.archive, given, lesson, learned, self.pruning, self.ema)

    def _route(self, name: str, encoder: str) -> Route:
        """The supporters that are known by now, as they stand: the new decoder keeps them so."""
        if self.supporting is None:
            return Route(encoder)
        wanted = self.registry.decoders[name].supporters
        supporters = tuple(self.learned[other].identity for other in wanted if other in self.learned)
        return Route(encoder, supporters, self.supporting.as_masks and bool(supporters))

    def parts(self) -> list[Part]:
        """One part per decoder."""
        return parts_of(self.shop, self.learned)

    def predictor(self, parts: Sequence[Part]) -> ScanPredictor:
        """What predicts `parts` of a scan; it has loaded their weights, and those of all that they depend on."""
        return predictor_of(self.shop, self.archive, self.learned, parts)

    def hashes(self) -> dict[str, str]:
        """Content hash of all that prediction loads, read anew from the files: encoder, decoders, and what else these read."""
        encoders, decoders = reachable(self.archive, self.learned)
        names = {state.identity: name for name, state in self.learned.items()} | {self.encoder.identity: "encoder"}
        found = {"encoder": weights_sha256(self.archive.encoder(self.encoder.identity))}
        found |= {names.get(key, f"encoder {key}"): weights_sha256(self.archive.encoder(key)) for key in encoders}
        for key, state in decoders.items():
            found[names.get(key, f"{state.decoder.name} {key}")] = weights_sha256(self.archive.decoder(state)[0])
        return found

    def decoder_rows(self) -> list[dict]:
        """One row per decoder for decoders.csv."""
        return decoder_rows(self.archive, self.learned, self.updated, self.meter)

    def footprint(self) -> Footprint:
        """Parameters and bytes of all that prediction loads, and what a window costs."""
        return footprint(self.archive, self.learned, self.meter)

    def save(self, folder: Path) -> None:
        """Everything that prediction needs, in one folder: `method.json` and the weight files."""
        save_bundle(folder, self.archive, self.encoder, self.learned)
        self.body.save(folder)

    def load(self, folder: Path) -> None:
        """Take over what `save` wrote. Raises DataError where a file is missing or damaged."""
        self.encoder, self.learned = load_bundle(folder, self.archive, self.registry)
        self.body.load(folder)


def _check(
    encoder: EncoderPlan | None, decoder: DecoderPlan, pruning: LotteryTicket | None, ema: float | None, supporting: Supporting | None,
    encoder_tuning: EncoderTuning | None, validation_share: float,
) -> None:  # fmt: skip
    """Raises UsageError for parts that do not go together."""
    if pruning is not None and not validation_share:
        raise UsageError("pruning is stopped by validation cases", where="validation_share=0", fix="validation_share=0.2, or pruning=none")
    if pruning is not None and pruning.update_step_percent and ema is None:
        raise UsageError("updates prune the average of a decoder", where="pruning.update_step_percent", fix="ema=default")
    if supporting is not None and supporting.as_masks and encoder_tuning is not None:
        raise UsageError("decoders that read masks have tuned encoders of their own", where="supporting=masks", fix="tuning=none")
    joint = (encoder is not None and encoder.joint_start) or (decoder.start is not None and decoder.start.joint)
    if joint and decoder.width(1) != decoder.width(100):
        raise UsageError("decoders of a joint start are all alike", where="decoder.width",
                         fix="decoder=default, or scale.joint_start=false")  # fmt: skip
