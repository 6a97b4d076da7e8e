"""The joint decoder of a quick start, and the decoders made of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from clnet.errors import DataError, UsageError
from clnet.learn.joint import complete, decoder_of_joint, joint_target
from clnet.learn.target import decoder_targets, output_channels, probabilities
from clnet.model.decoder import DecoderNetwork
from clnet.model.encoder import Encoder
from clnet.model.shape import NetworkShape
from clnet.types import Decoder, Label

PLAIN = NetworkShape((4, 8, 8), ((3, 3, 3),) * 3, ((1, 1, 1), (2, 2, 2), (2, 2, 2)))
DECODERS = (Decoder("Heart", "", ("Heart",)), Decoder("LAA", "", ("LAA",)), Decoder("Aorta", "", ("Arch", "Descending")),
            Decoder("Airway", "", ("Trachea", "Bronchus")), Decoder("Larynx", "", ("Larynx", "Glottis"), nested=True))  # fmt: skip
LABELS = (Label("LAA", ("LAA",), (2,)), Label("Heart", ("Heart",), (1, 2)), Label("Aorta", ("Arch", "Descending"), (3,)),
          Label("Trachea", ("Trachea",), (4,)), Label("Larynx", ("Larynx",), (5,)))  # fmt: skip


@dataclass
class Case:
    voxels: dict
    annotated: frozenset[str] = frozenset(label.name for label in LABELS)
    dataset: str = "memory"


CASES = [Case({"LAA": 5, "Heart": 100, "Aorta": 40, "Trachea": 9, "Larynx": 8}), Case({"LAA": 6, "Heart": 90, "Trachea": 7})]


def test_where_labels_overlap_the_smaller_is_kept():
    target = joint_target(LABELS, CASES)
    table = {label.name: (0, label.values) for label in LABELS}
    encoded = target.encode(np.array([[[[0, 1, 2, 3, 4, 5]]]], np.uint8), table)
    names = ["background", *(label.name for label in target.labels)]
    assert [names[value] for value in encoded.ravel()] == ["background", "Heart", "LAA", "Aorta", "Trachea", "Larynx"]


@pytest.mark.parametrize("summed", [False, True])
@pytest.mark.parametrize("name", ["Heart", "Aorta", "Airway", "Larynx"])
def test_a_decoder_keeps_the_joint_odds_of_its_labels(summed, name):
    shape = replace(PLAIN, summed_logits=summed)
    joint = joint_target(LABELS, CASES)
    torch.manual_seed(0)
    network = DecoderNetwork(shape, output_channels(joint.decoder), 4)
    with torch.no_grad():
        for head in network.heads:
            head.weight.normal_()
            head.bias.normal_()
        encoded = Encoder(shape)(torch.randn(2, 1, 8, 8, 8))
        target = decoder_targets(DECODERS, LABELS)[name]
        own = decoder_of_joint(network, joint, target, shape, lambda: DecoderNetwork(shape, output_channels(target.decoder), 4))
        label = [label.name for label in joint.labels].index(target.labels[0].name) + 1
        for level, (all_logits, logits) in enumerate(zip(network(encoded).logits, own(encoded).logits, strict=True)):
            wanted = all_logits[:, label] - all_logits[:, 0]
            p = probabilities(logits, target)
            found = torch.logit(p[:, 0], eps=1e-7) if target.decoder.nested else p[:, 1].log() - p[:, 0].log()
            assert torch.allclose(found, wanted, atol=1e-2, rtol=1e-3), f"level {level}"
    before = own.ups[0].weight.detach().clone()
    with torch.no_grad():
        network.ups[0].weight.add_(1.0)
    assert torch.equal(own.ups[0].weight, before), "weights of its own"


def test_another_width_is_refused():
    joint, target = joint_target(LABELS, CASES), decoder_targets(DECODERS, LABELS)["Heart"]
    network = DecoderNetwork(PLAIN, output_channels(joint.decoder), 4)
    with pytest.raises(UsageError, match="as wide as the joint one"):
        decoder_of_joint(network, joint, target, PLAIN, lambda: DecoderNetwork(PLAIN, 2, 2))


def test_a_case_without_all_annotations_is_left_out():
    partial = replace(CASES[0], annotated=frozenset({"Heart", "LAA"}))
    assert complete(LABELS, [*CASES, partial]) == tuple(CASES) and complete(LABELS[:2], [partial]) == (partial,)
    with pytest.raises(DataError, match="joint_start=false"):
        complete(LABELS, [partial])
