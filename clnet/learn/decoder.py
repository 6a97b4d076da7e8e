"""A decoder as a unit of work: trained on frozen networks, and updated when a later dataset annotates it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from clnet.learn.archive import Archive, LearnedDecoder, LearnedEncoder
from clnet.learn.fit import fit
from clnet.learn.plan import Lesson
from clnet.learn.target import Variants
from clnet.learn.training import SegmentationTraining, averages
from clnet.learn.validate import Validation
from clnet.learn.workshop import Workshop
from clnet.model.bank import SeparateDecoders
from clnet.model.decoder import DecoderNetwork
from clnet.model.encoder import Encoder
from clnet.model.mask import Masks
from clnet.model.sparse import save_sparse
from clnet.model.support import Route
from clnet.model.transfer import copy_decoder, copy_encoder
from clnet.model.weights import save_weights
from clnet.types import Task
from clnet.units import rank


@dataclass(frozen=True)
class Assignment:
    """What one decoder is to learn: from which tasks, which targets, and by which route it reads the frozen networks."""

    tasks: tuple[Task, ...]
    variants: Variants
    route: Route

    @property
    def name(self) -> str:
        """The decoder's."""
        return self.variants.decoder.name

    @property
    def title(self) -> str:
        """As the progress line has it."""
        return f"decoder {self.name} on {self._datasets}"

    @property
    def pruning_title(self) -> str:
        """The same for its pruning."""
        return f"pruning {self.name} on {self._datasets}"

    @property
    def _datasets(self) -> str:
        return self.tasks[0].dataset if len(self.tasks) == 1 else f"{len(self.tasks)} datasets"

    def identity(self) -> dict:
        """What a unit of this assignment depends on, beside the tasks' data."""
        targets = [[target.labels, target.datasets] for target in self.variants.targets.values()]
        return {"decoder": self.variants.decoder, "targets": targets, "route": self.route}


def train_decoder(
    shop: Workshop, archive: Archive, given: Assignment, lesson: Lesson, kind: str, start: LearnedDecoder | None, heads: bool
) -> LearnedDecoder:
    """Train a decoder from `start` (with or without its heads; None: from random weights).

    kind: name of the lesson's settings ("decoder_new", ...). The weights after the warm-up are kept beside the result, for pruning.
    Where the route hands supporters over as masks, a copy of the encoder with channels for them is trained with the decoder.
    Source: CL-Net 4.3, A4 (warm-up, then training to convergence, on the frozen encoder); A6 (masks).
    """
    settings = (kind, "supporting") if given.route.as_masks else (kind,)
    identity = shop.identity(settings, given.tasks, **given.identity(), start=[start.identity if start else None, heads])

    def build(folder: Path) -> None:
        network = shop.made(partial(archive.new_decoder, given.variants.decoder, given.route), given.name)
        if start is not None:
            copy_decoder(archive.decoder(start)[0], network, heads)
        encoder = None
        if given.route.as_masks:
            encoder = archive.new_encoder(len(given.route.masks))
            copy_encoder(archive.encoder(given.route.encoder), encoder)
        run_training(shop, archive, given, lesson, folder, network, {}, rewind=folder / "rewind.safetensors", encoder=encoder)
        if rank() == 0:
            save_sparse(network, {}, folder / "decoder.safetensors")
            if encoder is not None:
                save_weights(encoder, folder / "encoder.safetensors")

    folder = shop.built("decoder", identity, build, given.title)
    route = given.route
    if route.as_masks:
        encoder = LearnedEncoder(folder / "encoder.safetensors", f"{folder.name}/encoder", len(route.masks))
        archive.add(encoder)
        route = replace(route, encoder=encoder.identity)
    return LearnedDecoder(given.variants.decoder, folder / "decoder.safetensors", folder.name, given.variants.labels, route,
                          rewind=folder / "rewind.safetensors")  # fmt: skip


def update_decoder(
    shop: Workshop, archive: Archive, given: Assignment, lesson: Lesson, before: LearnedDecoder, alpha: float | None
) -> LearnedDecoder:
    """Train a known decoder further on a later dataset, its mask held; prediction loads the average of its weights.

    alpha: decay of the average; None: no average, prediction loads the weights as trained (sequential fine-tuning).
    Source: CL-Net 4.3, eq. 4, A4 (continuous decoder updating).
    """
    identity = shop.identity(("decoder_update",), given.tasks, **given.identity(), start=before.identity, ema=alpha)

    def build(folder: Path) -> None:
        network, masks = archive.decoder(before, before.trained)
        average = archive.decoder(before)[0] if alpha is not None else None
        averaged = run_training(shop, archive, given, lesson, folder, network, masks, average=average, alpha=alpha)
        if rank() == 0:
            save_pair(folder, network, averaged, masks)

    folder = shop.built("decoder", identity, build, given.title)
    return replace(before, identity=folder.name, labels=taught(before.labels, given), **pair(folder, alpha is not None))


def run_training(
    shop: Workshop, archive: Archive, given: Assignment, lesson: Lesson, folder: Path, network: DecoderNetwork, masks: Masks, *,
    average: DecoderNetwork | None = None, alpha: float | None = None, rewind: Path | None = None, encoder: Encoder | None = None,
    purpose: str = "", title: str | None = None,
) -> DecoderNetwork | None:  # fmt: skip
    """One training of a decoder in `folder`, resumed where a killed call left it; returns the averaged decoder where there is an alpha.

    purpose: tells trainings of one decoder apart, so that they draw different batches; title: of the progress line.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = given.name
    bank = SeparateDecoders({name: network})
    ema = None
    if alpha is not None:
        ema = averages(bank, SeparateDecoders({name: average}) if average is not None else None, alpha)
    frozen = archive.paths([given.route])
    module = SegmentationTraining(
        bank, {name: given.variants}, {name: given.route}, lesson.training, encoder=encoder, frozen=frozen, masks={name: masks}, ema=ema,
        rewind=rewind,
    )  # fmt: skip
    batches = shop.batches(shop.cases(given.tasks)[0], [given.variants], lesson, f"{name}{purpose}")
    fit(module, batches, shop.trainer.of_decoders, folder, shop.progress, title or given.title, 1.0)
    return ema.module.network(name) if ema is not None else None


def validation_of(shop: Workshop, archive: Archive, given: Assignment, route: Route) -> Validation:
    """Scores decoders of an assignment on the tasks' validation cases, read by a route."""
    cases, windows = shop.cases(given.tasks)[1], replace(shop.windows, overlap=shop.validation_overlap)
    return Validation(cases, given.variants, archive.paths([route]), route, windows, shop.intensity, shop.device, shop.encoded)


def save_pair(folder: Path, network: DecoderNetwork, averaged: DecoderNetwork | None, masks: Masks) -> None:
    """Write the decoder that prediction loads, and beside it the one that training goes on from, where that is another."""
    save_sparse(network if averaged is None else averaged, masks, folder / "decoder.safetensors")
    if averaged is not None:
        save_sparse(network, masks, folder / "trained.safetensors")


def pair(folder: Path, averaged: bool) -> dict:
    """The files that `save_pair` wrote, as fields of a LearnedDecoder."""
    return {"file": folder / "decoder.safetensors", "trained": folder / "trained.safetensors" if averaged else None}


def taught(before: Sequence, given: Assignment) -> tuple:
    """All labels that the decoder was taught, those of the assignment last."""
    return tuple(dict.fromkeys((*before, *given.variants.labels)))
