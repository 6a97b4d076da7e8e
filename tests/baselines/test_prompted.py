"""Generated heads by hand, backbones, and the text that the heads are generated from."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from baselines import prompted
from baselines.embeddings import FILE, hashed_embedding, text_embedding
from baselines.prompted import PARAMETERS, PromptedNetwork, SwinBackbone, UNetBackbone, check_patches, heads
from clnet.anatomy import registry
from clnet.errors import UsageError
from clnet.learn.optim import Training
from clnet.model.shape import NetworkShape

SHAPE = NetworkShape((4, 8, 8), ((3, 3, 3),) * 3, ((1, 1, 1), (2, 2, 2), (2, 2, 2)))
PAPER = NetworkShape((32, 64, 128, 256, 320, 320), ((1, 3, 3), *((3, 3, 3),) * 5), ((1, 1, 1), (1, 2, 2), *((2, 2, 2),) * 4))


def test_generated_heads_by_hand():
    """Only the first channels are used: 2 x + 3, then 3 x - 1, then x + 0.5, with a ReLU before the last two. -1 -> 1 -> 2 -> 2.5;
    -3 -> -3, cut to 0 -> -1, cut to 0 -> 0.5. The second class, all zeros but the last bias, is 0.25 everywhere."""
    parameters = torch.zeros(1, 2, PARAMETERS)
    parameters[0, 0, [0, 64, 128, 136, 144, 152]] = torch.tensor([2.0, 3.0, 1.0, 3.0, -1.0, 0.5])
    parameters[0, 1, 152] = 0.25
    features = torch.zeros(1, 8, 2)
    features[0, 0] = torch.tensor([-1.0, -3.0])
    assert heads(features, parameters)[0].tolist() == [[2.5, 0.5], [0.25, 0.25]]


def test_weights_are_row_by_row():
    """Output 1 of the first layer reads input 2: weight 1 * 8 + 2; the next layers hand channel 1 on."""
    parameters = torch.zeros(1, 1, PARAMETERS)
    parameters[0, 0, [8 + 2, 64 + 8 + 1, 128 + 1]] = 1.0
    features = torch.arange(8.0)[None, :, None]
    assert heads(features, parameters).item() == 2.0


def test_every_image_and_class_has_its_own_parameters():
    """As convolutions, one image and class at a time."""
    torch.manual_seed(0)
    features, parameters = torch.randn(2, 8, 5), torch.randn(2, 3, PARAMETERS)
    found = heads(features, parameters)
    for image in range(2):
        for number in range(3):
            own, current = parameters[image, number], features[image : image + 1]
            for begin, rows, bias in ((0, 8, 136), (64, 8, 144), (128, 1, 152)):
                weight = own[begin : begin + 8 * rows].view(rows, 8, 1)
                current = F.conv1d(current.relu() if begin else current, weight, own[bias : bias + rows])
            assert torch.allclose(found[image, number], current[0, 0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("length", [0, 5])
def test_every_class_has_its_own_generator(length):
    torch.manual_seed(0)
    network = PromptedNetwork(UNetBackbone(SHAPE, 1, 4), 20, torch.randn(20, length) if length else None, 6)
    output = network(torch.randn(2, 1, 8, 8, 8), finest=1)
    assert [level.shape for level in output.logits] == [(2, 20, 8, 8, 8)], "the finest level alone, and always"
    output.logits[0][:, 3].square().sum().backward()
    assert [i for i, own in enumerate(network.generators) if own[0].weight.grad.abs().sum() > 0] == [3]


def test_features_are_summed_over_blocks_where_the_shapes_logits_are():
    """Finer blocks begin as corrections of nothing: at the start the finest logits are those of the coarsest block's features, upsampled;
    without the finest block they have half the voxels a side, and that block learns nothing."""
    torch.manual_seed(0)
    network, image = PromptedNetwork(UNetBackbone(replace(SHAPE, summed_logits=True), 1, 4), 3, None, 6), torch.randn(2, 1, 8, 8, 8)
    deep, fine = network.backbone(image)
    assert [features.shape[2] for features in fine] == [8, 4]
    features = F.interpolate(network.narrow[1](fine[1]), (8, 8, 8), mode="trilinear").flatten(2)
    expected = heads(features, network.generated(network.seen(network.deep(deep).mean((2, 3, 4)))))
    assert torch.allclose(network(image).logits[0].flatten(2), expected, atol=1e-6)
    coarse = network(image, finest=1).logits
    assert [level.shape for level in coarse] == [(2, 3, 4, 4, 4)]
    coarse[0].sum().backward()
    assert network.narrow[0][-1].weight.grad is None and network.narrow[1][-1].weight.grad.abs().sum() > 0


def test_voxels_in_pieces_are_those_of_one(monkeypatch):
    """Heads and gradients of 512 voxels at once and of 100 at a time, the last of them 12."""
    torch.manual_seed(0)
    network, image = PromptedNetwork(UNetBackbone(SHAPE, 1, 4), 3, None, 6), torch.randn(2, 1, 8, 8, 8)
    found = []
    for voxels in (512, 100):
        monkeypatch.setattr(prompted, "IN_CACHE", voxels)
        logits = network(image).logits[0]
        network.zero_grad()
        logits.square().mean().backward()
        found.append([logits, *(p.grad for p in network.parameters())])
    assert all(torch.allclose(one, other, rtol=1e-4, atol=1e-6) for one, other in zip(*found, strict=True))


def test_swin_unetr():
    pytest.importorskip("einops")
    torch.manual_seed(0)
    network = PromptedNetwork(SwinBackbone(SHAPE, 1, None, feature_size=12), 2, None, 4)
    output = network(torch.randn(1, 1, 32, 32, 64))
    assert output.logits[0].shape == (1, 2, 32, 32, 64) and output.encoder[0].shape == (1, 192, 1, 1, 2)
    output.logits[0].sum().backward()
    assert sum(p.grad is None for p in network.parameters()) == 0


def test_swin_unetr_says_what_it_lacks(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="einops"):
        SwinBackbone(SHAPE, 1, None)


def test_patches():
    check_patches(SwinBackbone, [(96, 96, 96), (32, 32, 64)])
    check_patches(UNetBackbone, [(40, 40, 64)])
    for patch in ((40, 64, 64), (32, 32, 32)):
        with pytest.raises(UsageError, match="multiples of 32"):
            check_patches(SwinBackbone, [patch])


@pytest.mark.slow
def test_size_at_the_papers_scale():
    """137 classes and CLIP's 512 numbers; the paper counts 31.3 M for a U-Net and 129 M for CSCLIP."""
    def millions(backbone) -> float:
        network = PromptedNetwork(backbone, 137, torch.zeros(137, 512), 512)
        return sum(p.numel() for p in network.parameters()) / 1e6

    assert millions(UNetBackbone(PAPER, 1, None)) == pytest.approx(95.9, abs=0.1)
    if importlib.util.find_spec("einops"):
        assert millions(SwinBackbone(PAPER, 1, None)) == pytest.approx(127.1, abs=0.1)


