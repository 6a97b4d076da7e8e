"""How the general encoder comes to be: stages, one after the other, each of which goes on from what the one before left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from clnet.learn.archive import Archive, LearnedDecoder, LearnedEncoder
from clnet.learn.workshop import Workshop
from clnet.types import Decoder, Task


@dataclass(frozen=True)
class Built:
    """An encoder, and the decoders that learned with it and are handed over to the order's first dataset."""

    encoder: LearnedEncoder
    decoders: Mapping[str, LearnedDecoder] = field(default_factory=dict)


class Stage(Protocol):
    """One way for an encoder to learn.

    hand_over: the decoders that learn with it are the start of the order's first dataset; joint_start: as parts of one decoder.
    """

    hand_over: bool
    joint_start: bool

    def announce(self, shop: Workshop, archive: Archive, decoders: Iterable[Decoder], tasks: Sequence[Task]) -> None:
        """Tell the progress line what lies ahead. Raises HostError for what this machine cannot hold."""

    def build(
        self, shop: Workshop, archive: Archive, decoders: Iterable[Decoder], tasks: Sequence[Task], start: LearnedEncoder | None,
        settings: object,
    ) -> Built:  # fmt: skip
        """Units of work; start: None for random weights; settings: the stage's plain configuration, which identifies them."""


@dataclass(frozen=True)
class EncoderPlan:
    """The stages by name, in order, and the datasets that they learn from (slots of `data`); None: the order's first one.

    paper: the row of the paper's Tables S8 and S9 that this is, for the tables alone.
    Source: CL-Net 4.2, A4, A5.
    """

    stages: Mapping[str, Stage]
    datasets: Sequence[str] | None = None
    paper: str | None = None

    @property
    def last(self) -> Stage:
        """The one whose encoder is used."""
        return list(self.stages.values())[-1]

    @property
    def hand_over(self) -> bool:
        """Whether the last stage's decoders may go on learning."""
        return self.last.hand_over

    @property
    def joint_start(self) -> bool:
        """Whether these are parts of one decoder, so that a new decoder can begin with the weights of any of them."""
        return self.last.hand_over and self.last.joint_start

    def announce(self, shop: Workshop, archive: Archive, decoders: Iterable[Decoder], tasks: Sequence[Task]) -> None:
        """Tell the progress line what lies ahead."""
        for stage in self.stages.values():
            stage.announce(shop, archive, decoders, tasks)

    def build(self, shop: Workshop, archive: Archive, decoders: Iterable[Decoder], tasks: Sequence[Task]) -> Built:
        """The encoder that the last stage leaves, each stage a unit that other plans share."""
        built = None
        for name, stage in self.stages.items():
            settings = shop.settings["encoder"]["stages"][name]
            built = stage.build(shop, archive, decoders, tasks, built.encoder if built else None, settings)
            archive.add(built.encoder)
        return built

