"""What may change beside the weights when a later dataset updates a decoder: its supporters' snapshots, and its mask."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from clnet.atomic import write_json
from clnet.learn.archive import Archive, LearnedDecoder
from clnet.learn.decoder import Assignment, pair, save_pair, validation_of
from clnet.learn.plan import LotteryTicket, Supporting
from clnet.learn.ticket import RECORD, ROUNDING
from clnet.learn.validate import band_mean
from clnet.learn.workshop import Workshop
from clnet.model.mask import apply_masks, prunable, pruning_rate
from clnet.model.support import Route


def refreshed_route(
    shop: Workshop, archive: Archive, given: Assignment, before: LearnedDecoder, present: tuple[str, ...], plan: Supporting
) -> Route:
    """The decoder's route with its supporters as they stand now (`present`), if that does not cost it more than the plan allows.

    Judged on the validation cases of the datasets that update the decoder; without any, it keeps its snapshots.
    Source: NOTES.md 17 (dependents keep a snapshot or are re-validated).
    """
    if before.route.as_masks or present == before.route.supporters:
        return before.route
    route = replace(before.route, supporters=present)
    settings = ("supporting", "windows", "validation_overlap")
    identity = shop.identity(settings, given.tasks, **given.identity(), decoder_as_it_is=before.identity, present=route)

    def build(folder: Path) -> None:
        network = archive.decoder(before)[0]
        values = [validation_of(shop, archive, given, way)(network) for way in (before.route, route)]
        scores = [band_mean(v, plan.percentiles) if v else None for v in values]
        taken = bool(values[0]) and 100 * (scores[0] - scores[1]) <= plan.max_drop_dsc_points + ROUNDING
        write_json(folder / "supporters.json", {"dsc_snapshots": scores[0], "dsc_present": scores[1], "taken": taken})

    folder = shop.built("supporters", identity, build, f"supporters of {given.title}", collective=False)
    return route if json.loads((folder / "supporters.json").read_text())["taken"] else before.route


def prune_average(shop: Workshop, archive: Archive, given: Assignment, updated: LearnedDecoder, plan: LotteryTicket) -> LearnedDecoder:
    """Raise the pruning rate of an updated decoder in small steps, by its averaged weights, as far as its validation DSC allows.

    The mask that is found goes to the averaged and to the trained weights alike; nothing is trained in between.
    Source: CL-Net A4 (continuous decoder updating, steps of 0.1 %); NOTES.md 13.
    """
    identity = shop.identity(("pruning", "windows", "validation_overlap"), given.tasks, updated=updated.identity)

    def build(folder: Path) -> None:
        (averaged, masks), (trained, _) = archive.decoder(updated), archive.decoder(updated, updated.trained)
        validate = validation_of(shop, archive, given, updated.route)
        values = validate(averaged)
        before = after = band_mean(values, plan.percentiles) if values else None
        rounds = 0
        while values and rounds < plan.update_rounds:
            rate = pruning_rate(masks, prunable(averaged)) + plan.update_step_percent / 100
            if rate >= 1:
                break
            kept = plan.stages[-1].choose(averaged, rate, masks)
            smaller = archive.new_decoder(updated.decoder, updated.route)
            smaller.load_state_dict(averaged.state_dict())
            apply_masks(smaller, kept)
            score, rounds = band_mean(validate(smaller), plan.percentiles), rounds + 1
            if 100 * (before - score) > plan.max_drop_dsc_points + ROUNDING:
                break
            masks, after = kept, score
        for network in (averaged, trained):
            apply_masks(network, masks)
        save_pair(folder, trained, averaged, masks)
        rate = pruning_rate(masks, prunable(averaged))
        write_json(folder / RECORD, {"rate": rate, "rounds": rounds, "dsc_before": before, "dsc_after": after})

    folder = shop.built("ticket", identity, build, given.pruning_title, collective=False)
    record = json.loads((folder / RECORD).read_text())
    ticket = replace(updated.ticket, rate=record["rate"], rounds=updated.ticket.rounds + record["rounds"])
    if record["dsc_after"] is not None:
        ticket = replace(ticket, dsc_after=record["dsc_after"])
    return replace(updated, identity=folder.name, ticket=ticket, **pair(folder, True))
