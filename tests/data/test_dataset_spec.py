"""A dataset's description: what it accepts, what it refuses, and what its identity depends on."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from clnet.data.dataset import dataset_spec
from clnet.data.layout import CaseTable, FilePerStructure, HeldOut, NnunetRaw
from clnet.errors import DataError, UsageError
from clnet.types import Decoder, Label

AORTA = ["A_Aorta_Arch", "A_Aorta_Ascending", "A_Aorta_Descending"]


def make(root="/nowhere", **options):
    return dataset_spec(**{"name": "d", "root": root, "layout": NnunetRaw(), "labels": {"Liver": 1}, "body_group": "abdomen"} | options)


def make_files(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_the_forms_of_a_label():
    spec = make(labels={"Liver": 1, "Spleen": [2, 3], "A_Aorta": {"values": 5, "structures": AORTA}}, dropped={"Lips": 9})
    assert spec.labels == (Label("Liver", ("Liver",), (1,)), Label("Spleen", ("Spleen",), (2, 3)), Label("A_Aorta", tuple(AORTA), (5,)))
    assert spec.known_values() == {0, 1, 2, 3, 5, 9}
    assert spec.label_of("A_Aorta").structures == tuple(AORTA) and spec.decoder_of("A_Aorta").name == "A_Aorta"
    with pytest.raises(UsageError, match="no such label"):
        spec.label_of("Lips")
    files = make(layout=FilePerStructure(), labels={"Liver": {"files": "liver"}, "Eye_L": {"files": ["eye_a", "eye_p"]}})
    assert files.label_of("Eye_L").files == ("eye_a", "eye_p") and files.known_values() == {0}


def test_configuration_objects_become_plain_values():
    config = OmegaConf.create({"labels": {"Liver": 1, "A_Aorta": {"values": [5], "structures": AORTA}}, "dropped": {"Lips": 9},
                               "decoders": [{"name": "PTV70", "group": "Lesion", "structures": ["PTV70"]}],
                               "paper_cases": {"train": 4}})
    spec = make(labels=config.labels, dropped=config.dropped, decoders=config.decoders, paper_cases=config.paper_cases)
    assert pickle.loads(pickle.dumps(spec)) == spec and type(spec.paper_cases) is dict
    plain = (*spec.labels[1].structures, *spec.labels[1].values, *spec.decoders[0].structures)
    assert {type(value) for value in plain} == {str, int} and type(spec.labels[1].structures) is tuple


def test_a_dataset_may_declare_its_own_decoder():
    spec = make(labels={"PTV70": 1}, decoders=[{"name": "PTV70", "group": "Lesion", "structures": ["PTV70"]}])
    assert spec.decoder_of("PTV70") == Decoder("PTV70", "Lesion", ("PTV70",))
    with pytest.raises(UsageError, match="PTV70"):
        make(labels={"PTV70": 1})


def test_values_may_be_shared_where_decoders_are_independent_or_nested():
    make(labels={"Liver": [1, 2], "Liver_Lesion": 2})
    make(labels={"Larynx": [1, 2, 3], "Larynx_Glottic": 2, "Larynx_Supraglot": 3})
    with pytest.raises(UsageError, match="not nested"):
        make(labels={"Kidney_L": [1, 2], "Kidney_R": 2})


@pytest.mark.parametrize(("options", "message"), [
    ({"labels": {}}, "no labels"),
    ({"labels": {"Kidney": 1}}, "Kidney_L"),
    ({"labels": {"Kidney": {"values": 1, "structures": ["Kidney_L", "Kidney_Q"]}}}, "Kidney_Q"),
    ({"labels": {"X": {"values": 1, "structures": ["Liver", "Spleen"]}}}, "several decoders"),
    ({"labels": {"Liver": {"files": "liver"}}}, "needs label `values`"),
    ({"labels": {"Liver": 1}, "layout": FilePerStructure()}, "needs `files`"),
    ({"labels": {"Liver": 0}}, "whole numbers"),
    ({"labels": {"Liver": "one"}}, "whole numbers"),
    ({"labels": {"Liver": 1, "L": {"values": 2, "structures": ["Liver"]}}}, "both contain"),
    ({"labels": {"Liver": [1, 4]}, "dropped": {"Cyst": 4}}, "which Cyst drops"),
    ({"labels": {"Liver": 1}, "dropped": {"Liver": 2}}, "listed twice"),
])
def test_contradictions_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        make(**options)


def test_all_contradictions_at_once():
    with pytest.raises(UsageError) as error:
        make(labels={"Kidney": 1, "Liver": 0, "Q": 3})
    assert all(part in str(error.value) for part in ("Kidney: no canonical", "Liver: label values", "Q: no canonical"))


def test_a_wrong_root_names_the_path_the_key_and_the_nearest_parent(tmp_path):
    with pytest.raises(UsageError) as error:
        make(root=tmp_path / "a" / "b").cases("train")
    text = str(error.value)
    assert str(tmp_path / "a" / "b") in text and f"nearest existing folder: {tmp_path}\n" in text and "data.root=PATH" in text
    assert error.value.exit_code == 2


def test_a_wrong_root_is_answered_before_torch():
    code = ("import sys\nfrom clnet.data.dataset import dataset_spec\nfrom clnet.data.layout import NnunetRaw\n"
            "spec = dataset_spec(name='d', root='/nowhere', layout=NnunetRaw(), labels={'Liver': 1}, body_group='abdomen')\n"
            "try:\n    spec.cases('train')\n"
            "except Exception as error:\n    sys.exit(error.exit_code if 'torch' not in sys.modules else 99)\n")
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 2


def test_unpaired_files_are_listed_together(tmp_path):
    make_files(tmp_path, "imagesTr/a_0000.nii.gz", "imagesTr/b_0000.nii.gz", "labelsTr/b.nii.gz", "labelsTr/c.nii.gz")
    with pytest.raises(DataError) as error:
        make(root=tmp_path).cases("train")
    assert "a_0000.nii.gz" in str(error.value) and "c.nii.gz" in str(error.value) and "2 file(s)" in str(error.value)


def test_empty_folders_and_unknown_splits_are_refused(tmp_path):
    (tmp_path / "imagesTr").mkdir()
    (tmp_path / "labelsTr").mkdir()
    with pytest.raises(UsageError, match="no train cases"):
        make(root=tmp_path).cases("train")
    with pytest.raises(UsageError, match="unknown split"):
        make(root=tmp_path).cases("validation")


def test_held_out_divides_the_training_folder(tmp_path):
    make_files(tmp_path, *(name for i in range(10) for name in (f"imagesTr/c{i}_0000.nii.gz", f"labelsTr/c{i}.nii.gz")))
    spec = make(root=tmp_path, split=HeldOut(0.3))
    train, test = spec.cases("train"), spec.cases("test")
    assert len(train) == 7 and len(test) == 3 and not {raw.case for raw in train} & {raw.case for raw in test}


def test_identity_is_of_the_meaning():
    reference = make().identity()
    same = [make(root="/elsewhere"), make(licence="MIT", how_to_get="ask", paper_slug="x")]
    other = [make(labels={"Liver": 2}), make(labels={"Spleen": 1}), make(dropped={"Lips": 2}), make(split=HeldOut(0.2)),
             make(layout=NnunetRaw(channel="0001")), make(layout=CaseTable()), make(name="e"), make(decoders=[{"name": "PTV70"}])]
    assert {spec.identity() for spec in same} == {reference}
    assert len({reference, *(spec.identity() for spec in other)}) == len(other) + 1


def test_identity_is_the_same_in_every_process():
    code = ("from clnet.data.dataset import dataset_spec\nfrom clnet.data.layout import NnunetRaw\n"
            "print(dataset_spec(name='d', root='/nowhere', layout=NnunetRaw(), labels={'Liver': 1}, body_group='abdomen').identity())")
    run = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=True, capture_output=True, text=True,
                         env={**os.environ, "PYTHONHASHSEED": "1"})
    assert run.stdout.strip() == make().identity()


@pytest.mark.shared
def test_the_real_scans_are_listed(shared):
    layout = CaseTable(annotated_column="annotated_structures")
    mandible = {"values": 3, "structures": ["Bone_Mandible_L", "Bone_Mandible_R"]}
    spec = make(root=shared / "real_ct" / "openkbp", layout=layout, labels={"BrainStem": 1, "SpinalCord": 2, "Bone_Mandible": mandible})
    train, test = spec.cases("train"), spec.cases("test")
    assert 60 <= len(train) <= 70 and len(test) <= 29 and not {raw.case for raw in train} & {raw.case for raw in test}
    first = next(raw for raw in train if raw.case == "pt_3")
    assert first.annotated == {"BrainStem", "SpinalCord"}, "its mandible is unknown, not absent"
