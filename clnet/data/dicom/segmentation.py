"""A label map as a DICOM Segmentation object beside the series that it was made of, by highdicom (`pip install .[dicom]`)."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np
import pydicom
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from clnet.atomic import replace_atomically
from clnet.data.dicom.header import SliceHeader, quiet
from clnet.errors import DataError, HostError, UsageError

_PROGRAM = "clnet-bench"
_SERIES_NUMBER = 9001  # beyond what scanners count to
_KINDS = {"Lesion": (codes.SCT.MorphologicallyAbnormalStructure, codes.SCT.Lesion), "Bone": (codes.SCT.AnatomicalStructure, codes.SCT.Bone),
          "LNS": (codes.SCT.AnatomicalStructure, codes.SCT.LymphNode)}  # of the registry's groups
_DEMANDED = ("StudyInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID", "SOPClassUID")
_ANY_KIND = (codes.SCT.AnatomicalStructure, codes.SCT.Organ)


def require_highdicom() -> None:
    """Raise UsageError where the library is not installed."""
    if importlib.util.find_spec("highdicom") is None:
        raise UsageError("DICOM SEG needs the library highdicom", found="it is not installed", where="predict.seg=true",
                         fix="pip install '.[dicom]', or leave predict.seg=true out")  # fmt: skip


def write_segmentation(path: Path, values: np.ndarray, names: Mapping[int, str], groups: Mapping[int, str],
                       images: Sequence[SliceHeader], note: str) -> None:  # fmt: skip
    """One binary segment for each value that occurs, numbered from 1 in their order, labelled by its name.

    values: (slice, row, column) label map on the grid of `images`, one a slice in that order. groups: value -> the registry's group,
    which decides between organ, bone, lymph node and lesion. note: what it was made of; the same note gives the same UIDs.
    The object belongs to the patient and study of the images, whose identifying attributes it repeats, as DICOM demands.
    Raises DataError where the images lack what the object must repeat, HostError for a full disk. Nothing is written without a value.
    """
    import highdicom

    present = np.flatnonzero(np.bincount(values.ravel(), minlength=1)).tolist()
    present = [value for value in present if value]
    if not present:
        path.unlink(missing_ok=True)
        return
    numbers = np.zeros(max(present) + 1, values.dtype)
    numbers[present] = np.arange(1, len(present) + 1)
    algorithm = highdicom.AlgorithmIdentificationSequence(_PROGRAM, codes.cid7162.ArtificialIntelligence, _version())
    descriptions = []
    for number, value in enumerate(present, start=1):
        category, kind = _KINDS.get(groups.get(value), _ANY_KIND)
        descriptions.append(highdicom.seg.SegmentDescription(number, names[value][:64], category, kind, "AUTOMATIC", algorithm))
    with quiet():
        sources = [pydicom.dcmread(image.path, stop_before_pixels=True) for image in images]
        missing = [keyword for keyword in _DEMANDED if any(not held.get(keyword) for held in sources)]
        if missing:
            raise _impossible(images, f"{', '.join(missing)} missing")
        try:
            made = highdicom.seg.Segmentation(
                sources, numbers[values], "BINARY", descriptions, series_instance_uid=_uid(note, "series"), series_number=_SERIES_NUMBER,
                sop_instance_uid=instance_of(note), instance_number=1, manufacturer=_PROGRAM, manufacturer_model_name=_PROGRAM,
                software_versions=_version(), device_serial_number="none", content_label="SEGMENTATION",
                content_description="predicted, not checked by anyone",
            )  # fmt: skip
        except (AttributeError, ValueError, TypeError, KeyError) as error:
            raise _impossible(images, type(error).__name__) from None  # its text may repeat what names a patient
        with replace_atomically(path, lambda temporary: _verify(temporary, path, note), len(made.PixelData)) as temporary:
            made.save_as(temporary, enforce_file_format=True)


def is_segmentation_of(path: Path, note: str) -> bool:
    """Whether a file is what `write_segmentation` made with this note."""
    if not path.is_file():
        return False
    try:
        with quiet():
            held = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID"])
        return held.get("SOPInstanceUID") == instance_of(note)
    except (pydicom.errors.InvalidDicomError, OSError, EOFError, ValueError):
        return False


def instance_of(note: str) -> str:
    """The SOP instance UID of the object made with a note."""
    return _uid(note, "instance")


def _impossible(images: Sequence[SliceHeader], reason: str) -> DataError:
    return DataError("no DICOM SEG can be made for this series", where=images[0].path.parent, found=reason,
                     expected="attributes that every CT image has", fix="export the original series, or leave predict.seg=true out")


def _verify(temporary: Path, path: Path, note: str) -> None:
    if not is_segmentation_of(temporary, note):
        raise HostError("what was written is not what was meant", where=path, fix="check the disk, then run the same command again")


def _uid(*sources: str) -> str:
    return str(generate_uid(entropy_srcs=[_PROGRAM, *sources]))


def _version() -> str:
    try:
        return metadata.version(_PROGRAM)
    except metadata.PackageNotFoundError:  # from a folder that was not installed
        return "unknown"
