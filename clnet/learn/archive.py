"""What has been learned, as files, and the networks that are made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from clnet.learn.target import DecoderTarget, learned_labels, output_channels
from clnet.model.decoder import DecoderNetwork
from clnet.model.encoder import Encoder
from clnet.model.mask import Masks
from clnet.model.shape import NetworkShape
from clnet.model.sparse import load_sparse
from clnet.model.support import Paths, Route
from clnet.model.weights import load_weights
from clnet.types import Decoder, Label


@dataclass(frozen=True)
class LearnedEncoder:
    """An encoder: its weights file, the unit that made it, and how many channels beside the image's it takes.

    trained: what training goes on from where the file holds an average.
    """

    file: Path
    identity: str
    more_channels: int = 0
    trained: Path | None = None


@dataclass(frozen=True)
class Ticket:
    """What pruning came to: the share removed, the rounds that it took, and the validation DSC before and after, in [0, 1]."""

    rate: float
    rounds: int
    dsc_before: float | None
    dsc_after: float | None


@dataclass(frozen=True)
class LearnedDecoder:
    """A decoder as it stands: the file that prediction loads, the unit that made it, and every label that it was taught.

    route: the encoder and the supporters, by identity, that it was trained with and goes on reading. trained: what training goes on
    from where prediction loads an average; rewind: weights after the warm-up, which pruning returns to.
    """

    decoder: Decoder
    file: Path
    identity: str
    labels: tuple[Label, ...]
    route: Route
    trained: Path | None = None
    rewind: Path | None = None
    ticket: Ticket | None = None

    @property
    def target(self) -> DecoderTarget:
        """What it can tell apart."""
        return DecoderTarget(self.decoder, learned_labels(self.labels))


class Archive:
    """Encoders and decoders by identity, also those that only support others; makes and loads their networks.

    shape, image_channels, width: what the networks have in common (`DecoderPlan.width`).
    """

    def __init__(self, shape: NetworkShape, image_channels: int, width: Callable[[int], int | None]):
        self.shape, self.image_channels, self.width = shape, image_channels, width
        self.encoders: dict[str, LearnedEncoder] = {}
        self.decoders: dict[str, LearnedDecoder] = {}

    def add(self, learned: LearnedEncoder | LearnedDecoder) -> None:
        """Know it by its identity from now on."""
        (self.encoders if isinstance(learned, LearnedEncoder) else self.decoders)[learned.identity] = learned

    def new_encoder(self, more_channels: int = 0) -> Encoder:
        """An untrained encoder; `more_channels` beside the image's."""
        return Encoder(self.shape, self.image_channels + more_channels)

    def new_decoder(self, decoder: Decoder, route: Route) -> DecoderNetwork:
        """An untrained decoder with projections for the supporters of its route."""
        widths = [self.width(len(self.decoders[key].decoder.structures)) for key in route.features]
        own = self.width(len(decoder.structures))
        return DecoderNetwork(self.shape, output_channels(decoder), own, widths, decoder.nested)

    def encoder(self, identity: str) -> Encoder:
        """An encoder from its file. Raises DataError if that is damaged."""
        learned = self.encoders[identity]
        network = self.new_encoder(learned.more_channels)
        load_weights(network, learned.file)
        return network

    def decoder(self, learned: LearnedDecoder, file: Path | None = None) -> tuple[DecoderNetwork, Masks]:
        """A decoder from its file (or from another of its own) and its pruning masks. Raises DataError if that is damaged."""
        network = self.new_decoder(learned.decoder, learned.route)
        return network, load_sparse(network, file or learned.file)

    def paths(self, routes: Iterable[Route], keys: Iterable[str] = ()) -> Paths:
        """All that the routes need, with the decoders `keys` and what those need; loaded from files."""
        encoders, decoders, known = {}, {}, {}
        waiting, wanted = [*keys], set()
        for route in routes:
            wanted.add(route.encoder)
            waiting += route.supporters
        while waiting:
            key = waiting.pop()
            if key not in known:
                learned = self.decoders[key]
                known[key], decoders[key] = learned.route, self.decoder(learned)[0]
                wanted.add(learned.route.encoder)
                waiting += learned.route.supporters
        for key in sorted(wanted & self.encoders.keys()):
            encoders[key] = self.encoder(key)
        background = {key: self.decoders[key].target.groups[0] for key in known if not self.decoders[key].decoder.nested}
        return Paths(encoders, decoders, known, background)
