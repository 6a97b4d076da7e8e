"""Channels of a growing softmax, and what labels of different datasets mean among them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from baselines.classes import ALL, ClassSpace
from clnet.types import Label

BODY = (Label("Liver", ("Liver",), (1,)), Label("Heart", ("Heart",), (2, 3)), Label("LAA", ("LAA",), (3,)),
        Label("A_Aorta", ("A_Aorta_Arch", "A_Aorta_Ascending"), (4,)))  # fmt: skip
CHEST = (Label("Heart", ("Heart",), (7,)), Label("Eso", ("Eso",), (8,)))


def case(dataset: str, labels, *missing: str, voxels: int = 10):
    names = [label.name for label in labels if label.name not in missing]
    return SimpleNamespace(dataset=dataset, annotated=frozenset(names), voxels={name: voxels for name in names})


def test_structures_come_behind_those_known():
    space = ClassSpace().grown(BODY)
    assert space.structures == ("Liver", "Heart", "LAA", "A_Aorta_Arch", "A_Aorta_Ascending") and space.inside == {"Heart": ("LAA",)}
    assert space.grown(CHEST).structures == (*space.structures, "Eso") and space.grown(BODY).structures == space.structures
    assert space.channels(["LAA", "Liver"]) == (3, 1)


def test_an_outer_structure_has_what_is_left_where_the_inner_one_is_labelled_too():
    space = ClassSpace().grown(BODY).grown(CHEST)
    assert space.shown_by(BODY[1], BODY) == ("Heart",), "the appendage has a label of its own there"
    assert space.shown_by(CHEST[0], CHEST) == ("Heart", "LAA"), "here it is part of the heart"


def test_parts_of_a_prediction():
    """Seven channels: background, liver, heart (without), appendage, two of the aorta that nothing tells apart, oesophagus."""
    outputs = ClassSpace().grown(BODY).grown(CHEST).outputs()
    assert {label.name: channels for label, channels in outputs[ALL]} == {"Liver": (1,), "LAA": (3,), "A_Aorta": (4, 5), "Eso": (6,)}
    assert [(label.name, label.structures, channels) for label, channels in outputs["Heart"]] == [("Heart", ("Heart",), (2, 3))]


def test_the_target_of_a_later_dataset():
    space = ClassSpace().grown(BODY).grown(CHEST)
    cases = [case("chest", CHEST), case("chest", CHEST, "Eso"), case("body", BODY)]
    merged = space.targets({"chest": CHEST}, cases)
    assert list(merged) == ["chest/0", "chest/1"]
    assert set(merged["chest/0"].groups) == {(0, 1, 4, 5), (2, 3), (6,)}, "old channels without a label are background"
    apart = space.targets({"chest": CHEST}, cases, apart=(1, 4, 5))["chest/1"]
    assert apart.groups == ((0, 6), (2, 3), (1,), (4,), (5,)), "what this case does not annotate is background, old ones are not"
    assert [merged["chest/0"].fits(one) for one in cases] == [True, False, False]
    assert [merged["chest/1"].fits(one) for one in cases] == [False, True, False]


def test_of_overlapping_labels_the_smaller_one_keeps_a_voxel():
    space = ClassSpace().grown(BODY)
    one = case("body", BODY)
    one.voxels["Heart"] = 1000
    target = space.targets({"body": BODY}, [one])["body/0"]
    encoded = target.encode(np.array([[[[1, 2, 3, 4, 0]]]]), {label.name: (0, label.values) for label in BODY}).ravel()
    names = [None, *(label.name for label in target.labels)]
    assert [names[index] for index in encoded] == ["Liver", "Heart", "LAA", "A_Aorta", None]


@pytest.mark.parametrize("order", [(BODY, CHEST), (CHEST, BODY)])
def test_every_label_of_every_dataset_has_a_part_that_knows_it(order):
    space = ClassSpace()
    for labels in order:
        space = space.grown(labels)
    known = [{structure for structure in label.structures} for own in space.outputs().values() for label, _ in own]
    for label in (*BODY, *CHEST):
        assert set(label.structures) in known
