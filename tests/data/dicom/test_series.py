"""What lies in a folder of DICOM files: CT series to read, and everything else by name and reason."""

from __future__ import annotations

from pathlib import Path

import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import MediaStorageDirectoryStorage

from clnet.data.dicom.series import chosen, find_series
from tests.dicom_phantom import PATIENT, PATIENT_ID, phantom_hu, write_series

SMALL = phantom_hu((4, 16, 16))


def found_in(folder: Path):
    return find_series(path for path in folder.rglob("*") if path.is_file())


def test_series_of_one_folder_and_of_several(tmp_path):
    write_series(tmp_path / "study", SMALL, number=4)
    write_series(tmp_path / "study", SMALL, number=2, stem="other")
    write_series(tmp_path / "deep/a", SMALL[:2], number=7)
    for path in write_series(tmp_path / "spread/1", SMALL):
        target = tmp_path / "spread" / path.stem / "one.dcm"  # a folder for each image
        target.parent.mkdir()
        path.rename(target)
    (tmp_path / "study/readme.txt").write_text("no image")
    found = found_in(tmp_path)
    assert [(series.folder.name, series.title, len(series.images)) for series in found.series] == [
        ("spread", "s002", 4), ("study", "s002", 4), ("study", "s004", 4)]  # fmt: skip
    assert not found.broken and not found.other and len(found.skipped) == 1
    assert "deep" in found.skipped[0] and "series 7: localizer or single picture, 2 image(s)" in found.skipped[0]


def test_series_are_chosen_by_number_or_uid(tmp_path):
    for number in (2, 4, 9):
        write_series(tmp_path, SMALL, number=number, stem=f"s{number}-")
    series = found_in(tmp_path).series
    assert [one.number for one in chosen(series, [4])] == [4] == [one.number for one in chosen(series, [series[1].uid])]
    assert [one.number for one in chosen(series, ["2", 9])] == [2, 9] and chosen(series, [3]) == []


def test_a_series_without_a_number_is_named_by_its_uid(tmp_path):
    write_series(tmp_path, SMALL, number=None)
    series = found_in(tmp_path).series[0]
    assert series.title == "s" + series.uid.split(".")[-1] and series.place.endswith(f"series {series.uid}")


def test_localizers_are_skipped_with_a_note(tmp_path):
    write_series(tmp_path / "a", SMALL, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    kinds = ["AXIAL", "AXIAL", "AXIAL", "LOCALIZER"]
    write_series(tmp_path / "b", SMALL, change=lambda z, held: setattr(held, "ImageType", ["ORIGINAL", "PRIMARY", kinds[z]]))
    found = found_in(tmp_path)
    assert [(series.folder.name, len(series.images)) for series in found.series] == [("b", 3)]
    assert "series 2: localizer, 4 image(s)" in found.skipped[0] and "1 localizer(s) among its images" in found.skipped[1]


def test_other_modalities_and_objects_without_images(tmp_path):
    write_series(tmp_path / "mr", SMALL, Modality="MR")
    write_series(tmp_path / "plan", SMALL[:1], Modality="RTSTRUCT", Rows=None, Columns=None)
    found = found_in(tmp_path)
    assert not found.series and [series.folder.name for series in found.other] == ["mr"]
    assert [note.rpartition("series 2: ")[2] for note in found.skipped] == ["MR, 4 file(s)", "RTSTRUCT, 1 file(s)"]


def test_files_that_are_none_or_break_off(tmp_path):
    path = write_series(tmp_path, SMALL)[0]
    data = path.read_bytes()
    path.write_bytes(data[:300])
    (tmp_path / "page.dcm").write_text("<html>")
    (tmp_path / "empty.IMA").write_bytes(b"")
    found = found_in(tmp_path)
    assert len(found.series[0].images) == 3
    breaks_off, none = "the DICOM header breaks off: the file is truncated", "not a DICOM file"
    assert {Path(error.where).name: error.what for error in found.broken} == {path.name: breaks_off, "page.dcm": none, "empty.IMA": none}
    assert all(error.found and error.fix and error.exit_code == 3 for error in found.broken)


def test_a_directory_file_is_no_image(tmp_path):
    write_series(tmp_path, SMALL)
    held = pydicom.Dataset()
    held.file_meta = FileMetaDataset()
    held.file_meta.MediaStorageSOPClassUID, held.file_meta.MediaStorageSOPInstanceUID = MediaStorageDirectoryStorage, "1.2.3"
    held.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    held.FileSetID = "SET"
    held.save_as(tmp_path / "DICOMDIR", enforce_file_format=True)
    found = found_in(tmp_path)
    assert len(found.series) == 1 and not found.broken and not found.skipped


def test_values_against_the_standard_are_read_without_a_word(tmp_path, capsys, caplog):
    for path in write_series(tmp_path, SMALL):
        path.write_bytes(path.read_bytes().replace(b"19600101", b"no date!").replace(b"ORIGINAL", b"\xe4\xf6\xfc all\\"))
    found = found_in(tmp_path)
    said = "".join((*capsys.readouterr(), caplog.text, repr(found.skipped), found.series[0].place))
    assert len(found.series) == 1 and not any(text in said for text in (PATIENT, PATIENT_ID, "no date"))
