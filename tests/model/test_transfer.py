"""Weights handed on between networks that differ in heads, supporters or input channels."""

from __future__ import annotations

import torch

from clnet.model.decoder import DecoderNetwork
from clnet.model.encoder import Encoder
from clnet.model.shape import NetworkShape
from clnet.model.transfer import copy_decoder, copy_encoder

SHAPE = NetworkShape((4, 8, 8), ((3, 3, 3),) * 3, ((1, 1, 1), (1, 2, 2), (2, 2, 2)))


def parts(network) -> tuple[dict, dict]:
    state = {name: value.clone() for name, value in network.state_dict().items()}
    return ({k: v for k, v in state.items() if k.startswith("heads.")}, {k: v for k, v in state.items() if not k.startswith("heads.")})


def test_a_trunk_is_copied_without_the_heads():
    source, target = DecoderNetwork(SHAPE, 3, 4), DecoderNetwork(SHAPE, 2, 4)
    heads = parts(target)[0]
    copy_decoder(source, target, heads=False)
    new_heads, trunk = parts(target)
    assert all(torch.equal(trunk[name], value) for name, value in parts(source)[1].items()) and len(trunk) > 4
    assert all(torch.equal(new_heads[name], value) for name, value in heads.items())
    next(iter(target.blocks.parameters())).data.add_(1.0)
    assert not torch.equal(next(iter(target.blocks.parameters())), next(iter(source.blocks.parameters())))


def test_a_decoder_that_gains_supporters_starts_as_it_was_and_learns_to_listen():
    torch.manual_seed(0)
    source, target = DecoderNetwork(SHAPE, 3, 4), DecoderNetwork(SHAPE, 3, 4, supporter_widths=[4, None])
    copy_decoder(source, target)
    with torch.no_grad():
        encoded = Encoder(SHAPE)(torch.randn(2, 1, 4, 8, 8))
        supports = [DecoderNetwork(SHAPE, 2, width)(encoded).features for width in (4, None)]
    found = target(encoded, supports).logits
    for old, new in zip(source(encoded).logits, found, strict=True):
        assert torch.allclose(old, new, atol=1e-6)
    found[0].square().sum().backward()
    first = target.blocks[0].conv1.conv.weight
    assert bool(first.grad[:, 8:].any()) and not bool(first[:, 8:].any()), "zero, with a gradient"


def test_an_encoder_with_more_channels_starts_blind_to_them():
    torch.manual_seed(0)
    source, target = Encoder(SHAPE, 1), Encoder(SHAPE, 3)
    copy_encoder(source, target)
    image, masks = torch.randn(1, 1, 4, 8, 8), torch.ones(1, 2, 4, 8, 8)
    for old, new in zip(source(image), target(torch.cat((image, masks), 1)), strict=True):
        assert torch.allclose(old, new, atol=1e-6)
