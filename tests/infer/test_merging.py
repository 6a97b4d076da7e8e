"""The rules of merging: contradictions are refused, and those of conf/merging fit the registry and the data sets."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from clnet.anatomy import registry
from clnet.errors import UsageError
from clnet.infer.merging import MergingRules, merging_rules
from clnet.types import Part

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "wrong",
    [
        {"exclusive": {"a": ["Liver"], "b": ["Liver"]}},
        {"exclusive": {"a": ["Liver", "Liver"]}},
        {"exclusive": {"a": ["Liver"]}, "lesions": {"Kidney_Lesion": ["Kidney"]}},
        {"exclusive": {"a": ["Liver"], "b": ["Colon"]}, "lesions": {"X_Lesion": ["Liver", "Colon"]}},
        {"exclusive": {"a": ["Liver"], "b": ["X_Lesion"]}, "lesions": {"X_Lesion": ["Liver"]}},
        {"exclusive": {"a": ["Liver"]}, "lesions": {"X_Lesion": ["Liver"], "Y_Lesion": ["X_Lesion"]}},
        {"exclusive": {"a": ["Liver"]}, "threshold": 0},
    ],
)
def test_contradictory_rules_are_refused(wrong):
    with pytest.raises(UsageError, match="merging"):
        merging_rules(**wrong)


def test_unknown_decoders_are_named_with_their_nearest():
    with pytest.raises(UsageError, match="Livr: Liver"):
        merging_rules({"a": ["Livr"]}).check(["Liver", "Colon"])


def test_body_part_mask():
    rules = merging_rules({"a": ["Colon", "Stomach"]}, {"Gastric_Lesion": ["Colon", "Stomach"], "HN_LN": []})
    inside = {"Colon": np.array([True, False, False]), "Stomach": np.array([False, False, True]), "HN_LN": np.zeros(3, bool)}
    assert rules.body_part_mask("Colon", inside, 3).tolist() == [True, False, False]
    assert rules.body_part_mask("Gastric_Lesion", inside, 3).tolist() == [True, False, True]  # any of its organs
    assert rules.body_part_mask("HN_LN", inside, 3).all()  # whole image
    assert rules.body_part_mask("Liver", inside, 3).all()  # no known range
    assert rules.body_part_mask("Gastric_Lesion", {"Colon": inside["Colon"]}, 3).all()


def test_lesions_come_first_and_all_else_stays_in_order():
    rules = merging_rules({"a": ["Kidney"]}, {"Kidney_Lesion": ["Kidney"], "HN_LN": []})
    parts = [Part(name, (), name) for name in ("Body", "HN_LN", "Kidney", "Kidney_Lesion", "Liver")]
    assert [part.name for part in rules.lesions_first(parts)] == ["HN_LN", "Kidney_Lesion", "Body", "Kidney", "Liver"]


CHOICES = [path for path in sorted((REPOSITORY / "conf" / "merging").glob("*.yaml")) if yaml.safe_load(path.read_text())["merging"]]


def shipped(path) -> MergingRules:
    values = yaml.safe_load(path.read_text())["merging"]
    assert values.pop("_target_") == "clnet.infer.merging.merging_rules"
    return merging_rules(**values)


@pytest.mark.parametrize("path", CHOICES, ids=lambda path: path.stem)
def test_shipped_rules_name_decoders_of_the_registry(path):
    rules, decoders = shipped(path), registry.load().decoders
    rules.check(decoders)
    assert set(rules.lesions) == {name for name, decoder in decoders.items() if decoder.group == "Lesion"}
    for lesion, organs in rules.lesions.items():
        assert set(organs) <= set(decoders[lesion].supporters), "Table S5"
    listed = [name for members in rules.exclusive.values() for name in members]
    assert not any(decoders[name].nested for name in listed), "nested parts are only bounded"


@pytest.mark.parametrize("path", CHOICES, ids=lambda path: path.stem)
def test_what_a_data_set_labels_twice_excludes_nobody(path):
    """A voxel that is two structures at once in one data set must not be fought for; a lesion within its organ is meant to be."""
    rules, known = shipped(path), registry.load().structures
    checked = 0
    for file in sorted((REPOSITORY / "conf" / "dataset").glob("*.yaml")):
        owners: dict = {}
        for name, value in yaml.safe_load(file.read_text())["labels"].items():
            entry = value if isinstance(value, dict) else {"values": value}
            for raw in np.atleast_1d(entry.get("values") or entry.get("files")).tolist():
                for structure in entry.get("structures") or [name]:
                    owners.setdefault(raw, set()).update({known[structure].decoder} if structure in known else ())
        for decoders in owners.values():
            organs = [name for name in decoders if name not in rules.lesions]
            sets = [rules.set_of(name) for name in organs if rules.set_of(name)]
            assert len(sets) == len(set(sets)), (file.name, decoders)
            checked += len(organs) > 1
    assert checked


def test_default_rules_leave_out_what_overlaps():
    rules, decoders = shipped(REPOSITORY / "conf" / "merging" / "default.yaml"), registry.load().decoders
    alone = {name for name in decoders if rules.set_of(name) is None}
    assert alone == {
        "Body", "ChestWall", "Pericardium", "LAA", "Larynx", "Lens", "Hippocampus", "Ear_Mid", "Ear_Inner", "Ear_Cochlea", "Bone_ET", "TMJ",
        "BrachialPlexus", "HepaticVessel", "HN_LNS", "Chest_LNS", "NPC_Lesion", "HN_LN", "Chest_LN",
    }  # fmt: skip
    within = {"Brain": ["BrainStem", "TemporalLobe", "Cerebellum"], "Lung": ["Lung_LL", "Lung_RL"], "Bone_Vert": ["A_Vertebral"],
              "Heart": ["Atrium_Ventricle", "Myocardium"], "Bone_Skull": ["Bone_Mandible"]}  # fmt: skip
    assert all(rules.set_of(outer) != rules.set_of(inner) for outer, inners in within.items() for inner in inners)
    assert rules.set_of("Brain") == rules.set_of("Bone_Skull") and rules.set_of("BrainStem") == rules.set_of("SpinalCord")
    assert all(rules.set_of(lesion) == rules.set_of(organs[0]) for lesion, organs in rules.lesions.items() if organs)
