"""Learned decoders as parts that predict whole scans."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from torch import Tensor

from clnet.infer.predict import PartNetwork, ScanPredictor
from clnet.learn.archive import Archive, LearnedDecoder
from clnet.learn.target import probabilities
from clnet.learn.workshop import Workshop
from clnet.model.block import with_fast_layout
from clnet.model.compact import compact_paths
from clnet.model.support import Pass, for_inference, last_uses, running_order
from clnet.types import Part
from clnet.units import key_of


def parts_of(shop: Workshop, learned: Mapping[str, LearnedDecoder]) -> list[Part]:
    """One part per decoder."""
    how = prediction_key(shop, shop.settings)
    return [
        Part(name, state.target.labels, key_of([state.route.encoder, state.identity, state.target.labels, how]), state.decoder.nested)
        for name, state in learned.items()
    ]


def prediction_key(shop: Workshop, settings: Mapping) -> str:
    """Of all but the weights that predictions depend on. settings: where the windows and the intensity stand in plain values."""
    how = {name: settings[name] for name in ("windows", "intensity")}
    precision = shop.trainer.prediction_precision
    return key_of(how if precision == "32-true" else {**how, "precision": precision})


def predictor_of(shop: Workshop, archive: Archive, learned: Mapping[str, LearnedDecoder], parts: Sequence[Part]) -> ScanPredictor:
    """Load the weights of `parts` and of what they depend on, once, without dead channels.

    Decoders run beside their supporters, each of which runs once a window and is kept until the last that needs it has run.
    """
    states = {part.name: learned[part.name] for part in parts}
    paths = archive.paths([], [state.identity for state in states.values()])
    paths = for_inference(compact_paths(paths), partial(with_fast_layout, device=shop.device))
    order = running_order([state.identity for state in states.values()], paths.routes)
    places, last = {key: place for place, key in enumerate(order)}, last_uses(order, paths.routes)

    def begin(image: Tensor) -> Pass:
        return Pass(paths, image)

    def ended(way: Pass, state: LearnedDecoder) -> Tensor:
        found = probabilities(way.output(state.identity).logits[0], state.target)
        way.forget(supporter for supporter, place in last.items() if place <= places[state.identity])
        return found

    networks = [PartNetwork(part, partial(ended, state=states[part.name]), places[states[part.name].identity]) for part in parts]
    return scan_predictor(shop, begin, networks)


def scan_predictor(shop: Workshop, encoder: Callable, networks: Sequence[PartNetwork]) -> ScanPredictor:
    """A predictor as the scale and the hardware say."""
    shop.trainer.use_threads()
    return ScanPredictor(encoder, networks, shop.windows, shop.intensity, shop.device, shop.trainer.prediction_gib,
                         shop.trainer.prediction_precision)  # fmt: skip