def test_all_structures_have_a_text_embedding():
    for name in registry.load().structures:
        assert float(text_embedding([name]).norm()) == pytest.approx(1.0, abs=1e-3)
        assert not torch.allclose(text_embedding([name]), hashed_embedding(name, 384))
    assert FILE.stat().st_size < 300_000


def test_embeddings_know_what_is_alike():
    left, right, rib = (text_embedding([name]) for name in ("Kidney_L", "Kidney_R", "Bone_Rib1_L"))
    assert left @ right > 0.9 > left @ rib
    both = text_embedding(["Kidney_L", "Kidney_R"])
    assert torch.allclose(both, torch.nn.functional.normalize(left + right, dim=0), atol=1e-6)


def test_a_name_that_no_text_was_made_for():
    """Three-letter pieces of ^ab$: ^ab and ab$; twice the same name is the same vector."""
    assert torch.allclose(text_embedding(["PTV70"]), hashed_embedding("PTV70", 384)) and hashed_embedding("ab", 384).count_nonzero() == 2
    first, second, other = (hashed_embedding(name, 384) for name in ("PTV70", "PTV63", "Liver"))
    assert first @ second > 0.3 > first @ other


def test_generators_learn_at_a_rate_of_their_own():
    """The others at the lesson's, and at half of both once half of a linear schedule has passed; without one, all learn alike."""
    lesson = Training(torch.optim.SGD, lr=0.1, epochs=1, steps_per_epoch=2, poly_exponent=1.0)
    for own, slow in ((1e-4, 10), (None, 0)):  # weights and biases of one layer for the image, and of two layers for each of two classes
        network = PromptedNetwork(UNetBackbone(SHAPE, 1, 4), 2, None, 6, own)
        optimizer, schedule = lesson.build(network.parameters(), (), network.own_lr)
        optimizer.step()
        schedule.step()
        rates = {round(group["lr"], 9): len(group["params"]) for group in optimizer.param_groups}
        others = len(list(network.parameters())) - slow
        assert rates == ({5e-2: others, 5e-5: slow} if slow else {5e-2: others})
