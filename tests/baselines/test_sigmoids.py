"""Heads of sigmoids: who teaches them, which masks they learn, what is predicted of them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from baselines.classes import ALL
from baselines.sigmoids import SigmoidSpace, gathered, sigmoid_probabilities
from clnet.types import Label

AORTA = ("A_Aorta_Arch", "A_Aorta_Ascending")
BODY = (Label("Liver", ("Liver",), (1,)), Label("Heart", ("Heart",), (2, 3)), Label("LAA", ("LAA",), (3,)),
        Label("A_Aorta", AORTA, (4,)))  # fmt: skip
CHEST = (Label("Heart", ("Heart",), (7,)), Label("Eso", ("Eso",), (8,)))
ARCH = (Label("Arch", AORTA[:1], (1,)), Label("Ascending", AORTA[1:], (2,)))


def case(dataset: str, labels, *missing: str):
    return SimpleNamespace(dataset=dataset, annotated=frozenset(label.name for label in labels) - set(missing))


def test_datasets_share_heads_or_have_their_own():
    shared = SigmoidSpace().grown(BODY).grown(CHEST)
    assert [head.label for head in shared.heads] == ["Liver", "Heart", "LAA", "A_Aorta", "Eso"] and shared.channel(CHEST[0]) == 1
    apart = SigmoidSpace().grown(BODY, "body").grown(CHEST, "chest")
    assert len(apart.heads) == 6 and (apart.channel(BODY[1], "body"), apart.channel(CHEST[0], "chest")) == (1, 4)
    assert SigmoidSpace.remembered(apart.described()) == apart


def test_outer_labels_have_a_part_of_their_own_and_heads_of_the_same_structures_go_together():
    outputs = SigmoidSpace().grown(BODY, "body").grown(CHEST, "chest").outputs()
    assert {name: [(label.name, channels) for label, channels in own] for name, own in outputs.items()} == {
        ALL: [("Liver", (0,)), ("LAA", (2,)), ("A_Aorta", (3,)), ("Eso", (5,))], "Heart": [("Heart", (1, 4))]
    }  # fmt: skip


def test_a_union_contains_its_members_and_is_no_output_once_all_of_them_are():
    space = SigmoidSpace().grown(BODY).grown(ARCH[:1])
    assert [label.name for label, _ in space.outputs()["A_Aorta"]] == ["A_Aorta"]
    assert space.contains(AORTA, AORTA[:1]) and not space.contains(AORTA[:1], AORTA) and space.contains(("Heart",), ("LAA",))
    assert "A_Aorta" not in space.grown(ARCH[1:]).outputs()


def test_masks_are_what_the_dataset_says_and_nothing_is_known_of_other_labels():
    """The heart holds its appendage (values 2 and 3); the second case does not annotate the liver."""
    space = SigmoidSpace().grown(BODY)
    cases = [case("body", BODY), case("body", BODY, "Liver")]
    targets = space.targets({"body": BODY}, cases)
    channels = {key: tuple(space.channel(label) for label in target.labels) for key, target in targets.items()}
    layers, table = np.array([[[[1, 2, 3, 4]]]]), {label.name: (0, label.values) for label in BODY}
    batch = {}
    for key, target in targets.items():
        fits = [target.fits(one) for one in cases]
        encoded = [target.encode(layers, table) if fit else target.nothing((1, 1, 4)) for fit in fits]
        batch |= {f"target/{key}": torch.from_numpy(np.stack(encoded)), f"valid/{key}": torch.tensor(fits)}
    target, valid = gathered(batch, channels, 5)
    assert valid.tolist() == [[True, True, True, True, False], [False, True, True, True, False]]
    heart = [[False, True, True, False]] * 2
    assert target[:, 1, 0, 0].tolist() == heart and target[:, 0].sum(-1).ravel().tolist() == [1, 0] and not target[:, 4].any()


def test_probabilities_by_hand():
    """Heads 0.8 and 0.4 of one label: 0.6; the other label 0.3: background 0.4, so the first one wins; below one half nothing does."""
    logits = torch.tensor([[0.8, 0.4, 0.3], [0.5, 0.4, 0.3]]).logit()[:, :, None, None, None]
    found = sigmoid_probabilities(logits, [(BODY[0], (0, 1)), (BODY[2], (2,))])
    assert found[:, :, 0, 0, 0].tolist() == [pytest.approx([0.4, 0.6, 0.3]), pytest.approx([0.55, 0.45, 0.3])]
    assert found.argmax(1).ravel().tolist() == [1, 0]
