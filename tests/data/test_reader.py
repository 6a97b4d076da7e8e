"""What the reader takes, and everything that it must refuse although SimpleITK reads it."""

from __future__ import annotations

import gzip
import itertools
import struct
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from clnet.data import reader
from clnet.errors import DataError

FLOAT_AT = {"pixdim": 76, "vox_offset": 108, "scl_slope": 112, "scl_inter": 116, "srow_x": 280}


def packed(path, change):
    """Rewrite a gzip file with its unpacked bytes changed in place by `change(bytearray)`."""
    data = bytearray(gzip.decompress(path.read_bytes()))
    change(data)
    path.write_bytes(gzip.compress(bytes(data)))


def put_float(offset, value):
    return lambda data: data.__setitem__(slice(offset, offset + 4), struct.pack("<f", value))


def refused(path) -> DataError:
    with pytest.raises(DataError) as caught:
        reader.read_image(path)
    error = caught.value
    assert str(path) in str(error) and error.fix and error.exit_code == 3
    return error


@pytest.fixture
def image(tmp_path, scans):
    return scans.write(tmp_path / "image_0000.nii.gz", scans.patient()[0])


def test_sound_image_is_read_exactly(image, scans):
    array, geometry = reader.read_image(image)
    assert array.dtype == np.int16 and np.array_equal(array, scans.patient()[0])
    assert geometry.shape_zyx == scans.SHAPE and geometry.spacing_mm == scans.SPACING and geometry.origin_mm_xyz == (10.0, -20.0, 30.0)
    assert geometry.file_orientation == "LPS"


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_truncated_gzip_names_bytes(image, share):
    data = image.read_bytes()
    image.write_bytes(data[: int(len(data) * share)])
    error = refused(image)
    assert "truncated" in error.what and f"of {352 + 24 * 32 * 28 * 2} bytes" in error.found


def test_truncated_plain_nifti(tmp_path, scans):
    path = scans.write(tmp_path / "image.nii", scans.patient()[0])
    path.write_bytes(path.read_bytes()[:20000])
    assert "20000 of 43360 bytes" in refused(path).found


def test_appended_volume_is_noticed(image):
    packed(image, lambda data: data.extend(bytes(24 * 32 * 28 * 2)))
    assert "more than its header says" in refused(image).what


def test_every_flipped_byte_of_the_stream_is_noticed(image):
    data = image.read_bytes()
    for position in np.linspace(12, len(data) - 9, 24).astype(int):
        damaged = bytearray(data)
        damaged[position] ^= 0x10
        image.write_bytes(damaged)
        try:
            same = gzip.decompress(damaged) == gzip.decompress(data)
        except Exception:
            same = False
        if not same:  # deflate has a few bits that mean nothing
            refused(image)


def test_broken_checksum(image):
    data = bytearray(image.read_bytes())
    data[-8] ^= 0xFF
    image.write_bytes(data)
    assert "CRC" in refused(image).what


@pytest.mark.parametrize(("content", "told"), [
    (b"", "empty"), (b"<!DOCTYPE html><html>404</html>", "web page"), (b"version https://git-lfs.github.com/spec/v1\n", "text"),
    (gzip.compress(b"nothing of the kind" * 100), "no NIfTI header"), (gzip.compress(b""), "no NIfTI header"),
])  # fmt: skip
def test_something_else_named_nii_gz(tmp_path, content, told):
    path = tmp_path / "image.nii.gz"
    path.write_bytes(content)
    assert told in refused(path).what


def test_missing_file(tmp_path):
    assert "no such file" in refused(tmp_path / "nowhere.nii.gz").what


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd"])
def test_not_finite(tmp_path, scans, value, ending):
    array = scans.patient()[0].astype(np.float32)
    array[3, 4, 5] = value
    error = refused(scans.write(tmp_path / f"image{ending}", array))
    assert "not finite" in error.what and "1 voxel" in error.found
    assert ("(5, 4, 3)" if "nii" in ending else "(3, 4, 5)") in error.found


def test_several_volumes(tmp_path, scans):
    path = tmp_path / "image.nii.gz"
    array = np.stack([scans.patient()[0]] * 2)
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=False), str(path))
    assert "2 volumes" in refused(path).found


