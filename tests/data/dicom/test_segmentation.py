"""A DICOM SEG holds the label map, voxel for voxel, at the places of its series, under the names of the structures."""

from __future__ import annotations

import sys

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from clnet.data.dicom.header import quiet
from clnet.data.dicom.segmentation import is_segmentation_of, require_highdicom, write_segmentation
from clnet.data.dicom.series import find_series
from clnet.data.dicom.volume import read_series
from clnet.errors import DataError, UsageError
from tests.dicom_phantom import PATIENT_ID, phantom_hu, write_series

AXES = ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0))  # sagittal
NAMES, GROUPS = {1: "Liver", 2: "Bone_Rib4_R", 7: "Kidney_Lesion"}, {1: "Abdomen", 2: "Bone", 7: "Lesion"}


def labels_and_series(folder, **how):
    write_series(folder, phantom_hu((5, 12, 16)), axes=AXES, **how)
    series = find_series(folder.iterdir()).series[0]
    volume, images = read_series(series)
    values = np.zeros(volume.GetSize()[::-1], np.uint8)
    values[1:4, 2:6, 3:9], values[2, 7:9, 10:15], values[4, 3, 2] = 1, 7, 7
    return values, volume, images, series


def test_voxels_places_and_names_come_back(tmp_path):
    values, volume, images, series = labels_and_series(tmp_path / "in")
    write_segmentation(tmp_path / "seg.dcm", values, NAMES, GROUPS, images, "note 1")
    with quiet():
        seg = highdicom.seg.segread(tmp_path / "seg.dcm")
    assert (seg.Modality, seg.PatientID) == ("SEG", PATIENT_ID)
    assert seg.StudyInstanceUID == pydicom.dcmread(images[0].path).StudyInstanceUID
    segments = [seg.get_segment_description(number) for number in seg.segment_numbers]
    assert [(one.segment_number, one.segment_label, one.segmented_property_type.meaning) for one in segments] == [
        (1, "Liver", "Organ"), (2, "Kidney_Lesion", "Lesion")]  # fmt: skip
    found = seg.get_pixels_by_source_instance(
        [image.instance for image in images], combine_segments=True, assert_missing_frames_are_empty=True
    )
    assert np.array_equal(found, np.where(values == 7, 2, values))
    for index, frame in enumerate(seg.PerFrameFunctionalGroupsSequence):  # each frame lies where its slice does
        place = frame.PlanePositionSequence[0].ImagePositionPatient
        z = round(volume.TransformPhysicalPointToContinuousIndex([float(v) for v in place])[2])
        number = frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        assert np.array_equal(np.atleast_3d(seg.pixel_array.reshape(-1, 12, 16))[index] > 0, values[z] == {1: 1, 2: 7}[number])
    assert sitk.GetArrayFromImage(volume).shape == values.shape


def test_the_note_decides_the_instance(tmp_path):
    values, _, images, _ = labels_and_series(tmp_path / "in")
    path = tmp_path / "seg.dcm"
    assert not is_segmentation_of(path, "a")
    write_segmentation(path, values, NAMES, GROUPS, images, "a")
    assert is_segmentation_of(path, "a") and not is_segmentation_of(path, "b")
    path.write_bytes(b"damaged")
    assert not is_segmentation_of(path, "a")


def test_what_dicom_demands_of_the_images_is_asked_for(tmp_path):
    values, _, images, _ = labels_and_series(tmp_path / "in", FrameOfReferenceUID=None)
    with pytest.raises(DataError, match="FrameOfReferenceUID"):
        write_segmentation(tmp_path / "seg.dcm", values, NAMES, GROUPS, images, "a")
    assert not (tmp_path / "seg.dcm").exists()


def test_without_the_library_its_name_is_told(monkeypatch):
    require_highdicom()
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.delitem(sys.modules, "highdicom")
    monkeypatch.setattr(sys, "path_importer_cache", {})
    with pytest.raises(UsageError, match="highdicom") as caught:
        require_highdicom()
    assert "pip install" in str(caught.value) and caught.value.exit_code == 2
