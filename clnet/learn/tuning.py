"""Ablations that change the encoder after all, and the quick start that does not: several decoders learn on a given encoder."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from clnet.learn.archive import Archive, LearnedDecoder, LearnedEncoder
from clnet.learn.fit import fit
from clnet.learn.partners import Partners, learned_in, partner_cost
from clnet.learn.plan import Lesson
from clnet.learn.target import Variants
from clnet.learn.training import SegmentationTraining
from clnet.learn.workshop import Workshop
from clnet.model.bank import SeparateDecoders
from clnet.model.sparse import save_sparse
from clnet.model.support import Route
from clnet.model.weights import save_weights
from clnet.types import Task
from clnet.units import rank


def start_decoders(
    shop: Workshop, archive: Archive, task: Task, targets: Mapping[str, Variants], lesson: Lesson, encoder: LearnedEncoder
) -> dict[str, LearnedDecoder]:
    """Train decoders of a dataset side by side on a frozen encoder, as a start for each of them.

    With a joint lesson this is the quick start that decoders have from an encoder which learned with them (`Supervised.hand_over`),
    for encoders that came to be in another way.
    """
    name = start_title(task)
    identity = shop.identity(("decoder_start",), [task], encoder=encoder.identity,
                             decoders=[(t.decoder.name, t.labels) for t in targets.values()])  # fmt: skip

    def build(folder: Path) -> None:
        own = Partners(shop, archive, task, targets, lesson, Route(encoder.identity))
        module = SegmentationTraining(own.bank, own.trained, own.routes, lesson.training, frozen=archive.paths(own.routes.values()))
        fit(module, own.batches("start"), shop.trainer, folder, shop.progress, name, partner_cost(lesson, targets))
        if rank() == 0:
            own.save(folder)

    folder = shop.built("start", identity, build, name)
    return {key: learned_in(folder, encoder, key, variants) for key, variants in targets.items()}


def start_title(task: Task) -> str:
    """As the progress line has it."""
    return f"start of the decoders on {task.dataset}"


def tune_encoder(
    shop: Workshop, archive: Archive, task: Task, targets: Mapping[str, Variants], lesson: Lesson, start: LearnedEncoder,
    known: Mapping[str, LearnedDecoder],
) -> tuple[LearnedEncoder, dict[str, LearnedDecoder]]:  # fmt: skip
    """Train a copy of an encoder on a later dataset, together with that dataset's decoders, known ones from where they stand.

    Source: CL-Net A6 (fine-tuning of the general encoder).
    """
    name = f"encoder tuned on {task.dataset}"
    routes = {key: known[key].route if key in known else Route(start.identity) for key in targets}
    identity = shop.identity(("encoder_tuning",), [task], decoders=[(t.decoder.name, t.labels) for t in targets.values()],
                             start=[start.identity, {key: known[key].identity for key in targets if key in known}])  # fmt: skip

    def build(folder: Path) -> None:
        encoder, networks, masks = archive.encoder(start.identity), {}, {}
        for key, variants in targets.items():
            networks[key] = shop.made(partial(archive.new_decoder, variants.decoder, routes[key]), key)
            if key in known:
                networks[key], masks[key] = archive.decoder(known[key])
        module = SegmentationTraining(
            SeparateDecoders(networks), targets, routes, lesson.training, encoder=encoder, frozen=archive.paths(routes.values()),
            masks=masks,
        )  # fmt: skip
        batches = shop.batches(shop.cases([task])[0], targets.values(), lesson, "encoder")
        fit(module, batches, shop.trainer, folder, shop.progress, name, partner_cost(lesson, targets))
        if rank() == 0:
            save_weights(encoder, folder / "encoder.safetensors")
            for key, network in networks.items():
                save_sparse(network, masks.get(key, {}), folder / f"{key}.safetensors")

    folder = shop.built("encoder", identity, build, name)
    encoder = LearnedEncoder(folder / "encoder.safetensors", folder.name, start.more_channels)
    return encoder, {key: learned_in(folder, encoder, key, variants, known.get(key)) for key, variants in targets.items()}
