"""The way of an image past encoders and supporting decoders."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from clnet.model.decoder import DecoderNetwork
from clnet.model.encoder import Encoder
from clnet.model.shape import NetworkShape
from clnet.model.support import Pass, Paths, Route, for_inference, foreground, last_uses, running_order

SHAPE = NetworkShape((4, 8, 8), ((3, 3, 3),) * 3, ((1, 1, 1), (1, 2, 2), (2, 2, 2)))
IMAGE = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def paths() -> Paths:
    torch.manual_seed(0)
    decoders = {"eye": DecoderNetwork(SHAPE, 3, 4), "nerve": DecoderNetwork(SHAPE, 2, 4, [4]),
                "chiasm": DecoderNetwork(SHAPE, 2, 4, [4, 4]), "masked": DecoderNetwork(SHAPE, 2, 4)}
    routes = {"eye": Route("e"), "nerve": Route("e", ("eye",)), "chiasm": Route("e", ("nerve", "eye")),
              "masked": Route("own", ("eye",), as_masks=True)}
    return for_inference(Paths({"e": Encoder(SHAPE), "own": Encoder(SHAPE, 2)}, decoders, routes), lambda network: network)


def test_every_network_runs_once_and_in_any_order(paths):
    runs: Counter = Counter()
    for kind in (paths.encoders, paths.decoders):
        for key, network in kind.items():
            network.register_forward_hook(lambda *_, key=key: runs.update([key]))
    forwards, backwards = Pass(paths, IMAGE), Pass(paths, IMAGE)
    first = {key: forwards.output(key).logits[0] for key in paths.decoders}
    assert runs == Counter(e=1, own=1, eye=1, nerve=1, chiasm=1, masked=1)
    for key in reversed(list(paths.decoders)):
        assert torch.equal(backwards.output(key).logits[0], first[key])


def test_supporters_are_heard(paths):
    eye = paths.decoders["eye"]
    before = {key: Pass(paths, IMAGE).output(key).logits[0] for key in paths.decoders}
    eye.heads[0].bias.data.copy_(torch.tensor([5.0, 0.0, -5.0]))  # other masks, the same features
    changed = {key for key in before if not torch.equal(Pass(paths, IMAGE).output(key).logits[0], before[key])}
    assert changed == {"eye", "masked"}
    eye.blocks[0].conv1.conv.weight.data.mul_(-1.0)  # other features
    changed = {key for key in before if not torch.equal(Pass(paths, IMAGE).output(key).logits[0], before[key])}
    assert changed == set(paths.decoders)


def test_masks_are_the_foreground_of_the_supporter(paths):
    route = paths.routes["masked"]
    channels = Pass(paths, IMAGE).input(route)
    expected = (Pass(paths, IMAGE).output("eye").logits[0].softmax(1)[:, 0] < 0.5).float()
    assert channels.shape == (2, 2, 4, 8, 8) and torch.equal(channels[:, 0], IMAGE[:, 0]) and torch.equal(channels[:, 1], expected)
    logits = torch.tensor([1.0, 1.5, 0.0]).reshape(1, 3, 1, 1, 1)  # probabilities 0.33, 0.55, 0.12
    assert foreground(logits, False).item() == 1 and foreground(logits, False, (0, 2)).item() == 1  # 0.67 and 0.55 of foreground
    assert foreground(logits, False, (0, 1)).item() == 0, "the channel of a structure that was never taught is background"
    assert Pass(paths, IMAGE).supports(route) == [] and Pass(paths, IMAGE).input(paths.routes["nerve"]) is IMAGE


def test_supporters_run_beside_those_that_need_them():
    routes = {"lesion": Route("e", ("liver",)), "liver": Route("e"), "eye": Route("e"), "spleen": Route("e"), "nerve": Route("e", ("eye",)),
              "chiasm": Route("e", ("nerve", "gland")), "gland": Route("e"), "lens": Route("e", ("eye",)), "old": Route("e"),
              "late": Route("e", ("old",))}  # fmt: skip
    order = running_order([key for key in routes if key != "old"], routes)  # an old version that supports, and is no part itself
    assert order == ["liver", "lesion", "eye", "nerve", "lens", "spleen", "gland", "chiasm", "late"]
    assert last_uses(order, routes) == {"liver": 1, "eye": 7, "nerve": 7, "gland": 7, "old": 8}  # the chiasm's nerve needs the eye


def test_a_supporter_can_be_forgotten(paths):
    way = Pass(paths, IMAGE)
    first = way.output("eye")
    assert way.output("eye") is first
    way.forget(["eye", "nerve"])
    assert way.output("eye") is not first and torch.equal(way.output("eye").logits[0], first.logits[0])
