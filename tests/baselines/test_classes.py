"""Channels of a growing softmax, and what labels of different datasets mean among them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from baselines.classes import ALL, ClassSpace
from baselines.sigmoids import SigmoidSpace
from clnet.data.dataset import DatasetSpec
from clnet.types import Label, Part
from experiments.evaluate import known_labels
from experiments.pipeline import made

CONF = Path(__file__).resolve().parents[2] / "conf"
BODY = (Label("Liver", ("Liver",), (1,)), Label("Heart", ("Heart",), (2, 3)), Label("LAA", ("LAA",), (3,)),
        Label("A_Aorta", ("A_Aorta_Arch", "A_Aorta_Ascending"), (4,)))  # fmt: skip
CHEST = (Label("Heart", ("Heart",), (7,)), Label("Eso", ("Eso",), (8,)))


def case(dataset: str, labels, *missing: str, voxels: int = 10):
    names = [label.name for label in labels if label.name not in missing]
    return SimpleNamespace(dataset=dataset, annotated=frozenset(names), voxels={name: voxels for name in names})


def test_structures_come_behind_those_known():
    space = ClassSpace().grown(BODY)
    assert space.structures == ("Liver", "Heart", "LAA", "A_Aorta_Arch", "A_Aorta_Ascending") and space.inside == ((("Heart",), ("LAA",)),)
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


TUMOUR = (Label("Kidney", ("Kidney_L", "Kidney_R"), (1, 2)), Label("Kidney_Lesion", ("Kidney_Lesion",), (2,)))
SIDES = (Label("Kidney_L", ("Kidney_L",), (1,)), Label("Kidney_R", ("Kidney_R",), (2,)))


def test_what_lies_in_a_union_is_in_none_of_its_members_for_sure():
    """Channels: left, right, lesion; a kidney without a side holds the lesion where that has no label of its own."""
    space = ClassSpace().grown(SIDES).grown(TUMOUR)
    assert [space.shown_by(label, SIDES) for label in SIDES] == [("Kidney_L",), ("Kidney_R",)]
    assert space.shown_by(TUMOUR[0], TUMOUR[:1]) == ("Kidney_L", "Kidney_R", "Kidney_Lesion")
    outputs = {name: [(label.name, channels) for label, channels in own] for name, own in space.outputs().items()}
    assert outputs == {"Kidney_L": [("Kidney_L", (1,))], "Kidney_R": [("Kidney_R", (2,))], "all": [("Kidney_Lesion", (3,))],
                       "Kidney": [("Kidney", (1, 2, 3))]}  # fmt: skip


BODY_OF_KIDNEY = (Label("Body", ("Body",), (1, 2, 3)), Label("Kidney_L", ("Kidney_L",), (2, 3)), Label("Lesion", ("Lesion",), (3,)))


@pytest.mark.parametrize("datasets", [(BODY_OF_KIDNEY,), (BODY_OF_KIDNEY[:2], BODY_OF_KIDNEY[1:])])
def test_the_innermost_label_shows_what_has_none(datasets):
    """Three levels, told by one dataset or by two that know two of them each."""
    space = ClassSpace()
    for labels in datasets:
        space = space.grown(labels)
    body, kidney, _ = BODY_OF_KIDNEY
    assert space.shown_by(body, [body, kidney]) == ("Body",) and space.shown_by(kidney, [body, kidney]) == ("Kidney_L", "Lesion")
    assert space.shown_by(body, [body]) == ("Body", "Kidney_L", "Lesion")


def test_what_two_labels_hold_and_neither_lies_in_the_other_is_shown_by_none():
    left, right = (Label(name, (name,), (value, 9)) for value, name in enumerate("AB"))
    space = ClassSpace().grown((left, right, Label("Between", ("Between",), (9,))))
    assert space.shown_by(left, [left, right]) == ("A",) and space.shown_by(left, [left]) == ("A", "Between")


@pytest.fixture(scope="module")
def public() -> list[DatasetSpec]:
    """The 20 public datasets, their labels alone."""
    with pytest.MonkeyPatch.context() as patch, initialize_config_dir(str(CONF), version_base="1.3"):
        patch.setenv("CLNET_DATA", "/nowhere")
        cfg = OmegaConf.to_container(compose("config", ["experiment=universal36"]), resolve=True)
    return [made(cfg["data"]["datasets"][slot]) for slot in cfg["order"]["steps"]]


def test_public_labels_divide_the_channels_together_and_one_dataset_after_the_other(public):
    together, alone = ClassSpace(), []
    for spec in public:
        together = together.grown(spec.labels)
        alone.append(together)
    for spec, then in zip(public, alone, strict=True):
        for space in (then, together):
            (target,) = space.targets({spec.name: spec.labels}, [case(spec.name, spec.labels)]).values()
            assert sorted(channel for group in target.groups for channel in group) == list(range(len(space.structures) + 1)), spec.name


@pytest.mark.parametrize("space", [ClassSpace(), SigmoidSpace()])
def test_one_part_knows_each_public_label(public, space):
    for spec in public:
        space = space.grown(spec.labels)
    parts = [Part(name, tuple(label for label, _ in own), name) for name, own in space.outputs().items()]
    for spec in public:
        known = [label.name for part in parts for label in known_labels(part, spec)]
        assert sorted(known) == sorted(label.name for label in spec.labels), spec.name


def test_a_datasets_own_heads_know_each_of_its_public_labels(public):
    space = SigmoidSpace()
    for spec in public:
        space = space.grown(spec.labels, spec.name)
    for spec in public:
        parts = [Part(name, tuple(label for label, _ in own), name) for name, own in space.outputs(spec.name).items()]
        known = [label.name for part in parts for label in known_labels(part, spec)]
        assert sorted(known) == sorted(label.name for label in spec.labels), spec.name


@pytest.mark.parametrize("order", [(BODY, CHEST), (CHEST, BODY)])
def test_every_label_of_every_dataset_has_a_part_that_knows_it(order):
    space = ClassSpace()
    for labels in order:
        space = space.grown(labels)
    known = [{structure for structure in label.structures} for own in space.outputs().values() for label, _ in own]
    for label in (*BODY, *CHEST):
        assert set(label.structures) in known
