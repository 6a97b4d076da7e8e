"""Several decoders at once: tied ones compute what they compute alone, and a trunk can be handed on."""

from __future__ import annotations

import pytest
import torch

from clnet.model.bank import SeparateDecoders, TiedDecoders, copy_trunk
from clnet.model.decoder import DecoderNetwork
from clnet.model.encoder import Encoder
from clnet.model.shape import NetworkShape

SHAPE = NetworkShape((4, 8, 8), ((3, 3, 3),) * 3, ((1, 1, 1), (1, 2, 2), (2, 2, 2)))
CHANNELS = {"Liver": 2, "Kidney": 3, "Larynx": 1}


@pytest.fixture
def encoded():
    torch.manual_seed(0)
    with torch.no_grad():
        return Encoder(SHAPE)(torch.randn(2, 1, 4, 8, 8))


def heads_and_trunk(network) -> tuple[dict, dict]:
    state = network.state_dict()
    return ({k: v for k, v in state.items() if k.startswith("heads.")}, {k: v for k, v in state.items() if not k.startswith("heads.")})


@pytest.mark.parametrize("width", [4, None])
def test_an_untied_decoder_gives_the_tied_logits(encoded, width):
    tied = TiedDecoders(SHAPE, CHANNELS, width)
    together = tied(encoded, list(CHANNELS))
    for name, channels in CHANNELS.items():
        alone = tied.network(name)(encoded).logits
        assert [level.shape[1] for level in alone] == [channels] * 2
        assert len(alone) == len(together[name])
        for one, other in zip(alone, together[name]):
            assert torch.allclose(one, other, atol=1e-6, rtol=0)
    assert not torch.equal(together["Liver"][0], together["Kidney"][0][:, :2])


def test_an_untied_decoder_learns_alone(encoded):
    tied = TiedDecoders(SHAPE, CHANNELS, 4)
    before = tied(encoded, ["Kidney"])["Kidney"][0]
    network = tied.network("Liver")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)
    assert torch.equal(tied(encoded, ["Kidney"])["Kidney"][0], before)


@pytest.mark.parametrize("kind", ["tied", "separate"])
def test_a_bank_runs_those_that_are_asked(encoded, kind):
    separate = SeparateDecoders({name: DecoderNetwork(SHAPE, channels, 4) for name, channels in CHANNELS.items()})
    bank = TiedDecoders(SHAPE, CHANNELS, 4) if kind == "tied" else separate
    logits = bank(encoded, ["Larynx", "Liver"])
    assert list(logits) == ["Larynx", "Liver"] and logits["Larynx"][0].shape == (2, 1, 4, 8, 8)
    sum(level.sum() for level in logits["Liver"]).backward()
    touched = {name for name, p in bank.named_parameters() if p.grad is not None and bool(p.grad.any())}
    if kind == "separate":
        assert touched and all(name.startswith("decoders.Liver.") for name in touched)
    else:
        weight = bank.trunk.heads[0].weight.grad
        assert bool(weight[:2].any()) and not bool(weight[2:].any())


def test_a_trunk_is_copied_without_the_heads():
    source, target = DecoderNetwork(SHAPE, 3, 4), DecoderNetwork(SHAPE, 2, 4)
    heads, _ = heads_and_trunk(target)
    heads = {name: value.clone() for name, value in heads.items()}
    copy_trunk(source, target)
    new_heads, trunk = heads_and_trunk(target)
    assert all(torch.equal(trunk[name], value) for name, value in heads_and_trunk(source)[1].items()) and len(trunk) > 4
    assert all(torch.equal(new_heads[name], value) for name, value in heads.items())
    next(iter(target.blocks.parameters())).data.add_(1.0)
    assert not torch.equal(next(iter(target.blocks.parameters())), next(iter(source.blocks.parameters())))
