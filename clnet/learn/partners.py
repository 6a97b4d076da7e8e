"""Decoders that learn side by side on one dataset: one for each anatomy, or one of all labels that is divided afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from clnet.learn.archive import Archive, LearnedDecoder, LearnedEncoder
from clnet.learn.batches import TrainingBatches
from clnet.learn.joint import JOINT, complete, decoder_of_joint, joint_target
from clnet.learn.plan import Lesson
from clnet.learn.target import Variants
from clnet.learn.workshop import Workshop
from clnet.model.bank import SeparateDecoders
from clnet.model.sparse import save_sparse
from clnet.model.support import Route
from clnet.types import Task


class Partners:
    """What learns on a task's training cases, without supporters.

    targets: of every decoder; route: the encoder that they read. trained: what in fact learns, `targets` or the joint decoder; bank:
    its networks, with weights that depend on the seed and their names alone.
    """

    def __init__(self, shop: Workshop, archive: Archive, task: Task, targets: Mapping[str, Variants], lesson: Lesson, route: Route):
        self.shop, self.archive, self.targets, self.lesson, self.route = shop, archive, dict(targets), lesson, route
        self.cases, self.joint = shop.cases([task])[0], None
        if lesson.joint:
            labels = [label for variants in targets.values() for label in variants.labels]
            self.cases = complete(labels, self.cases)
            self.joint = joint_target(labels, self.cases)
        self.trained = {JOINT: Variants({JOINT: self.joint})} if self.joint else self.targets
        self.bank = SeparateDecoders(
            {name: shop.made(partial(archive.new_decoder, each.decoder, route), name) for name, each in self.trained.items()}
        )

    @property
    def routes(self) -> dict[str, Route]:
        """What each of those that learn reads."""
        return dict.fromkeys(self.trained, self.route)

    def batches(self, purpose: str) -> TrainingBatches:
        """Their training batches."""
        return self.shop.batches(self.cases, self.trained.values(), self.lesson, purpose)

    def save(self, folder: Path) -> None:
        """Every anatomy's decoder, in a file of its own."""
        for key, variants in self.targets.items():
            network = self.bank.network(JOINT if self.joint else key)
            if self.joint:
                make = partial(self.archive.new_decoder, variants.decoder, self.route)
                network = decoder_of_joint(network, self.joint, next(iter(variants.targets.values())), self.archive.shape, make)
            save_sparse(network, {}, folder / f"{key}.safetensors")


def partner_cost(lesson: Lesson, targets: Mapping[str, Variants]) -> float:
    """A step's cost in steps of one decoder, about, encoder included."""
    return 2.0 if lesson.joint else 1.0 + min(lesson.sampling.decoders_per_step or len(targets), len(targets))


def learned_in(
    folder: Path, encoder: LearnedEncoder, name: str, variants: Variants, before: LearnedDecoder | None = None
) -> LearnedDecoder:
    """A decoder out of a unit in which several learned; before: what it was when it began."""
    route = Route(encoder.identity, before.route.supporters if before else ())
    labels = tuple(dict.fromkeys((*(before.labels if before else ()), *variants.labels)))
    return LearnedDecoder(variants.decoder, folder / f"{name}.safetensors", f"{folder.name}/{name}", labels, route,
                          ticket=before.ticket if before else None)  # fmt: skip
