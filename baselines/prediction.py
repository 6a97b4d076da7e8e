"""A network of one softmax as parts that predict whole scans."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor

from baselines.classes import Channels, ClassSpace
from baselines.unet import UNet
from clnet.infer.predict import PartNetwork, predict_parts
from clnet.learn.losses import marginal_log_probability
from clnet.learn.predictor import Predictor
from clnet.learn.workshop import Workshop
from clnet.model.block import with_fast_layout
from clnet.types import Label, Part
from clnet.units import key_of

Outputs = Sequence[tuple[Label, Channels]]


def parts_of(space: ClassSpace, identity: str, shop: Workshop, dataset: str | None = None) -> list[Part]:
    """The softmax, and a part for every structure that has others inside. dataset: the only one that they are scored on."""
    how, parts = key_of({name: shop.settings["method"][name] for name in ("windows", "intensity")}), []
    suffix, datasets = ("", None) if dataset is None else (f"@{dataset}", frozenset([dataset]))
    for name, own in space.outputs().items():
        labels = tuple(label for label, _ in own)
        parts.append(Part(name + suffix, labels, key_of([identity, name, labels, how]), datasets=datasets))
    return parts


def predictor_of(
    network: UNet, space: ClassSpace, parts: Sequence[Part], shop: Workshop,
    probabilities: Callable[[Tensor, Outputs], Tensor] | None = None,
) -> Predictor:  # fmt: skip
    """What predicts `parts` of a scan, by one pass of the network a window. probabilities: see `softmax_probabilities`, the default."""
    network = with_fast_layout(network, shop.device).eval().requires_grad_(False)
    outputs, probabilities = space.outputs(), probabilities or softmax_probabilities

    def logits(image: Tensor) -> Tensor:
        return network(image).logits[0]

    networks = [PartNetwork(part, partial(probabilities, own=outputs[part.name.partition("@")[0]])) for part in parts]
    shop.trainer.use_threads()
    return partial(predict_parts, encoder=logits, networks=networks, windows=shop.windows, intensity=shop.intensity, device=shop.device)


def softmax_probabilities(logits: Tensor, own: Outputs) -> Tensor:
    """(batch, 1 + label, z, y, x): of everything else, then of each label, the sum over its channels."""
    known = {channel for _, group in own for channel in group}
    rest = tuple(channel for channel in range(logits.shape[1]) if channel not in known)
    return marginal_log_probability(logits, (rest, *(group for _, group in own))).exp()