def test_one_volume_in_four_dimensions_is_taken(tmp_path, scans):
    path = tmp_path / "image.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(scans.patient()[0][None], isVector=False), str(path))
    assert np.array_equal(reader.read_image(path)[0], scans.patient()[0])


def test_flat_image(tmp_path, scans):
    path = tmp_path / "image.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(scans.patient()[0][0]), str(path))
    assert "2D" in refused(path).what


def test_colours_as_volumes(tmp_path):
    path = tmp_path / "image.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 5, 6, 3), np.uint8), isVector=True), str(path))
    assert "3 volumes" in refused(path).found


def test_colours_as_a_type(image):
    packed(image, lambda data: data.__setitem__(slice(70, 72), struct.pack("<h", 128)))
    assert "single real numbers" in refused(image).what


@pytest.mark.parametrize("value", [0.0, -1.0, 500.0, np.nan, 0.05])
def test_implausible_spacing(image, value):
    packed(image, put_float(FLOAT_AT["pixdim"] + 4 * 3, value))
    assert "implausible voxel spacing" in str(refused(image))


def test_scan_in_metres_is_read_in_millimetres(image, scans):
    def metres(data):
        for axis, mm in enumerate(scans.SPACING[::-1]):
            put_float(FLOAT_AT["pixdim"] + 4 * (axis + 1), mm / 1000)(data)
        for row in range(3):
            for column in range(4):
                at = FLOAT_AT["srow_x"] + 16 * row + 4 * column
                put_float(at, struct.unpack_from("<f", data, at)[0] / 1000)(data)
        data[123] = 1

    packed(image, metres)
    assert np.allclose(reader.read_image(image)[1].spacing_mm, scans.SPACING, atol=1e-4)


def test_shear_is_named_in_degrees(image):
    packed(image, put_float(FLOAT_AT["srow_x"] + 4, -0.2))
    assert "degrees" in refused(image).found


def test_no_orientation(image):
    packed(image, lambda data: data.__setitem__(slice(252, 256), bytes(4)))
    assert "no orientation" in refused(image).what


def test_slope_and_intercept_are_applied(image, scans):
    packed(image, put_float(FLOAT_AT["scl_slope"], 2.0))
    packed(image, put_float(FLOAT_AT["scl_inter"], -24.0))
    array, _ = reader.read_image(image)
    assert array.dtype == np.int16 and np.array_equal(array, scans.patient()[0] * 2 - 24)


@pytest.mark.parametrize("slope", [0.0, np.nan])
def test_undefined_slope_counts_as_one(image, scans, slope):
    packed(image, put_float(FLOAT_AT["scl_slope"], slope))
    assert np.array_equal(reader.read_image(image)[0], scans.patient()[0])


def test_missing_rescale_intercept(tmp_path, scans):
    error = refused(scans.write(tmp_path / "image.nii.gz", (scans.patient()[0] + 1024).astype(np.int16)))
    assert "rescale intercept" in error.what and "-1000" in error.expected
    padded = scans.patient()[0] + 1024
    padded[:2] = -2000
    assert "rescale intercept" in refused(scans.write(tmp_path / "padded.nii.gz", padded.astype(np.int16))).what


def test_missing_rescale_intercept_of_a_small_head_in_noisy_air(tmp_path, scans):
    rng = np.random.default_rng(0)
    hu = np.where(scans.ellipsoid((30, 40, 40), (1, 1, 1), (0.5, 0.5, 0.5), 9), 40, -1000) + rng.normal(0, 20, (30, 40, 40))
    assert reader.read_image(scans.write(tmp_path / "true.nii.gz", hu.astype(np.int16)))[0].min() < -1000
    assert "rescale intercept" in refused(scans.write(tmp_path / "image.nii.gz", (hu + 1024).astype(np.int16))).what


