"""Masks over channels: which channels go, what goes with them, and what never does."""

from __future__ import annotations

import pytest
import torch

from clnet.model.compact import CompactDecoder
from clnet.model.decoder import DecoderNetwork
from clnet.model.mask import SingleWeights, apply_masks, prunable, pruning_rate
from clnet.model.shape import NetworkShape
from clnet.model.sparse import load_sparse, save_sparse
from clnet.model.structured import WholeChannels, channel_layers

SHAPE = NetworkShape((4, 8, 8), ((3, 3, 3),) * 3, ((1, 1, 1), (1, 2, 2), (2, 2, 2)))
SMALL = NetworkShape((2, 2), ((1, 1, 1),) * 2, ((1, 1, 1), (2, 2, 2)))


@pytest.fixture
def network() -> DecoderNetwork:
    torch.manual_seed(0)
    return DecoderNetwork(SHAPE, 3, 4, (4, 4))


def rate_of(network: DecoderNetwork, masks: dict) -> float:
    return pruning_rate(masks, prunable(network))


def test_by_hand():
    """One block of two channels on two encoder channels, kernels of one voxel; of every layer one channel goes.

    Transposed convolution: filters of norm 8 and 4, read by 1 and 3: 8 against 12. First convolution: normalised by 1 and 4, read by 3
    and 1: 3 against 4. Second one: both by 1, read by the head with 5 and with the square root of 18. So channels 0, 0 and 1 go: rows,
    biases and normalisations of them, and the columns that read them. Columns 2 and 3, the encoder's, and the head's biases stay.
    """
    network = DecoderNetwork(SMALL, 2)
    values = {"ups.0.weight": [[2.0, 1], [2, -1]], "blocks.0.conv1.conv.weight": [[1.0, 3, 9, 9], [0, 0, 9, 9]],
              "blocks.0.conv2.conv.weight": [[3.0, 1], [0, 0]], "heads.0.weight": [[0.0, 3], [5, -3]]}  # fmt: skip
    with torch.no_grad():
        for name, value in values.items():
            parameter = network.get_parameter(name)
            parameter.copy_(torch.tensor(value)[..., None, None, None].expand(parameter.shape))
        network.blocks[0].norm1.weight.copy_(torch.tensor([1.0, -4.0]))
    masks = WholeChannels()(network, 1.0)  # more than can go
    plain = {name: mask.flatten(2).all(2).int().tolist() if mask.ndim == 5 else mask.int().tolist() for name, mask in masks.items()}
    assert plain == {
        "ups.0.weight": [[0, 1], [0, 1]], "ups.0.bias": [0, 1],
        "blocks.0.conv1.conv.weight": [[0, 0, 0, 0], [0, 1, 1, 1]], "blocks.0.norm1.weight": [0, 1], "blocks.0.norm1.bias": [0, 1],
        "blocks.0.conv2.conv.weight": [[0, 1], [0, 0]], "blocks.0.norm2.weight": [1, 0], "blocks.0.norm2.bias": [1, 0],
        "heads.0.weight": [[1, 0], [1, 0]], "heads.0.bias": [1, 1],
    }  # fmt: skip


def test_layers_are_all_convolutions_but_the_heads(network):
    own = {part.name for layer in channel_layers(network) for part in layer.own}
    assert own == {name for name in dict(network.named_parameters()) if not name.startswith("heads")}
    parameters = dict(network.named_parameters())
    for layer in channel_layers(network):
        for part in (*layer.own, *layer.read):
            assert part.of(parameters[part.name], layer.count).shape[0] == layer.count


def test_each_entry_of_the_first_convolution_is_read_from_one_layer(network):
    """Of 4 up, 4 encoder, 4 and 4 projected channels, those of the encoder belong to no layer."""
    read = torch.zeros_like(network.blocks[0].conv1.conv.weight)
    for layer in channel_layers(network):
        for part in layer.read:
            if part.name == "blocks.0.conv1.conv.weight":
                part.of(read, layer.count).add_(1)
    assert read[0, :, 0, 0, 0].tolist() == [1] * 4 + [0] * 4 + [1] * 8


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.6, 0.85])
def test_the_rate_is_made_up_by_the_fewest_channels_and_all_that_goes_is_dead(network, rate):
    masks = WholeChannels()(network, rate)
    assert rate <= rate_of(network, masks) < rate + 0.1
    assert all(bool(mask.all()) for mask in masks.values()) == (rate == 0)
    apply_masks(network, masks)
    alive = sum(int((parameter != 0).sum()) for parameter in prunable(network).values())
    small = CompactDecoder(network, [[own for own in CompactDecoder(DecoderNetwork(SHAPE, 3, 4), []).channels]] * 2)
    assert sum(own.weight.numel() for own in small.modules() if isinstance(own, torch.nn.Conv3d | torch.nn.ConvTranspose3d)) <= alive
    assert all(own.convolution.out_channels >= 1 for own in small.ups) and all(own.out_channels == 3 for own in small.heads)


def test_shares_of_all_layers_go_in_step(network):
    """At a share of one half, 2 of 4 and 4 of 8 channels are left everywhere."""
    masks = WholeChannels()(network, 0.6)
    left = [int(layer.own[-1].of(masks[layer.own[-1].name], layer.count).sum()) / layer.count for layer in channel_layers(network)]
    assert max(left) - min(left) <= 0.25


def test_later_rounds_stay_within_earlier_masks(network):
    first = WholeChannels()(network, 0.4)
    apply_masks(network, first)
    second = WholeChannels()(network, 0.7, first)
    assert rate_of(network, second) >= 0.7 and not any(bool((second[name] & ~first[name]).any()) for name in first)
    again = WholeChannels()(network, 0.4, first)
    assert all(torch.equal(first[name], again[name]) for name in first), "nothing more goes than the rate asks for"


def test_single_weights_go_from_what_channels_left(network):
    """Normalisations keep their masks, which the rate does not count."""
    channels = WholeChannels()(network, 0.5)
    apply_masks(network, channels)
    masks = SingleWeights()(network, 0.9, channels)
    assert rate_of(network, masks) == pytest.approx(0.9, abs=1e-4) and masks.keys() == channels.keys()
    assert torch.equal(masks["blocks.0.norm1.weight"], channels["blocks.0.norm1.weight"])
    assert not any(bool((masks[name] & ~channels[name]).any()) for name in masks)


def test_a_file_gives_masks_of_channels_back(network, tmp_path):
    masks = WholeChannels()(network, 0.7)
    apply_masks(network, masks)
    save_sparse(network, masks, tmp_path / "d.safetensors")
    found = load_sparse(DecoderNetwork(SHAPE, 3, 4, (4, 4)), tmp_path / "d.safetensors")
    assert found.keys() == masks.keys() and all(torch.equal(found[name], masks[name]) for name in masks)
