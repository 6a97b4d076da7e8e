"""The network: shapes, sizes beside the paper's, frozen and trained parts, weights on disk."""

import dataclasses
from pathlib import Path

import pytest
import torch
import yaml

from clnet.errors import DataError
from clnet.model.decoder import DecoderNetwork
from clnet.model.encoder import Encoder
from clnet.model.shape import NetworkShape
from clnet.model.weights import count_parameters, load_weights, save_weights, weights_sha256

TINY = NetworkShape((4, 8, 16), ((3, 3, 3),) * 3, ((1, 1, 1), (1, 2, 2), (2, 2, 2)))


def paper_shape() -> NetworkShape:
    node = yaml.safe_load((Path(__file__).parents[2] / "conf/scale/paper.yaml").read_text())["network"]
    return NetworkShape(**{name: value for name, value in node.items() if name != "_target_"})


def test_paper_scale_has_the_parameters_of_nnunet():
    encoder, decoder = Encoder(paper_shape()), DecoderNetwork(paper_shape(), 2)
    sizes = [count_parameters(module)[0] / 1e6 for module in (encoder, decoder)]
    assert sizes == pytest.approx([14.0, 17.1], abs=0.05)  # the paper's nominal halves are 15.65 each
    assert sum(sizes) == pytest.approx(31.3, rel=0.01)  # the paper's nnU-Net


def test_deep_supervision_in_training_only_and_features_at_every_block():
    encoder, decoder = Encoder(TINY), DecoderNetwork(TINY, 3)
    encoded = encoder(torch.randn(1, 1, 4, 8, 8))
    assert [tuple(f.shape[2:]) for f in encoded] == [(4, 8, 8), (4, 4, 4), (2, 2, 2)]
    training = decoder(encoded)
    assert [tuple(level.shape[1:]) for level in training.logits] == [(3, 4, 8, 8), (3, 4, 4, 4)]
    assert [f.shape[1] for f in training.features] == [4, 8]
    inference = decoder.eval()(encoded)
    assert len(inference.logits) == 1 and len(inference.features) == 2
    assert torch.equal(inference.logits[0], training.logits[0])


def test_summed_logits_begin_at_zero_and_add_the_coarser_block_s():
    shape = NetworkShape((4, 8, 8), ((3, 3, 3),) * 3, ((1, 1, 1), (2, 2, 2), (2, 2, 2)), summed_logits=True)
    torch.manual_seed(0)
    decoder = DecoderNetwork(shape, 3, 4)
    with torch.no_grad():
        encoded = Encoder(shape)(torch.randn(2, 1, 8, 8, 8))
        assert not any(level.any() for level in decoder(encoded).logits)
        for head in decoder.heads:
            head.weight.normal_()
        fine, coarse = decoder(encoded).logits
        own = decoder.heads[0](decoder(encoded).features[0])
        assert torch.allclose(fine - own, torch.nn.functional.interpolate(coarse, scale_factor=2, mode="trilinear"), atol=1e-5)
        assert torch.equal(decoder.eval()(encoded).logits[0], fine), "prediction sums too"
        assert torch.equal(decoder(encoded, finest=1).logits[0], coarse)


def test_width_limits_the_decoder_and_never_exceeds_the_encoder():
    assert paper_shape().decoder_features(8) == (8, 16, 32, 64, 128)
    assert paper_shape().decoder_features(None) == (32, 64, 128, 256, 320)
    assert paper_shape().decoder_features(64)[0] == 32


def test_uneven_shape_is_refused():
    with pytest.raises(ValueError, match="one entry a stage"):
        NetworkShape((4, 8), ((3, 3, 3),), ((1, 1, 1), (2, 2, 2)))


def test_weights_come_back_exactly_and_tampering_is_seen(tmp_path):
    torch.manual_seed(0)
    first, second = Encoder(TINY), Encoder(TINY)
    assert weights_sha256(first) != weights_sha256(second)
    save_weights(first, tmp_path / "w.safetensors")
    load_weights(second, tmp_path / "w.safetensors")
    assert weights_sha256(first) == weights_sha256(second)
    data = bytearray((tmp_path / "w.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "w.safetensors").write_bytes(bytes(data))
    with pytest.raises(DataError, match="changed on disk"):
        load_weights(second, tmp_path / "w.safetensors")
    (tmp_path / "w.safetensors").write_bytes(bytes(data[:100]))
    with pytest.raises(DataError, match="cannot be read"):
        load_weights(second, tmp_path / "w.safetensors")


def test_weights_of_another_network_are_refused(tmp_path):
    save_weights(Encoder(TINY), tmp_path / "w.safetensors")
    with pytest.raises(DataError, match="do not fit"):
        load_weights(Encoder(dataclasses.replace(TINY, features=(4, 8, 32))), tmp_path / "w.safetensors")
