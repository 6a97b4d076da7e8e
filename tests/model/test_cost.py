"""Multiply-adds: worked by hand, as torch counts them, and fewer by zeros and by compaction."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from clnet.model.compact import CompactDecoder
from clnet.model.cost import decoder_inputs, multiply_adds
from clnet.model.decoder import DecoderNetwork
from clnet.model.encoder import Encoder
from clnet.model.mask import apply_masks, choose_masks, prunable
from clnet.model.shape import NetworkShape
from clnet.model.structured import WholeChannels

SHAPE = NetworkShape((4, 8, 8), ((3, 3, 3),) * 3, ((1, 1, 1), (1, 2, 2), (2, 2, 2)))


def test_by_hand():
    """3 -> 2 channels by 27 weights on 2 x 4 x 4 x 4 voxels; then 2 -> 5 by 8 from each of the same voxels; 10 of 162 weights are zero."""
    network = nn.Sequential(nn.Conv3d(3, 2, 3, padding=1), nn.ConvTranspose3d(2, 5, 2, 2))
    with torch.no_grad():
        network[0].weight.flatten()[:10] = 0
    assert multiply_adds(network, torch.zeros(2, 3, 4, 4, 4)) == ((162 + 80) * 128, (152 + 80) * 128)


def test_as_torch_counts():
    torch.manual_seed(0)
    network = DecoderNetwork(SHAPE, 3, 4, (None,)).eval()
    inputs = decoder_inputs(network, SHAPE, (8, 16, 16), batch=2)
    encoded = Encoder(SHAPE)(torch.zeros(2, 1, 8, 16, 16))
    assert [own.shape for own in inputs[0]] == [own.shape for own in encoded]
    assert [own.shape for own in inputs[1][0]] == [(2, 4, 8, 16, 16), (2, 8, 8, 8, 8)]
    with FlopCounterMode(display=False) as counter:
        network(*inputs)
    dense, nonzero = multiply_adds(network, *inputs)
    assert 2 * dense == counter.get_total_flops() and nonzero == dense
    apply_masks(network, choose_masks(prunable(network), 0.9))
    assert multiply_adds(network, *inputs)[0] == dense > 4 * multiply_adds(network, *inputs)[1]


def test_compaction_leaves_the_multiply_adds_of_what_is_alive():
    torch.manual_seed(0)
    network = DecoderNetwork(SHAPE, 3, 4).eval()
    apply_masks(network, WholeChannels()(network, 0.6))
    inputs = decoder_inputs(network, SHAPE, (8, 16, 16))
    nonzero = multiply_adds(network, *inputs)[1]
    assert multiply_adds(CompactDecoder(network, []), *inputs) == (nonzero, nonzero)
