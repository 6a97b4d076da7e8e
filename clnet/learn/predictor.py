"""Learned decoders as parts that predict whole scans."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
from torch import Tensor

from clnet.data.store import PreparedCase
from clnet.infer.predict import PartNetwork, predict_parts
from clnet.learn.archive import Archive, LearnedDecoder
from clnet.learn.target import probabilities
from clnet.learn.workshop import Workshop
from clnet.model.block import with_fast_layout
from clnet.model.compact import compact_paths
from clnet.model.support import Pass, for_inference
from clnet.types import Part
from clnet.units import key_of

Predictor = Callable[[PreparedCase], Iterator[tuple[Part, np.ndarray, np.ndarray]]]


def parts_of(shop: Workshop, learned: Mapping[str, LearnedDecoder]) -> list[Part]:
    """One part per decoder."""
    how = key_of({name: shop.settings[name] for name in ("windows", "intensity")})
    return [
        Part(name, state.target.labels, key_of([state.route.encoder, state.identity, state.target.labels, how]), state.decoder.nested)
        for name, state in learned.items()
    ]


def predictor_of(shop: Workshop, archive: Archive, learned: Mapping[str, LearnedDecoder], parts: Sequence[Part]) -> Predictor:
    """Load the weights of `parts` and of what they depend on, once, without dead channels; see `predict_parts` for what the result does."""
    states = {part.name: learned[part.name] for part in parts}
    paths = archive.paths([], [state.identity for state in states.values()])
    paths = for_inference(compact_paths(paths), partial(with_fast_layout, device=shop.device))

    def begin(image: Tensor) -> Pass:
        return Pass(paths, image)

    def ended(way: Pass, state: LearnedDecoder) -> Tensor:
        return probabilities(way.output(state.identity).logits[0], state.target)

    networks = [PartNetwork(part, partial(ended, state=states[part.name])) for part in parts]
    shop.trainer.use_threads()
    return partial(predict_parts, encoder=begin, networks=networks, windows=shop.windows, intensity=shop.intensity, device=shop.device)
