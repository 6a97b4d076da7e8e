"""Lottery-ticket pruning of a trained decoder, as a unit of work that a kill interrupts but does not change."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from safetensors.torch import load_file

from clnet.atomic import write_json
from clnet.learn.archive import Archive, LearnedDecoder, Ticket
from clnet.learn.decoder import Assignment, pair, run_training, save_pair, taught, validation_of
from clnet.learn.plan import Choice, Lesson, LotteryTicket, Stage
from clnet.learn.validate import band_mean
from clnet.learn.workshop import Workshop
from clnet.model.decoder import DecoderNetwork
from clnet.model.mask import Masks, apply_masks, prunable, pruning_rate
from clnet.model.sparse import load_sparse, save_sparse
from clnet.units import rank

RECORD = "ticket.json"
ROUNDING = 1e-9  # points: a drop of exactly the limit is allowed


def draw_ticket(
    shop: Workshop, archive: Archive, given: Assignment, lesson: Lesson, dense: LearnedDecoder, plan: LotteryTicket, alpha: float | None
) -> LearnedDecoder:
    """Prune a trained decoder as far as its validation DSC allows, let it recover, and start its average.

    lesson: gives the sampling; the plan has the trainings. A decoder is not pruned where no validation case shows a structure of it, or
    where it finds none of them: no drop could be seen.
    Source: CL-Net 4.3, A4; NOTES.md 10 to 13 (the average begins as the pruned decoder and sees the recovery).
    """
    found = _winning_ticket(shop, archive, given, lesson, dense, plan)
    if not found.ticket.rate:
        return found
    identity = shop.identity(("pruning", "windows", "validation_overlap"), given.tasks, **given.identity(), found=found.identity, ema=alpha)

    def build(folder: Path) -> None:
        network, masks = archive.decoder(found)
        averaged = run_training(shop, archive, given, plan.recovering(lesson), folder / "recovery", network, masks, alpha=alpha,
                                purpose=" recovery", title=given.pruning_title)  # fmt: skip
        score = _Search(shop, archive, given, lesson, plan, folder).score(network if averaged is None else averaged)
        _finish(folder, network, averaged, masks, {"dsc_after": score})

    folder = shop.built("ticket", identity, build, given.pruning_title)
    ticket = replace(found.ticket, dsc_after=json.loads((folder / RECORD).read_text())["dsc_after"])
    return replace(found, identity=folder.name, ticket=ticket, **pair(folder, alpha is not None))


def _winning_ticket(
    shop: Workshop, archive: Archive, given: Assignment, lesson: Lesson, dense: LearnedDecoder, plan: LotteryTicket
) -> LearnedDecoder:
    """The decoder after the last round that counted, as a unit of its own: whether it is averaged later does not matter to it."""
    read = {"dense": dense.identity, "sampling": lesson.sampling}
    identity = shop.identity(("pruning", "windows", "validation_overlap"), given.tasks, **given.identity(), **read)

    def build(folder: Path) -> None:
        network, masks, record = _Search(shop, archive, given, lesson, plan, folder).prune(dense)
        _finish(folder, network, None, masks, {**record, "rate": pruning_rate(masks, prunable(network))})

    folder = shop.built("rounds", identity, build, given.pruning_title)
    record = json.loads((folder / RECORD).read_text())
    ticket = Ticket(record["rate"], len(record["rounds"]), record["dsc_before"], record["dsc_after"])
    return replace(dense, identity=folder.name, labels=taught(dense.labels, given), rewind=None, ticket=ticket, **pair(folder, False))


def _finish(folder: Path, network: DecoderNetwork, averaged: DecoderNetwork | None, masks: Masks, record: dict) -> None:
    """Write the outcome, and remove what the trainings on the way left."""
    if rank() == 0:
        save_pair(folder, network, averaged, masks)
        write_json(folder / RECORD, record)
        for place in (place for place in folder.iterdir() if place.is_dir()):
            shutil.rmtree(place)


@dataclass
class _Search:
    """The rounds of one decoder; each leaves its outcome in a folder of its own, so that a new attempt goes on after the last one."""

    shop: Workshop
    archive: Archive
    given: Assignment
    lesson: Lesson
    plan: LotteryTicket
    folder: Path

    def __post_init__(self):
        self.validation = validation_of(self.shop, self.archive, self.given, self.given.route)

    def score(self, network: DecoderNetwork) -> float | None:
        """Mean DSC inside the percentile band, in [0, 1]; None where no validation case shows a structure."""
        values = self.validation(network)
        return band_mean(values, self.plan.percentiles) if values else None

    def prune(self, dense: LearnedDecoder) -> tuple[DecoderNetwork, Masks, dict]:
        """The pruned decoder, its masks (empty: nothing could be pruned) and the record of all rounds, stage after stage."""
        network, masks = self.archive.decoder(dense)
        before = self._scored(network, self.folder / "unpruned")
        record = {"dsc_before": before, "dsc_after": before, "rounds": []}
        if not before:
            return network, masks, record
        for number, stage in enumerate(self.plan.stages):
            network, masks = self._prune_by(stage, "then " if number else "", dense, network, masks, record)
        return network, masks, record

    def _prune_by(
        self, stage: Stage, prefix: str, dense: LearnedDecoder, network: DecoderNetwork, masks: Masks, record: dict
    ) -> tuple[DecoderNetwork, Masks]:
        """The rounds of one stage, those above the rate that an earlier one reached; they go on in `record`."""
        reached = 100 * pruning_rate(masks, prunable(network))
        first, *more = [percent / 100 for percent in stage.rates_percent if percent > reached] or [None]
        fallback = [stage.fallback_percent / 100] if (stage.fallback_percent or 0) > reached else []
        rates = [] if first is None else [first]
        while rates:
            rate = rates.pop(0)
            smaller, kept, score = self._round(dense, network, masks, rate, stage.choose, f"{prefix}{rate!r}")
            accepted = 100 * (record["dsc_before"] - score) <= self.plan.max_drop_dsc_points + ROUNDING
            record["rounds"].append({"rate": rate, "dsc": score, "accepted": accepted})
            if accepted:
                network, masks, record["dsc_after"] = smaller, kept, score
            if rate == first:
                rates = more if accepted else fallback
            elif not accepted:
                break
        return network, masks

    def _round(
        self, dense: LearnedDecoder, network: DecoderNetwork, masks: Masks, rate: float, choose: Choice, name: str
    ) -> tuple[DecoderNetwork, Masks, float]:
        """Prune by the trained weights, rewind what is kept to the weights after the warm-up, train, validate."""
        place = self.folder / f"rate_{name.replace(' ', '_')}"
        smaller = self.archive.new_decoder(dense.decoder, dense.route)
        if (place / "decoder.safetensors").exists():
            kept = load_sparse(smaller, place / "decoder.safetensors")
            return smaller, kept, self._scored(smaller, place)
        kept = choose(network, rate, masks or None)
        rewind(smaller, dense, kept)
        lesson = self.plan.retraining(self.lesson, rate)
        run_training(self.shop, self.archive, self.given, lesson, place, smaller, kept, purpose=f" {name}",
                     title=self.given.pruning_title)  # fmt: skip
        if rank() == 0:
            save_sparse(smaller, kept, place / "decoder.safetensors")
        return smaller, kept, self._scored(smaller, place)

    def _scored(self, network: DecoderNetwork, place: Path) -> float | None:
        """The score, which is noted in `place`: it can take as long as a round, and must not change from one attempt to the next."""
        if (place / RECORD).exists():
            return json.loads((place / RECORD).read_text())["dsc"]
        score = self.score(network)
        if rank() == 0:
            place.mkdir(parents=True, exist_ok=True)
            write_json(place / RECORD, {"dsc": score})
        return score


def rewind(network: DecoderNetwork, dense: LearnedDecoder, masks: Masks) -> None:
    """Give a network the dense decoder's weights after its warm-up, as far as the masks keep them.

    A decoder that was trained with the encoder alone has no such weights; it is rewound to where it stands.
    """
    if dense.rewind is None:
        load_sparse(network, dense.file)
    else:
        prefix = f"decoders.{dense.decoder.name}."
        network.load_state_dict({name.removeprefix(prefix): value for name, value in load_file(dense.rewind).items()})
    apply_masks(network, masks)
