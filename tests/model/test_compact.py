"""Compact decoders: what a masked decoder computes, borders and supporters included, from fewer weights."""

from __future__ import annotations

import pytest
import torch

from clnet.model.channels import Channels, joined, split_weight
from clnet.model.compact import CompactDecoder, compact_paths
from clnet.model.decoder import DecoderNetwork
from clnet.model.encoder import Encoder
from clnet.model.mask import apply_masks, choose_masks, prunable
from clnet.model.shape import NetworkShape
from clnet.model.support import Pass, Paths, Route, for_inference
from clnet.model.weights import count_parameters

STRIDES = ((1, 1, 1), (1, 2, 2), (2, 2, 2))
SHAPE = NetworkShape((4, 8, 8), ((1, 3, 3), (3, 3, 3), (3, 3, 3)), STRIDES)
SUMMED = NetworkShape((4, 8, 8), ((3, 3, 3),) * 3, STRIDES, summed_logits=True)
IMAGE = torch.randn(2, 1, 8, 8, 8, generator=torch.Generator().manual_seed(0))


def trained(shape: NetworkShape, channels: int = 3, supporters: tuple = ()) -> DecoderNetwork:
    """A decoder whose every parameter is something else than its initial value, as after a training."""
    network = DecoderNetwork(shape, channels, 4, supporters).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return network


