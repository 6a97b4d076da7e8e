"""What a decoder learns from a dataset, and what it can tell apart afterwards."""

from types import SimpleNamespace

import numpy as np
import torch

from clnet.learn.target import DecoderTarget, decoder_targets, decoder_variants, learned_labels, output_channels, probabilities
from clnet.types import Decoder, Label, Part

AORTA = Decoder("A_Aorta", "Chest", ("Arch", "Ascending", "Descending"))
LARYNX = Decoder("Larynx", "Head & Neck", ("Larynx", "Glottic", "Supraglot"), nested=True)
WHOLE = Label("Aorta", ("Arch", "Ascending", "Descending"), (4,))


def test_unlabelled_structures_join_the_background():
    target = DecoderTarget(AORTA, (Label("Arch", ("Arch",), (2,)),))
    assert target.groups == ((0, 2, 3), (1,))
    assert DecoderTarget(AORTA, (WHOLE,)).groups == ((0,), (1, 2, 3))
    assert output_channels(AORTA) == 4 and output_channels(LARYNX) == 3


def test_encoding_follows_the_label_table():
    layers = np.array([[[[0, 2, 4]]], [[[1, 0, 0]]]], np.uint8)
    labels = (Label("Arch", ("Arch",)), Label("Rest", ("Ascending", "Descending")))
    encoded = DecoderTarget(AORTA, labels).encode(layers, {"Arch": (0, (4,)), "Rest": (1, (1,))})
    assert encoded.ravel().tolist() == [2, 0, 1]
    nested = DecoderTarget(LARYNX, (Label("Larynx", ("Larynx",)), Label("Glottic", ("Glottic",))))
    table = {"Larynx": (0, (2, 4)), "Glottic": (0, (4,))}
    assert nested.encode(layers, table).tolist() == [[[[False, True, True]]], [[[False, False, True]]]]


def test_a_union_stays_whole_until_a_member_is_labelled():
    assert [label.name for label in learned_labels([WHOLE])] == ["Aorta"]
    refined = learned_labels([WHOLE, Label("Arch", ("Arch",))])
    assert [label.structures for label in refined] == [("Arch",), ("Ascending", "Descending")]
    singles = [Label(name, (name,)) for name in AORTA.structures]
    assert [label.name for label in learned_labels([*singles, WHOLE])] == list(AORTA.structures)


def test_a_part_answers_for_unions_it_can_build():
    part = Part("A_Aorta", learned_labels([Label(name, (name,)) for name in AORTA.structures]), "id")
    label_map = np.array([0, 1, 2, 3], np.uint8)
    assert part.mask(label_map, WHOLE.structures).tolist() == [False, True, True, True]
    assert part.mask(label_map, ["Ascending"]).tolist() == [False, False, True, False]
    assert Part("A_Aorta", (WHOLE,), "id").mask(label_map, ["Arch"]) is None
    nested = Part("Larynx", (Label("Larynx", ("Larynx",)), Label("Glottic", ("Glottic",))), "id", nested=True)
    assert nested.mask(np.array([0, 1, 3], np.uint8), ["Glottic"]).tolist() == [False, False, True]


def test_cases_without_the_annotation_give_no_gradient():
    target = DecoderTarget(AORTA, (WHOLE,))
    logits = torch.randn(2, 4, 2, 2, 2, requires_grad=True)
    labels = torch.ones(2, 2, 2, 2, dtype=torch.uint8)
    target.loss([logits], labels, torch.tensor([True, False])).backward()
    assert logits.grad[0].abs().sum() > 0 and logits.grad[1].abs().sum() == 0
    none = target.loss([logits], labels, torch.tensor([False, False]))
    none.backward()
    assert none.item() == 0


def test_predicted_probabilities_are_those_of_the_learned_labels():
    logits = torch.randn(1, 4, 2, 2, 2)
    union = probabilities(logits, DecoderTarget(AORTA, (WHOLE,)))
    assert union.shape[1] == 2 and torch.allclose(union[:, 1], logits.softmax(1)[:, 1:].sum(1), atol=1e-6)
    nested = probabilities(logits[:, :3], DecoderTarget(LARYNX, (Label("Glottic", ("Glottic",)),)))
    assert torch.allclose(nested[:, 0], torch.sigmoid(logits[:, 1]))


def test_decoders_without_a_label_are_left_alone():
    chosen = decoder_targets([AORTA, LARYNX], [WHOLE])
    assert list(chosen) == ["A_Aorta"]


def test_datasets_that_annotate_alike_share_a_target():
    labels = {"a": (Label("Arch", ("Arch",)), WHOLE), "b": (WHOLE,), "c": (WHOLE, Label("Larynx", ("Larynx",))), "d": ()}
    variants = decoder_variants((LARYNX, AORTA), labels)
    assert list(variants) == ["Larynx", "A_Aorta"] and list(variants["Larynx"].targets) == ["Larynx"]
    aorta = variants["A_Aorta"]
    assert {key: (len(target.labels), set(target.datasets)) for key, target in aorta.targets.items()} == {
        "A_Aorta/0": (2, {"a"}), "A_Aorta/1": (1, {"b", "c"})}  # fmt: skip
    assert [label.name for label in aorta.labels] == ["Arch", "Aorta"] and aorta.decoder == AORTA


def test_every_sample_counts_once_with_the_target_of_its_dataset():
    arch = Label("Arch", ("Arch",))
    variants = decoder_variants((AORTA,), {"a": (arch,), "b": (WHOLE,)})["A_Aorta"]
    torch.manual_seed(0)
    logits = torch.randn(3, 4, 2, 2, 2, requires_grad=True)
    target = torch.randint(0, 2, (3, 2, 2, 2), dtype=torch.uint8)
    from_a = torch.tensor([True, False, True])
    batch = {"target/A_Aorta/0": target, "valid/A_Aorta/0": from_a, "target/A_Aorta/1": target, "valid/A_Aorta/1": ~from_a}
    one, other = variants.targets.values()
    expected = (2 * one.loss([logits], target, from_a) + other.loss([logits], target, ~from_a)) / 3
    assert torch.allclose(variants.loss([logits], batch), expected)
    nothing = {key: torch.zeros(3, dtype=torch.bool) if key.startswith("valid") else value for key, value in batch.items()}
    loss = variants.loss([logits], nothing)
    loss.backward()
    assert loss.item() == 0 and not bool(logits.grad.any())


def test_a_target_fits_cases_of_its_datasets_that_annotate_all_of_it():
    target = DecoderTarget(AORTA, (Label("Arch", ("Arch",)),), frozenset({"a"}))
    case = SimpleNamespace(dataset="a", annotated={"Arch", "Liver"})
    assert target.fits(case) and not target.fits(SimpleNamespace(dataset="b", annotated={"Arch"}))
    assert not target.fits(SimpleNamespace(dataset="a", annotated={"Liver"}))
    assert DecoderTarget(AORTA, target.labels).fits(SimpleNamespace(dataset="b", annotated={"Arch"}))
    assert target.nothing((2, 3, 4)).shape == (2, 3, 4) and DecoderTarget(LARYNX, (WHOLE, WHOLE)).nothing((1, 1, 2)).shape == (2, 1, 1, 2)
