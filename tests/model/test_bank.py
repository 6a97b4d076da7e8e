"""Several decoders at once."""

from __future__ import annotations

import pytest
import torch

from clnet.model.bank import SeparateDecoders
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


def test_a_bank_runs_those_that_are_asked(encoded):
    bank = SeparateDecoders({name: DecoderNetwork(SHAPE, channels, 4) for name, channels in CHANNELS.items()})
    logits = bank({"Larynx": (encoded, []), "Liver": (encoded, [])})
    assert list(logits) == ["Larynx", "Liver"] and logits["Larynx"][0].shape == (2, 1, 4, 8, 8)
    sum(level.sum() for level in logits["Liver"]).backward()
    touched = {name for name, p in bank.named_parameters() if p.grad is not None and bool(p.grad.any())}
    assert touched and all(name.startswith("decoders.Liver.") for name in touched)


def test_the_finest_block_can_be_left_out(encoded):
    bank = SeparateDecoders({"Liver": DecoderNetwork(SHAPE, 2, 4)})
    whole, coarse = bank({"Liver": (encoded, [])})["Liver"], bank({"Liver": (encoded, [])}, finest=1)["Liver"]
    assert len(whole) == 2 and len(coarse) == 1 and torch.equal(coarse[0], whole[1])
