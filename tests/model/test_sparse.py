"""Sparse decoder files: the same bits back, small, and refused when damaged."""

from __future__ import annotations

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from clnet.errors import DataError
from clnet.model.decoder import DecoderNetwork
from clnet.model.mask import apply_masks, choose_masks, prunable
from clnet.model.shape import NetworkShape
from clnet.model.sparse import load_sparse, save_sparse
from clnet.model.weights import save_weights, weights_sha256

SHAPE = NetworkShape((8, 16, 32), ((3, 3, 3),) * 3, ((1, 1, 1), (2, 2, 2), (2, 2, 2)))


def pruned(rate: float) -> tuple[DecoderNetwork, dict]:
    torch.manual_seed(0)
    network = DecoderNetwork(SHAPE, 3, supporter_widths=[8])
    masks = choose_masks(prunable(network), rate)
    apply_masks(network, masks)
    return network, masks


@pytest.mark.parametrize("rate", [0.0, 0.8, 0.975, 0.997])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_the_same_bits_come_back(tmp_path, rate, layout):
    network, masks = pruned(rate)
    weight = network.ups[0].weight
    with torch.no_grad():  # kept weights may be anything, zero and minus zero too
        first, second = masks["ups.0.weight"].nonzero()[:2]
        weight[tuple(first)], weight[tuple(second)] = 0.0, -0.0
    save_sparse(network, masks, tmp_path / "d.safetensors")
    again = DecoderNetwork(SHAPE, 3, supporter_widths=[8]).to(memory_format=layout)
    found = load_sparse(again, tmp_path / "d.safetensors")
    assert weights_sha256(again) == weights_sha256(network)
    assert found.keys() == masks.keys() and all(torch.equal(found[name], masks[name]) for name in masks)


def test_a_file_at_97_5_percent_is_thirty_times_smaller(tmp_path):
    torch.manual_seed(0)
    network = DecoderNetwork(NetworkShape((32, 64, 128), ((3, 3, 3),) * 3, ((1, 1, 1), (2, 2, 2), (2, 2, 2))), 3)
    save_weights(network, tmp_path / "dense")
    masks = choose_masks(prunable(network), 0.975)
    apply_masks(network, masks)
    save_sparse(network, masks, tmp_path / "sparse")
    dense, sparse = ((tmp_path / name).stat().st_size for name in ("dense", "sparse"))
    assert dense > 28 * sparse, (dense, sparse)


def test_without_masks_it_is_a_plain_file(tmp_path):
    network, _ = pruned(0.0)
    save_sparse(network, {}, tmp_path / "d.safetensors")
    with safe_open(tmp_path / "d.safetensors", framework="pt") as file:
        assert set(file.keys()) == set(network.state_dict())
    assert load_sparse(pruned(0.5)[0], tmp_path / "d.safetensors") == {}


def test_what_the_mask_removes_has_to_be_zero(tmp_path):
    network, masks = pruned(0.9)
    with torch.no_grad():
        network.ups[0].weight.add_(1e-3)
    with pytest.raises(ValueError, match=r"ups.0.weight: removed weights are not zero"):
        save_sparse(network, masks, tmp_path / "d.safetensors")
    assert not list(tmp_path.iterdir())


def test_damage_is_noticed(tmp_path):
    network, masks = pruned(0.9)
    path = tmp_path / "d.safetensors"
    save_sparse(network, masks, path)
    whole = bytearray(path.read_bytes())
    for damage in (whole[: len(whole) // 2], bytes(100)):
        path.write_bytes(damage)
        with pytest.raises(DataError, match="a decoder cannot be read") as error:
            load_sparse(network, path)
        assert str(path) in str(error.value)
    flipped = bytearray(whole)
    flipped[-3] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(DataError, match="weights changed on disk"):
        load_sparse(network, path)
    path.write_bytes(whole)
    with pytest.raises(DataError, match="do not fit"):
        load_sparse(DecoderNetwork(SHAPE, 4, supporter_widths=[8]), path)


def test_a_file_with_the_hash_of_the_dense_weights_is_checked_by_it(tmp_path):
    network, masks = pruned(0.9)
    path, older = tmp_path / "d.safetensors", tmp_path / "older.safetensors"
    save_sparse(network, masks, path)
    with safe_open(path, framework="pt") as file:
        shapes = file.metadata()["shapes"]
    save_file(load_file(path), older, metadata={"shapes": shapes, "sha256": weights_sha256(network)})
    assert load_sparse(network, older).keys() == masks.keys()
    save_file(load_file(path), older, metadata={"shapes": shapes, "sha256": "ab" * 32})
    with pytest.raises(DataError, match="weights changed on disk"):
        load_sparse(network, older)