def test_crop_without_air_is_taken(tmp_path, scans):
    rng = np.random.default_rng(0)
    tissue, bone = rng.normal(40, 30, (20, 20, 20)), np.clip(rng.exponential(400, (20, 20, 20)) + 200, 200, 1500)
    crop = np.where(rng.random((20, 20, 20)) < 0.4, bone, tissue).astype(np.int16)
    assert np.array_equal(reader.read_image(scans.write(tmp_path / "image.nii.gz", crop))[0], crop)


def test_wrapped_unsigned(tmp_path, scans):
    assert "wrapped" in refused(scans.write(tmp_path / "image.nii.gz", scans.patient()[0].astype(np.uint16))).what


def test_normalised_windowed_and_constant(tmp_path, scans):
    hu = scans.patient()[0]
    grey = np.clip((hu + 160) / 400 * 255, 0, 255).astype(np.uint8)
    assert "8 bit" in refused(scans.write(tmp_path / "grey.nii.gz", grey)).what
    assert "window" in refused(scans.write(tmp_path / "window.nii.gz", np.clip(hu, -160, 240).astype(np.int16))).what
    assert "same value" in refused(scans.write(tmp_path / "flat.nii.gz", np.full_like(hu, -1000))).what


def test_metal_flat_air_and_padding_are_ordinary(tmp_path, scans):
    hu = scans.patient()[0]
    hu[hu < -500] = -1000
    hu[10, 16, 14], hu[0] = 3095, -3024
    assert np.array_equal(reader.read_image(scans.write(tmp_path / "image.nii.gz", hu))[0], hu)


def test_all_48_orientations_give_the_same_array(tmp_path, scans):
    hu = scans.patient()[0]
    source = sitk.GetImageFromArray(hu)
    source.SetSpacing(scans.SPACING[::-1])
    codes = {"".join(letters) for order in itertools.permutations(("LR", "PA", "SI")) for letters in itertools.product(*order)}
    assert len(codes) == 48
    for code in codes:
        path = tmp_path / f"{code}.nii"
        sitk.WriteImage(sitk.DICOMOrient(source, code), str(path))
        array, geometry = reader.read_image(path)
        assert np.array_equal(array, hu), code
        assert geometry.spacing_mm == scans.SPACING and geometry.file_orientation == code
        assert np.allclose(geometry.origin_mm_xyz, source.GetOrigin(), atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 8, 8), (7, 7, 7), (3, 1, 5)])
def test_tiny_volumes_keep_their_shape(tmp_path, shape):
    array = np.random.default_rng(0).integers(-1000, 500, shape).astype(np.int16)
    image = sitk.GetImageFromArray(array)
    sitk.WriteImage(image, str(tmp_path / "image.nii.gz"))
    assert np.array_equal(reader.read_image(tmp_path / "image.nii.gz")[0], array)


def test_label_map_becomes_one_layer(raw_case, scans):
    raw, spec = raw_case
    _, geometry = reader.read_image(raw.image)
    layers, table = reader.read_labels(raw, spec, geometry)
    assert layers.dtype == np.uint8 and np.array_equal(layers[0], scans.patient()[1])
    assert table == {"Liver": (0, (1,)), "Spleen": (0, (2,)), "Stomach": (0, (3,))}


def refused_label(raw, spec) -> DataError:
    _, geometry = reader.read_image(raw.image)
    with pytest.raises(DataError) as caught:
        reader.read_labels(raw, spec, geometry)
    return caught.value


@pytest.mark.parametrize(("changes", "told"), [
    ({"spacing": (3.0, 2.0, 2.1)}, "spacing"), ({"origin": (30.0, -20.0, 30.0)}, "origin"),
    ({"direction": (np.cos(0.02), -np.sin(0.02), 0, np.sin(0.02), np.cos(0.02), 0, 0, 0, 1)}, "direction"),
])  # fmt: skip
def test_label_on_another_grid(raw_case, scans, changes, told):
    raw, spec = raw_case
    scans.write(raw.label, scans.patient()[1], **changes)
    error = refused_label(raw, spec)
    assert told in error.what and str(raw.image) in error.expected and str(raw.label) in str(error)


def test_label_of_another_size(raw_case, scans):
    raw, spec = raw_case
    scans.write(raw.label, scans.patient()[1][:-1])
    assert "(23, 32, 28)" in refused_label(raw, spec).found