@torch.no_grad()
def kill(network: DecoderNetwork, generator: torch.Generator, biases_too: bool) -> None:
    """Take the weights of a third of the output channels of every layer but the heads; biases may stay, which makes constants."""
    for name, layer in network.named_modules():
        if not isinstance(layer, torch.nn.Conv3d | torch.nn.ConvTranspose3d) or name.startswith("heads"):
            continue
        weight = layer.weight.transpose(0, 1) if isinstance(layer, torch.nn.ConvTranspose3d) else layer.weight
        dead = torch.randperm(len(weight), generator=generator)[: len(weight) // 3]
        weight[dead] = 0
        for other in (layer.bias, *_norm_of(network, name)):
            if biases_too and other is not None:
                other[dead] = 0


def _norm_of(network: DecoderNetwork, name: str) -> list[torch.Tensor]:
    if ".conv" not in name:
        return []
    norm = network.get_submodule(name.removesuffix(".conv").replace("conv", "norm"))
    return [norm.weight, norm.bias]


def difference(paths: Paths) -> float:
    """The largest between logits of masked and compact decoders."""
    masked = Pass(for_inference(paths, lambda network: network), IMAGE)
    compact = Pass(for_inference(compact_paths(paths), lambda network: network), IMAGE)
    with torch.no_grad():
        return max(float((masked.output(key).logits[0] - compact.output(key).logits[0]).abs().max()) for key in paths.decoders)


def test_constants_become_weights_of_one_channel_of_ones():
    """Channels 0 and 3 are computed, 1 is 2.0 and 2 is -1.0 everywhere: 2 * (1, 10) - 1 * (2, 20) = (0, 0), (1, 3) -> 2 * 1 - 3 = -1."""
    given = Channels.where(torch.tensor([False, True, True, False]), torch.tensor([9.0, 2.0, -1.0, 9.0]))
    assert given.kept.tolist() == [0, 3] and given.constant.tolist() == [0, 2, -1, 0] and not given.are_all_kept
    weight = torch.tensor([[5.0, 1.0, 2.0, 7.0], [6.0, 1.0, 3.0, 8.0]]).reshape(2, 4, 1, 1, 1)
    kept, ones = split_weight(weight, given)
    assert kept.flatten(1).tolist() == [[5, 7], [6, 8]] and ones.flatten().tolist() == [0, -1]
    both = joined([given, Channels.all_of(2), given])
    assert both.kept.tolist() == [0, 3, 4, 5, 6, 9] and both.constant.tolist() == [0, 2, -1, 0, 0, 0, 0, 2, -1, 0]


def test_a_map_of_constants_keeps_one_channel():
    assert Channels.where(torch.tensor([True, True]), torch.tensor([1.0, 2.0])).kept.tolist() == [0]
    assert Channels.where(torch.tensor([True, True]), torch.tensor([1.0, 2.0])).constant.tolist() == [0, 2]


@pytest.mark.parametrize(
    "shape,biases_too,weights", [(SHAPE, True, 4044), (SHAPE, False, 4434), (SUMMED, True, 4584), (SUMMED, False, 5082)]
)
@pytest.mark.parametrize("seed", range(3))
def test_the_same_logits_with_borders(shape, biases_too, weights, seed):
    """Biases that stay make constants, which zero padding turns into something else at the border: most voxels here are border.

    Weights for SHAPE, 6 of 8 and 3 of 4 channels alive: coarse block 8*6*8+6, (6+8)*6*27, 6*6*27, norms 24, head 21; fine one 6*3*4+3,
    (3+4)*3*9, 3*3*9, 12, 12; where biases stay, five of the convolutions have an input of ones: 6*27, 6*27, 3*4, 3*9, 3*9.
    """
    torch.manual_seed(seed)
    network = trained(shape)
    kill(network, torch.Generator().manual_seed(seed), biases_too)
    paths = Paths({"e": Encoder(shape)}, {"d": network}, {"d": Route("e")})
    assert difference(paths) < 1e-5
    small = compact_paths(paths).decoders["d"]
    assert isinstance(small, CompactDecoder) and count_parameters(small)[0] == weights
    assert [len(own.kept) for own in small.channels] == [3, 6], "a third of 4 and of 8 channels, rounded down"


def test_the_interior_alone_would_not_do():
    """The test above sees borders: were a constant's contribution the same everywhere, as it is away from them, logits would differ."""
    torch.manual_seed(0)
    network = trained(SHAPE)
    kill(network, torch.Generator().manual_seed(0), biases_too=False)
    encoded, small = Encoder(SHAPE)(IMAGE), CompactDecoder(network, [])
    with torch.no_grad():
        expected, exact = network(encoded).logits[0], small(encoded).logits[0]
        reading = small.blocks[0][1][0]
        assert reading.with_ones
        ones = reading.convolution.weight[:, -1].sum((1, 2, 3)).reshape(1, -1, 1, 1, 1)
        reading.convolution.weight[:, -1] = 0
        reading.register_forward_hook(lambda module, given, out: out + ones)
        wrong = small(encoded).logits[0]
    assert (exact - expected).abs().max() < 1e-5 and (wrong - expected).abs().max() > 1e-3


@pytest.mark.parametrize("biases_too", [True, False])
def test_dependents_read_what_is_left_of_their_supporters(biases_too):
    """A pruned supporter, a pruned dependent of it, a dense one of both, and one that reads the first one's foreground."""
    torch.manual_seed(0)
    decoders = {"eye": trained(SUMMED), "nerve": trained(SUMMED, 2, (4,)), "chiasm": trained(SUMMED, 2, (4, 4)),
                "masked": trained(SUMMED, 2)}  # fmt: skip
    for name in ("eye", "nerve"):
        kill(decoders[name], torch.Generator().manual_seed(1), biases_too)
    routes = {"chiasm": Route("e", ("nerve", "eye")), "masked": Route("own", ("eye",), as_masks=True), "eye": Route("e"),
              "nerve": Route("e", ("eye",))}  # fmt: skip
    paths = Paths({"e": Encoder(SUMMED), "own": Encoder(SUMMED, 2)}, decoders, routes)
    assert difference(paths) < 1e-5
    small = compact_paths(paths).decoders
    assert [isinstance(small[name], CompactDecoder) for name in ("eye", "nerve", "chiasm", "masked")] == [True, True, True, False]
    assert all(own.are_all_kept for own in small["chiasm"].channels) and small["chiasm"].projections[0][0].in_channels == 3


def test_what_nothing_reaches_dies_with_what_reached_it():
    """Without its first transposed convolution and the coarsest encoder stages, a whole block has one value; its readers take it in."""
    torch.manual_seed(0)
    network = trained(SHAPE)
    with torch.no_grad():
        network.ups[1].weight.zero_()
        network.blocks[1].conv1.conv.weight.zero_()
    paths = Paths({"e": Encoder(SHAPE)}, {"d": network}, {"d": Route("e")})
    assert difference(paths) < 1e-5
    small = compact_paths(paths).decoders["d"]
    assert [len(own.kept) for own in small.channels] == [4, 8], "ones end at the border, so the second convolution's output is no constant"
    assert small.blocks[1][0][0].convolution.out_channels == 1


@pytest.mark.parametrize("rate", [0.5, 0.95, 0.997, 1.0])
def test_any_zeros_will_do(rate):
    torch.manual_seed(0)
    network = trained(SUMMED, supporters=(4,))
    apply_masks(network, choose_masks(prunable(network), rate))
    paths = Paths({"e": Encoder(SUMMED)}, {"s": trained(SUMMED), "d": network}, {"s": Route("e"), "d": Route("e", ("s",))})
    assert difference(paths) < 1e-5


def test_a_decoder_without_dead_channels_stays_as_it_is():
    torch.manual_seed(0)
    network = trained(SHAPE)
    paths = Paths({"e": Encoder(SHAPE)}, {"d": network}, {"d": Route("e")})
    assert compact_paths(paths).decoders["d"] is network
