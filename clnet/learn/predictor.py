"""Learned decoders as parts that predict whole scans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from torch import Tensor

from clnet.infer.predict import PartNetwork, ScanPredictor
from clnet.learn.archive import Archive, LearnedDecoder
from clnet.learn.target import probabilities
from clnet.learn.workshop import Workshop
from clnet.model.block import with_fast_layout
from clnet.model.support import Pass, for_inference
from clnet.types import Part
from clnet.units import key_of


def parts_of(shop: Workshop, learned: Mapping[str, LearnedDecoder]) -> list[Part]:
    """One part per decoder."""
    how = key_of({name: shop.settings[name] for name in ("windows", "intensity")})
    return [
        Part(name, state.target.labels, key_of([state.route.encoder, state.identity, state.target.labels, how]), state.decoder.nested)
        for name, state in learned.items()
    ]


def predictor_of(shop: Workshop, archive: Archive, learned: Mapping[str, LearnedDecoder], parts: Sequence[Part]) -> ScanPredictor:
    """Load the weights of `parts` and of what they depend on, once."""
    states = {part.name: learned[part.name] for part in parts}
    paths = archive.paths([], [state.identity for state in states.values()])
    paths = for_inference(paths, partial(with_fast_layout, device=shop.device))

    def begin(image: Tensor) -> Pass:
        return Pass(paths, image)

    def ended(way: Pass, state: LearnedDecoder) -> Tensor:
        return probabilities(way.output(state.identity).logits[0], state.target)

    networks = [PartNetwork(part, partial(ended, state=states[part.name])) for part in parts]
    shop.trainer.use_threads()
    return ScanPredictor(begin, networks, shop.windows, shop.intensity, shop.device)
