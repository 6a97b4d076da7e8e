"""Feature-level supporting: decoders read what decoders learned before them have found in the same patch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from clnet.model.decoder import DecoderNetwork, DecoderOutput
from clnet.model.encoder import Encoder


@dataclass(frozen=True)
class Route:
    """How an image reaches a decoder: by which encoder, and past which other decoders.

    encoder: key of the encoder; supporters: keys of the supporting decoders, in the order of the decoder's projections.
    as_masks: the rival to feature-level supporting: the encoder, the decoder's own, gets one more input channel a supporter, its
    predicted foreground, and the decoder gets no features of it.
    Source: CL-Net 4.3 (features), A6 and Table S10 (the rival, "channel-wise").
    """

    encoder: str
    supporters: tuple[str, ...] = ()
    as_masks: bool = False

    @property
    def masks(self) -> tuple[str, ...]:
        """Supporters whose foreground goes into the encoder."""
        return self.supporters if self.as_masks else ()

    @property
    def features(self) -> tuple[str, ...]:
        """Supporters whose features go into the decoder."""
        return () if self.as_masks else self.supporters


@dataclass(frozen=True)
class Paths:
    """Encoders and decoders by key, and the route to each decoder; none of them learns here.

    background: the channels of a decoder that mean background: the first, and those of structures that it was never taught.
    """

    encoders: Mapping[str, Encoder]
    decoders: Mapping[str, DecoderNetwork]
    routes: Mapping[str, Route]
    background: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def networks(self) -> list[torch.nn.Module]:
        """All of them."""
        return [*self.encoders.values(), *self.decoders.values()]


class Pass:
    """One batch of images on its way through the paths: an encoder or a supporter runs once, when it is first asked for."""

    def __init__(self, paths: Paths, image: Tensor):
        self.paths, self.image = paths, image
        self._asked_again = {key for route in paths.routes.values() for key in route.supporters}
        self._encoded: dict[tuple, list[Tensor]] = {}
        self._outputs: dict[str, DecoderOutput] = {}

    def output(self, key: str) -> DecoderOutput:
        """Logits and features of a decoder."""
        if key in self._outputs:
            return self._outputs[key]
        route = self.paths.routes[key]
        output = self.paths.decoders[key](self.encoded(route), self.supports(route))
        if key in self._asked_again:  # the features of all 101 decoders would not fit into memory
            self._outputs[key] = output
        return output

    def encoded(self, route: Route) -> list[Tensor]:
        """Features of the route's encoder, finest first."""
        key = (route.encoder, route.masks)
        if key not in self._encoded:
            self._encoded[key] = self.paths.encoders[route.encoder](self.input(route))
        return self._encoded[key]

    def supports(self, route: Route) -> list[list[Tensor]]:
        """Features of the route's supporters, each finest first; none where they come as masks."""
        return [self.output(key).features for key in route.features]

    def forget(self, keys: Iterable[str]) -> None:
        """Let go of the outputs of supporters that nobody will ask for again."""
        for key in keys:
            self._outputs.pop(key, None)

    def input(self, route: Route) -> Tensor:
        """(batch, channel, z, y, x): the image, and the supporters' foreground where it comes as masks."""
        known = ((self.output(key).logits[0], self.paths.decoders[key].nested, self.paths.background.get(key, (0,))) for key in route.masks)
        masks = [foreground(*own) for own in known]
        return torch.cat((self.image, *masks), dim=1) if masks else self.image


def running_order(keys: Sequence[str], routes: Mapping[str, Route]) -> list[str]:
    """`keys` in an order in which few supporters' outputs wait: each decoder after its supporters, and as soon as the last of them ran."""
    dependents: dict[str, list[str]] = {}
    for key in keys:
        for supporter in routes[key].supporters:
            dependents.setdefault(supporter, []).append(key)
    order: dict[str, None] = {}  # with supporters that are not in `keys`

    def visit(key: str) -> None:
        if key not in order:
            for supporter in routes[key].supporters:
                visit(supporter)
            order[key] = None
            for dependent in dependents.get(key, ()):
                if all(supporter in order for supporter in routes[dependent].supporters):
                    visit(dependent)

    for key in keys:
        visit(key)
    wanted = set(keys)
    return [key for key in order if key in wanted]


def last_uses(order: Sequence[str], routes: Mapping[str, Route]) -> dict[str, int]:
    """Supporter -> place in `order` of the last decoder that needs it, by itself or for its own supporters."""

    def needed(key: str) -> set[str]:
        return set(routes[key].supporters).union(*(needed(supporter) for supporter in routes[key].supporters))

    return {supporter: place for place, key in enumerate(order) for supporter in needed(key)}


def foreground(logits: Tensor, nested: bool, background: Sequence[int] = (0,)) -> Tensor:
    """(batch, 1, z, y, x) float, 1 where any structure is predicted: the background channels together have less than one half.

    logits: (batch, channel, z, y, x), structures alone where nested; background: ignored there.
    """
    found = (logits > 0).any(1) if nested else logits.softmax(1)[:, list(background)].sum(1) < 0.5
    return found[:, None].to(logits.dtype)


def for_inference(paths: Paths, move: Callable[[torch.nn.Module], torch.nn.Module]) -> Paths:
    """The same paths in evaluation mode, without gradients, moved by `move`."""
    return Paths(
        {key: move(network.eval().requires_grad_(False)) for key, network in paths.encoders.items()},
        {key: move(network.eval().requires_grad_(False)) for key, network in paths.decoders.items()},
        paths.routes,
        paths.background,
    )
