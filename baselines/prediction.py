"""A network with one head for everything as parts that predict whole scans."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from torch import Tensor

from baselines.classes import Channels
from baselines.unet import UNet
from clnet.infer.predict import PartNetwork, ScanPredictor
from clnet.learn.losses import marginal_log_probability
from clnet.learn.predictor import prediction_key, scan_predictor
from clnet.learn.workshop import Workshop
from clnet.model.block import with_fast_layout
from clnet.types import Label, Part
from clnet.units import key_of

Outputs = Sequence[tuple[Label, Channels]]


def scored_on(dataset: str, outputs: Mapping[str, Outputs]) -> dict[str, Outputs]:
    """Outputs that are to be scored on one dataset alone; their parts are called NAME@DATASET."""
    return {f"{name}@{dataset}": own for name, own in outputs.items()}


def parts_of(outputs: Mapping[str, Outputs], identity: str, shop: Workshop) -> list[Part]:
    """A part for each of the outputs. identity: of the network."""
    how, parts = prediction_key(shop, shop.settings["method"]), []
    for name, own in outputs.items():
        labels, dataset = tuple(label for label, _ in own), name.partition("@")[2]
        parts.append(Part(name, labels, key_of([identity, name, labels, how]), datasets=frozenset([dataset]) if dataset else None))
    return parts


def predictor_of(
    network: UNet, outputs: Mapping[str, Outputs], parts: Sequence[Part], shop: Workshop,
    probabilities: Callable[[Tensor, Outputs], Tensor] | None = None,
) -> ScanPredictor:  # fmt: skip
    """What predicts `parts` of a scan, by one pass of the network a window. probabilities: see `softmax_probabilities`, the default."""
    network = with_fast_layout(network, shop.device).eval().requires_grad_(False)
    probabilities = probabilities or softmax_probabilities

    def logits(image: Tensor) -> Tensor:
        return network(image).logits[0]

    networks = [PartNetwork(part, partial(probabilities, own=outputs[part.name])) for part in parts]
    return scan_predictor(shop, logits, networks)


def softmax_probabilities(logits: Tensor, own: Outputs) -> Tensor:
    """(batch, 1 + label, z, y, x): of everything else, then of each label, the sum over its channels."""
    known = {channel for _, group in own for channel in group}
    rest = tuple(channel for channel in range(logits.shape[1]) if channel not in known)
    return marginal_log_probability(logits, (rest, *(group for _, group in own))).exp()
