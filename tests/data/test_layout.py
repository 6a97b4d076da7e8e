"""Each layout lists its cases from empty files and reports what does not fit, all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from clnet.data.layout import CaseTable, FilePerStructure, HeldOut, NnunetRaw
from clnet.errors import UsageError
from clnet.types import Label, RawCase

LABELS = (Label("Liver", ("Liver",), (1,), ()), Label("A_Aorta", ("A_Aorta_Arch", "A_Aorta_Ascending", "A_Aorta_Descending"), (2,), ()))
FILES = (Label("Liver", ("Liver",), (), ("liver",)), Label("Brain", ("Brain",), (), ("brain",)))


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def cases(n: int) -> list[RawCase]:
    return [RawCase("d", f"case_{i}", Path("x"), None, frozenset()) for i in range(n)]


def test_nnunet_raw_lists_both_splits(tmp_path):
    touch(tmp_path, "imagesTr/b_0000.nii.gz", "imagesTr/a_0000.nii.gz", "imagesTr/a_0001.nii.gz", "imagesTr/._a_0000.nii.gz",
          "imagesTr/notes.txt", "labelsTr/a.nii.gz", "labelsTr/b.nii.gz", "imagesTs/c_0000.nii.gz", "labelsTs/c.nii.gz")
    found, problems = NnunetRaw().find(tmp_path, "train", "d", LABELS)
    assert [raw.case for raw in found] == ["a", "b"] and not problems
    image, mask = tmp_path / "imagesTr/a_0000.nii.gz", tmp_path / "labelsTr/a.nii.gz"
    assert found[0] == RawCase("d", "a", image, mask, frozenset({"Liver", "A_Aorta"}))
    assert [raw.case for raw in NnunetRaw().find(tmp_path, "test", "d", LABELS)[0]] == ["c"]


def test_nnunet_raw_reports_all_that_is_unpaired(tmp_path):
    touch(tmp_path, "imagesTr/a_0000.nii.gz", "imagesTr/b_0000.nii.gz", "imagesTr/odd.nii.gz", "labelsTr/b.nii.gz", "labelsTr/c.nii.gz")
    found, problems = NnunetRaw().find(tmp_path, "train", "d", LABELS)
    assert [raw.case for raw in found] == ["b"] and len(problems) == 3
    for name in ("imagesTr/a_0000.nii.gz: image without", "labelsTr/c.nii.gz: label without", "odd.nii.gz: image name without"):
        assert any(name in problem for problem in problems), name


def test_nnunet_raw_without_a_test_split_points_to_held_out(tmp_path):
    touch(tmp_path, "imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz")
    with pytest.raises(UsageError, match="HeldOut"):
        NnunetRaw().find(tmp_path, "test", "d", LABELS)


def test_file_per_structure(tmp_path):
    for case in ("s1", "s2", "s3"):
        touch(tmp_path, f"{case}/ct.nii.gz", f"{case}/segmentations/liver.nii.gz", f"{case}/segmentations/brain.nii.gz")
    (tmp_path / "meta.csv").write_text("image_id;age;split\ns1;60;train\ns2;61;val\ns3;62;test\n", encoding="utf-8-sig")
    layout = FilePerStructure(split_table="meta.csv", train_values=["train", "val"])
    found, problems = layout.find(tmp_path, "train", "d", FILES)
    assert [raw.case for raw in found] == ["s1", "s2"] and not problems
    assert found[0].label == tmp_path / "s1/segmentations" and found[0].image == tmp_path / "s1/ct.nii.gz"
    assert [raw.case for raw in layout.find(tmp_path, "test", "d", FILES)[0]] == ["s3"]
    assert len(FilePerStructure().find(tmp_path, "train", "d", FILES)[0]) == 3
    with pytest.raises(UsageError, match="split_table"):
        FilePerStructure().find(tmp_path, "test", "d", FILES)


def test_file_per_structure_reports_missing_files_and_folders(tmp_path):
    touch(tmp_path, "s1/ct.nii.gz", "s1/segmentations/liver.nii.gz", "s9/ct.nii.gz")
    (tmp_path / "meta.csv").write_text("image_id;split\ns1;train\ns2;train\n")
    found, problems = FilePerStructure(split_table="meta.csv").find(tmp_path, "train", "d", FILES)
    assert not found and len(problems) == 3
    for part in ("brain.nii.gz: file is missing", "s2: case of meta.csv without", "s9: folder that meta.csv"):
        assert any(part in problem for problem in problems), part


TABLE = """case,split,site,annotated
a,train,1,Liver A_Aorta_Arch A_Aorta_Ascending A_Aorta_Descending
b,train,1,Liver A_Aorta_Arch
c,train,2,Spleen
d,valid,2,A_Aorta
"""


@pytest.fixture
def table(tmp_path) -> Path:
    (tmp_path / "cases.csv").write_text(TABLE)
    touch(tmp_path, *(f"{folder}/{case}.nii.gz" for folder in ("images", "labels") for case in "abcd"))
    return tmp_path


def test_case_table_knows_what_each_case_annotates(table):
    layout = CaseTable(annotated_column="annotated")
    found, problems = layout.find(table, "train", "d", LABELS)
    assert {raw.case: set(raw.annotated) for raw in found} == {"a": {"Liver", "A_Aorta"}, "b": {"Liver"}} and not problems
    assert [set(raw.annotated) for raw in layout.find(table, "test", "d", LABELS)[0]] == [{"A_Aorta"}]
    assert all(raw.annotated == {"Liver", "A_Aorta"} for raw in CaseTable().find(table, "train", "d", LABELS)[0])


def test_case_table_narrows(table):
    def names(split, **options):
        return [raw.case for raw in CaseTable(**options).find(table, split, "d", LABELS)[0]]

    assert names("train", include=["c", "a"]) == ["a", "c"] and names("test", include=["a"]) == []
    assert names("train", include={"site": [2]}) == ["c"]
    assert names("train", train_include=["b"]) == ["b"] and names("test", train_include=["b"]) == ["d"]
    assert CaseTable(include=["z"]).find(table, "train", "d", LABELS)[1] == [f"{table / 'cases.csv'}: no row for the included case z"]


def test_case_table_reports_missing_files(table):
    (table / "images/a.nii.gz").unlink()
    (table / "labels/b.nii.gz").unlink()
    found, problems = CaseTable().find(table, "train", "d", LABELS)
    assert [raw.case for raw in found] == ["c"] and len(problems) == 2


def test_case_table_names_missing_columns_and_table(table):
    with pytest.raises(UsageError, match="nowhere"):
        CaseTable(split_column="nowhere").find(table, "train", "d", LABELS)
    with pytest.raises(UsageError, match="other.csv"):
        CaseTable(table="other.csv").find(table, "train", "d", LABELS)


def test_held_out_is_a_partition_that_depends_on_names_and_seed_only():
    parts = HeldOut(0.25).divide(cases(20))
    assert len(parts["test"]) == 5 and len(parts["train"]) == 15
    assert {raw.case for raw in parts["train"]} | {raw.case for raw in parts["test"]} == {raw.case for raw in cases(20)}
    assert HeldOut(0.25).divide(cases(20)[::-1])["test"] == parts["test"][::-1]
    assert HeldOut(0.25, seed=1).divide(cases(20))["test"] != parts["test"]
    assert len(HeldOut(0.01).divide(cases(3))["test"]) == 1


def test_held_out_is_the_same_on_every_machine():
    assert [raw.case for raw in HeldOut(0.2).divide(cases(20))["test"]] == ["case_1", "case_3", "case_5", "case_13"]


def test_held_out_refuses_fractions_and_foreign_names():
    for fraction in (0, 1, 1.5):
        with pytest.raises(UsageError, match="fraction"):
            HeldOut(fraction)
    with pytest.raises(UsageError, match="key"):
        HeldOut(0.2, key=r"patient(\d+)").divide(cases(3))
