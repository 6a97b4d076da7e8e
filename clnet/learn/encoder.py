"""The general encoder as a unit of work: trained with decoders of the first dataset, and, in an ablation, tuned on later ones."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from clnet.learn.archive import Archive, LearnedDecoder, LearnedEncoder
from clnet.learn.fit import fit
from clnet.learn.joint import JOINT, complete, decoder_of_joint, joint_target
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

OWN = "own"  # key of the encoder that is being trained


def learn_encoder(
    shop: Workshop, archive: Archive, task: Task, targets: Mapping[str, Variants], lesson: Lesson
) -> tuple[LearnedEncoder, dict[str, LearnedDecoder]]:
    """Train an encoder together with a decoder for each anatomy, or with one joint decoder that is then divided; no supporters yet.

    Source: CL-Net 4.2.
    """
    name = f"encoder on {task.dataset}"
    identity = shop.identity(("encoder",), [task], decoders=[(t.decoder.name, t.labels) for t in targets.values()])

    def build(folder: Path) -> None:
        encoder = shop.made(archive.new_encoder, "encoder")
        cases = shop.cases([task])[0]
        joint = None
        if lesson.joint:
            cases = complete(task.labels, cases)
            joint = joint_target(task.labels, cases)
        trained = {JOINT: Variants({JOINT: joint})} if joint else targets
        routes = {key: Route(OWN) for key in trained}
        bank = SeparateDecoders({n: shop.made(partial(archive.new_decoder, t.decoder, routes[n]), n) for n, t in trained.items()})
        module = SegmentationTraining(bank, trained, routes, lesson.training, encoder=encoder)
        batches = shop.batches(cases, trained.values(), lesson, "encoder")
        fit(module, batches, shop.trainer, folder, shop.progress, name, encoder_cost(lesson, targets))
        if rank() > 0:
            return
        save_weights(encoder, folder / "encoder.safetensors")
        for key, variants in targets.items():
            network = bank.network(JOINT if joint else key)
            if joint:
                make = partial(archive.new_decoder, variants.decoder, Route(OWN))
                network = decoder_of_joint(network, joint, next(iter(variants.targets.values())), archive.shape, make)
            save_sparse(network, {}, folder / f"{key}.safetensors")

    folder = shop.built("encoder", identity, build, name)
    encoder = LearnedEncoder(folder / "encoder.safetensors", folder.name)
    return encoder, {key: _with_encoder(folder, encoder, key, variants) for key, variants in targets.items()}


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
        fit(module, batches, shop.trainer, folder, shop.progress, name, encoder_cost(lesson, targets))
        if rank() == 0:
            save_weights(encoder, folder / "encoder.safetensors")
            for key, network in networks.items():
                save_sparse(network, masks.get(key, {}), folder / f"{key}.safetensors")

    folder = shop.built("encoder", identity, build, name)
    encoder = LearnedEncoder(folder / "encoder.safetensors", folder.name, start.more_channels)
    return encoder, {key: _with_encoder(folder, encoder, key, variants, known.get(key)) for key, variants in targets.items()}


def encoder_cost(lesson: Lesson, targets: Mapping[str, Variants]) -> float:
    """A step's cost in steps of one decoder, about."""
    return 2.0 if lesson.joint else 1.0 + min(lesson.sampling.decoders_per_step or len(targets), len(targets))


def _with_encoder(
    folder: Path, encoder: LearnedEncoder, name: str, variants: Variants, before: LearnedDecoder | None = None
) -> LearnedDecoder:
    """A decoder out of the encoder's unit."""
    route = Route(encoder.identity, before.route.supporters if before else ())
    labels = tuple(dict.fromkeys((*(before.labels if before else ()), *variants.labels)))
    return LearnedDecoder(variants.decoder, folder / f"{name}.safetensors", f"{folder.name}/{name}", labels, route,
                          ticket=before.ticket if before else None)  # fmt: skip
