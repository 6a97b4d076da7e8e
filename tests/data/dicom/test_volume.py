"""A series becomes the volume that was written into it, wherever its slices lie, and nothing that is not whole gets through."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom import uid

from clnet.data.dicom.series import find_series
from clnet.data.dicom.volume import content_hash, read_series, write_volume
from clnet.data.reader import read_image
from clnet.errors import DataError
from tests.dicom_phantom import ORIGIN, PATIENT, SPACING, phantom_hu, write_series

OBLIQUE = ((np.cos(0.2), np.sin(0.2), 0.0), (-np.sin(0.2) * np.cos(0.3), np.cos(0.2) * np.cos(0.3), np.sin(0.3)))
AXES = {"lps": ((1, 0, 0), (0, 1, 0)), "coronal": ((1, 0, 0), (0, 0, -1)), "prone": ((-1, 0, 0), (0, -1, 0)), "oblique": OBLIQUE}


def only(folder: Path):
    found = find_series(folder.iterdir())
    assert len(found.series) == 1 and not found.broken
    return found.series[0]


def read(folder: Path) -> sitk.Image:
    return read_series(only(folder))[0]


def refused(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        read(folder)
    assert caught.value.exit_code == 3 and str(folder) in str(caught.value) and PATIENT not in str(caught.value)
    for error in getattr(caught.value, "faults", [caught.value]):
        assert error.where and error.found is not None and error.fix
    return str(caught.value)


@pytest.mark.parametrize("axes", AXES.values(), ids=AXES)
def test_values_and_grid_come_back(axes, tmp_path):
    write_series(tmp_path, axes=axes)
    volume = read(tmp_path)
    assert np.array_equal(sitk.GetArrayFromImage(volume), phantom_hu()) and volume.GetPixelID() == sitk.sitkInt16
    assert np.allclose(volume.GetSpacing(), SPACING[::-1]) and np.allclose(volume.GetOrigin(), ORIGIN)
    assert np.allclose(np.reshape(volume.GetDirection(), (3, 3)).T, [*axes, np.cross(*axes)], atol=1e-7)


def test_nifti_of_it_is_what_the_reader_gives_of_any_nifti(tmp_path):
    write_series(tmp_path / "in", axes=AXES["coronal"])
    write_volume(read(tmp_path / "in"), tmp_path / "a.nii")
    direct = sitk.GetImageFromArray(phantom_hu())
    direct.SetSpacing(SPACING[::-1])
    direct.SetOrigin(ORIGIN)
    direct.SetDirection(np.transpose([(1, 0, 0), (0, 0, -1), (0, 1, 0)]).astype(float).ravel().tolist())
    sitk.WriteImage(direct, str(tmp_path / "b.nii.gz"))
    (ours, geometry), (theirs, expected) = (read_image(tmp_path / name) for name in ("a.nii", "b.nii.gz"))
    assert np.array_equal(ours, theirs) and geometry == expected


def test_spacing_comes_from_positions_and_the_thickness_means_nothing(tmp_path):
    write_series(tmp_path, SliceThickness=99)
    assert read(tmp_path).GetSpacing()[2] == pytest.approx(4.0)


def test_positions_of_few_digits_are_no_uneven_spacing(tmp_path):
    hu = np.concatenate([phantom_hu()] * 6)
    write_series(tmp_path, hu, spacing=(0.625, 2, 2), change=lambda z, held: setattr(
        held, "ImagePositionPatient", [*ORIGIN[:2], round(ORIGIN[2] + 0.625 * z, 1)]))  # fmt: skip
    assert read(tmp_path).GetSpacing()[2] == pytest.approx(0.625, abs=2e-3)


def test_each_slice_has_its_own_rescale_values(tmp_path):
    hu = phantom_hu()

    def change(z, held):
        held.RescaleSlope, held.RescaleIntercept = 0.5 if z % 2 else 2, -1000.0
        stored = (hu[z].astype(float) + 1000) / held.RescaleSlope
        held.PixelData = np.rint(stored).astype(np.int16).tobytes()

    write_series(tmp_path, hu, change=change)
    found = sitk.GetArrayFromImage(read(tmp_path))
    assert np.array_equal(found[1::2], hu[1::2]) and np.abs(found[::2] - hu[::2]).max() == 1


def test_fractions_of_hu_are_kept(tmp_path):
    write_series(tmp_path, slope=0.25, intercept=-1024.1)
    volume = read(tmp_path)
    assert volume.GetPixelID() == sitk.sitkFloat32 and np.abs(sitk.GetArrayFromImage(volume) - phantom_hu()).max() <= 0.125


def compressed_by_pydicom(path: Path, syntax: uid.UID) -> None:
    held = pydicom.dcmread(path)
    held.compress(syntax, generate_instance_uid=False)
    held.save_as(path)


def compressed_by_gdcm(path: Path, compressor: str) -> None:
    """SimpleITK forgets what it does not know, so only the pixels are taken from what it writes."""
    held, temporary = pydicom.dcmread(path), path.with_suffix(".tmp.dcm")
    reader, writer = sitk.ImageFileReader(), sitk.ImageFileWriter()
    reader.SetFileName(str(path))
    image = sitk.Cast(reader.Execute(), sitk.sitkInt16)
    for key, value in {"0008|0060": "CT", "0028|0100": "16", "0028|0101": "16", "0028|0102": "15", "0028|0103": "1",
                       "0028|1052": str(held.RescaleIntercept), "0028|1053": str(held.RescaleSlope)}.items():  # fmt: skip
        image.SetMetaData(key, value)
    writer.SetFileName(str(temporary))
    writer.SetUseCompression(True)
    writer.SetCompressor(compressor)
    writer.Execute(image)
    made = pydicom.dcmread(temporary)
    held.PixelData, held.file_meta.TransferSyntaxUID = made.PixelData, made.file_meta.TransferSyntaxUID
    for keyword in ("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "RescaleSlope", "RescaleIntercept"):
        setattr(held, keyword, made[keyword].value)
    held["PixelData"].is_undefined_length = True
    temporary.unlink()
    held.save_as(path)


@pytest.mark.parametrize("name, compress", [
    ("RLELossless", lambda path: compressed_by_pydicom(path, uid.RLELossless)),
    ("JPEGLSLossless", lambda path: compressed_by_pydicom(path, uid.JPEGLSLossless)),
    ("JPEGLosslessSV1", lambda path: compressed_by_gdcm(path, "JPEG")),
    ("JPEG2000Lossless", lambda path: compressed_by_gdcm(path, "JPEG2000")),
])  # fmt: skip
def test_compressed_images_are_read_and_told_when_truncated(name, compress, tmp_path):
    paths = write_series(tmp_path)
    for path in paths:
        compress(path)
    assert pydicom.dcmread(paths[0]).file_meta.TransferSyntaxUID == getattr(uid, name)
    assert np.array_equal(sitk.GetArrayFromImage(read(tmp_path)), phantom_hu())
    paths[3].write_bytes(paths[3].read_bytes()[:-40])
    assert "the file is truncated" in (message := refused(tmp_path)) and paths[3].name in message


def test_a_slice_that_is_there_twice_is_taken_once(tmp_path):
    paths = write_series(tmp_path)
    (tmp_path / "copy.dcm").write_bytes(paths[2].read_bytes())
    volume, images = read_series(only(tmp_path))
    assert np.array_equal(sitk.GetArrayFromImage(volume), phantom_hu()) and len(images) == 10
    assert [image.path for image in images if image.path.name != "copy.dcm"] == paths[:2] + paths[3:]


def without(*gone):
    return lambda z, held: z not in gone


def set_in(slices, **attributes):
    def change(z, held):
        for keyword, value in attributes.items() if z in slices else ():
            held.pop(keyword, None) if value is None else setattr(held, keyword, value)

    return change


def moved(shift):
    return lambda z, held: setattr(held, "ImagePositionPatient", [a + b for a, b in zip(held.ImagePositionPatient, shift(z), strict=True)])


FAULTS = {
    "gap": ({"change": without(4, 5)}, ["2 slice(s) are missing", "gap", "12 mm between z = 119 and 131 mm", "4 mm from slice to slice"]),
    "one missing": ({"change": without(1)}, ["1 slice(s) are missing", "8 mm between z = 107 and 115"]),
    "uneven": ({"change": moved(lambda z: (0, 0, -z % 3))}, ["unevenly spaced", "time(s)"]),
    "two spacings": ({"change": without(5, 7, 9)}, ["unevenly spaced", "4 mm 4 time(s); 8 mm 2 time(s)"]),
    "tilt": ({"change": moved(lambda z: (0, 0.7 * z, 0))}, ["gantry tilt", "9.93 degrees"]),
    "shifted": ({"change": moved(lambda z: (5.0 * (z == 4), 0, 0))}, ["shifted against each other", "5.00 mm sideways"]),
    "no slope": ({"RescaleSlope": None}, ["no rescale slope", "10 of 10 image(s)", "slope missing, intercept -1024"]),
    "no intercept": ({"change": set_in([3], RescaleIntercept=None)}, ["no rescale slope or intercept", "1 of 10", "image00"]),
    "slope 0": ({"change": set_in(range(10), RescaleSlope=0)}, ["the rescale slope"]),
    "raw values": ({"change": set_in(range(10), RescaleIntercept=0)}, ["the rescale intercept was not applied"]),
    "orientation": ({"change": set_in([2, 3], ImageOrientationPatient=[1, 0, 0, 0, 0.8, 0.6])},
                    ["differ in their orientation", "8 image(s)"]),
    "spacing": ({"change": set_in([2], PixelSpacing=[3.0, 1.5])},
                ["differ in their pixel spacing", "9 image(s) (2.0, 1.5); 1 image(s) (3.0"]),
    "tiny spacing": ({"PixelSpacing": [0.01, 0.01]}, ["implausible pixel spacing"]),
    "no spacing": ({"PixelSpacing": None}, ["no pixel spacing"]),
    "no position": ({"ImagePositionPatient": None}, ["no position in space"]),
    "skewed": ({"ImageOrientationPatient": [1, 0, 0, 0.5, 0.8, 0]}, ["not perpendicular"]),
    "frames": ({"NumberOfFrames": 5}, ["enhanced CT", "5 frames"]),
    "colour": ({"PhotometricInterpretation": "RGB"}, ["not a grey CT image"]),
    "same place": ({"change": moved(lambda z: (0, 0, -4.0 * (z == 9)))}, ["two different images at one place", "z = 139 mm"]),
    "one slice wide": ({"spacing": (30.0, 2, 2)}, ["implausible distance between slices", "30 mm"]),
}  # fmt: skip


@pytest.mark.parametrize("how, words", FAULTS.values(), ids=FAULTS)
def test_what_cannot_be_one_sound_volume_is_refused(how, words, tmp_path):
    write_series(tmp_path, **how)
    message = refused(tmp_path)
    assert [word for word in words if word not in message] == []


def test_another_size_is_refused(tmp_path):
    first = write_series(tmp_path)
    held = pydicom.dcmread(first[0])
    held.Rows, held.PixelData = 12, held.PixelData[: len(held.PixelData) // 2]
    held.save_as(first[0])
    assert "9 image(s) (24, 28); 1 image(s) (12, 28)" in refused(tmp_path)


def test_truncated_files_are_named(tmp_path):
    paths = write_series(tmp_path)
    paths[4].write_bytes(paths[4].read_bytes()[:-100])
    message = refused(tmp_path)
    assert "the file is truncated" in message and paths[4].name in message and "1244 bytes of pixels" in message and "1344 bytes" in message


def test_a_syntax_without_a_decoder_is_named(tmp_path):
    for path in write_series(tmp_path):
        held = pydicom.dcmread(path)
        held.file_meta.TransferSyntaxUID = uid.HTJ2KLossless
        held.PixelData = pydicom.encaps.encapsulate([b"\0\0"])
        held["PixelData"].is_undefined_length = True
        held.save_as(path)
    message = refused(tmp_path)
    assert "compressed in a way that cannot be decoded" in message and "High-Throughput JPEG 2000" in message


def test_all_faults_are_told_at_once(tmp_path):
    write_series(tmp_path, RescaleSlope=None, PixelSpacing=None)
    message = refused(tmp_path)
    assert message.startswith("2 faults") and "no pixel spacing" in message and "no rescale slope" in message


def test_the_content_hash_is_of_the_bytes_alone(tmp_path):
    paths = write_series(tmp_path)
    before = content_hash(only(tmp_path))
    paths[0].rename(tmp_path / "zzz.dcm")
    assert content_hash(only(tmp_path)) == before
    held = pydicom.dcmread(paths[1])
    held.PixelData = held.PixelData[:-2] + b"\1\1"
    held.save_as(paths[1])
    assert content_hash(only(tmp_path)) != before