def test_rounding_of_the_grid_is_accepted(raw_case, scans):
    raw, spec = raw_case
    tilt = 2e-8
    scans.write(raw.label, scans.patient()[1], origin=(10.0003, -20.0, 30.0), direction=(1, tilt, 0, -tilt, 1, 0, 0, 0, 1))
    _, geometry = reader.read_image(raw.image)
    assert reader.read_labels(raw, spec, geometry)[0].any()


def test_label_stored_in_another_order_is_the_same_grid(raw_case, scans):
    raw, spec = raw_case
    sitk.WriteImage(sitk.DICOMOrient(sitk.ReadImage(str(raw.label)), "RAI"), str(raw.label))
    _, geometry = reader.read_image(raw.image)
    assert np.array_equal(reader.read_labels(raw, spec, geometry)[0][0], scans.patient()[1])


def test_unknown_value_tells_count_place_and_nearest(raw_case, scans):
    raw, spec = raw_case
    labels = scans.patient()[1]
    labels[2:4, 5, 6] = 99
    scans.write(raw.label, labels)
    error = refused_label(raw, spec)
    assert "99" in error.what and "2 voxel(s)" in error.found and "2..3, 5..5, 6..6" in error.found
    assert "4 = tube" in error.expected and "belly" in error.fix


def test_several_faults_of_a_label_are_told_at_once(raw_case, scans):
    raw, spec = raw_case
    labels = scans.patient()[1]
    labels[0, 0, 0], labels[0, 0, 1] = 99, 77
    scans.write(raw.label, labels, spacing=(3.0, 2.0, 2.5))
    error = refused_label(raw, spec)
    assert len(error.faults) == 3 and all(text in str(error) for text in ("99", "77", "spacing"))


def test_dropped_value_is_known(raw_case, scans):
    raw, spec = raw_case
    labels = scans.patient()[1]
    labels[0, 0, 0] = 4
    scans.write(raw.label, labels)
    _, geometry = reader.read_image(raw.image)
    assert reader.read_labels(raw, spec, geometry)[0][0, 0, 0, 0] == 4


def test_float_labels_are_rounded_or_refused(raw_case, scans):
    raw, spec = raw_case
    labels = scans.patient()[1].astype(np.float32)
    scans.write(raw.label, np.where(labels > 0, labels - 1e-4, labels))
    _, geometry = reader.read_image(raw.image)
    assert np.array_equal(reader.read_labels(raw, spec, geometry)[0][0], scans.patient()[1])
    labels[0, 0, 0] = 0.5
    scans.write(raw.label, labels)
    assert "fractions" in refused_label(raw, spec).what


def test_more_than_255_values(raw_case, scans, make_spec, tmp_path):
    raw, _ = raw_case
    labels = scans.patient()[1].astype(np.uint16)
    labels[labels == 2] = 300
    scans.write(raw.label, labels)
    layers, table = reader.read_labels(raw, make_spec(tmp_path / "raw", labels={"Liver": 1, "Spleen": 300, "Stomach": 3}), None)
    assert layers.dtype == np.uint16 and np.array_equal(layers[0], labels) and table["Spleen"] == (0, (300,))


def test_masks_share_layers_unless_they_overlap(mask_case):
    raw, spec, masks = mask_case
    _, geometry = reader.read_image(raw.image)
    layers, table = reader.read_labels(raw, spec, geometry)
    assert len(layers) == 2
    for label in spec.labels:
        layer, (value,) = table[label.name]
        assert np.array_equal(layers[layer] == value, masks[label.files[0]])


def test_missing_and_broken_masks_are_told_together(mask_case, scans):
    raw, spec, _ = mask_case
    (raw.label / "liver.nii.gz").unlink()
    (raw.label / "spleen.nii.gz").write_bytes(b"")
    scans.write(raw.label / "stomach.nii.gz", scans.patient()[1])
    error = refused_label(raw, spec)
    assert len(error.faults) == 3 and "not a mask" in str(error)
    partly = replace(raw, annotated=frozenset({"Spleen", "Stomach"}))
    assert len(refused_label(partly, spec).faults) == 2
