"""CT series that tests write by pydicom: small phantoms with all that a series needs, and each of its faults on request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

PATIENT, PATIENT_ID = "Secret^Patient", "ID-4711"
SPACING, ORIGIN = (4.0, 2.0, 1.5), (-21.5, 13.25, 107.0)  # z, y, x in mm; x, y, z
IDENTITY = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))


def phantom_hu(shape: Sequence[int] = (10, 24, 28)) -> np.ndarray:
    """(z, y, x) int16: a body of noise with two blobs off its centre, and air around it."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    hu = np.where(x**2 + (y * 1.1) ** 2 < 0.6, 20.0, -1000.0)
    hu[(x - 0.3) ** 2 + (y - 0.2) ** 2 + z**2 < 0.08] = 180
    hu[(x + 0.35) ** 2 + (y + 0.1) ** 2 + (z - 0.4) ** 2 < 0.05] = -120
    return (hu + np.random.default_rng(0).normal(0, 10, hu.shape)).round().astype(np.int16)


def write_series(
    folder: Path, hu: np.ndarray | None = None, *, number: int | None = 2, spacing=SPACING, origin=ORIGIN, axes=IDENTITY, slope: float = 1,
    intercept: float = -1024, change: Callable[[int, Dataset], object] | None = None, stem: str = "image", **attributes: object,
) -> list[Path]:  # fmt: skip
    """Write (z, y, x) HU as one file a slice, in an order that says nothing of their places. Returns the files, by slice.

    axes: directions of a row and of a column; slices follow along their cross product. change(slice, dataset) may alter a slice before it
    is written; what returns False from it is left out. attributes: DICOM keywords of all slices; None leaves an attribute out.
    """
    hu = phantom_hu() if hu is None else hu
    folder.mkdir(parents=True, exist_ok=True)
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    normal, written, order = np.cross(*axes), [], np.random.default_rng(1).permutation(len(hu)).tolist()
    for index, plane in enumerate(hu):
        held = _slice(np.rint((plane - intercept) / slope).astype(np.int16))
        place = np.array(origin) + index * spacing[0] * normal
        values = {"StudyInstanceUID": study, "SeriesInstanceUID": series, "FrameOfReferenceUID": frame, "SeriesNumber": number,
                  "InstanceNumber": order[index] + 1, "ImagePositionPatient": [round(float(v), 6) for v in place],
                  "ImageOrientationPatient": [round(float(v), 8) for v in np.ravel(axes)], "PixelSpacing": [spacing[1], spacing[2]],
                  "RescaleSlope": slope, "RescaleIntercept": intercept}  # fmt: skip
        for keyword, value in (values | attributes).items():
            if value is None:
                held.pop(keyword, None)
            else:
                setattr(held, keyword, value)
        if change is not None and change(index, held) is False:
            continue
        held.file_meta.MediaStorageSOPInstanceUID, held.file_meta.MediaStorageSOPClassUID = held.SOPInstanceUID, held.SOPClassUID
        path = folder / f"{stem}{order[index]:03d}.dcm"
        held.save_as(path, enforce_file_format=True)
        written.append(path)
    return written


def _slice(stored: np.ndarray) -> FileDataset:
    """One CT image of these stored values (row, column)."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    held = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    fixed = {
        "SOPClassUID": CTImageStorage, "SOPInstanceUID": generate_uid(), "Modality": "CT", "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "PatientName": PATIENT, "PatientID": PATIENT_ID, "PatientBirthDate": "19600101", "PatientSex": "O", "StudyID": "1",
        "StudyDate": "20200101", "StudyTime": "120000", "AccessionNumber": "A1",
        "ReferringPhysicianName": "", "Manufacturer": "none", "SliceThickness": 0.1,
        "PatientPosition": "HFS", "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "Rows": stored.shape[0],
        "Columns": stored.shape[1], "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15, "PixelRepresentation": 1,
    }  # fmt: skip
    for keyword, value in fixed.items():
        setattr(held, keyword, value)
    held.PixelData = stored.tobytes()
    return held
