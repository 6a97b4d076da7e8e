"""Fixtures and rules for all tests: repository paths, real scans that are used wherever they are, small synthetic CTs on disk."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import SimpleITK as sitk

from clnet.data.dataset import dataset_spec
from clnet.data.layout import FilePerStructure, NnunetRaw
from clnet.types import RawCase

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("CLNET_SHARED", REPOSITORY.parent / "shared"))
SHAPE, SPACING = (24, 32, 28), (3.0, 2.0, 2.0)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The repository's root."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real scans beside the repository; only for tests marked `shared`."""
    return SHARED


def pytest_configure() -> None:
    """A shell starts what it runs in the background with SIGINT ignored, which every process of a test would inherit."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if SHARED.is_dir():
        return
    for item in items:
        if item.get_closest_marker("shared"):
            item.add_marker(pytest.mark.skip(reason=f"no folder {SHARED}"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """A test that needs the real scans must not be skipped for another reason where they are."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and SHARED.is_dir() and item.get_closest_marker("shared"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: skipped although {SHARED} is there: {report.longrepr}"
    return report



def ellipsoid(shape, spacing, centre_share, radius_mm) -> np.ndarray:
    grid = np.meshgrid(*(np.arange(n) * mm for n, mm in zip(shape, spacing)), indexing="ij")
    centre = [share * (n - 1) * mm for share, n, mm in zip(centre_share, shape, spacing)]
    return sum(((axis - c) / r) ** 2 for axis, c, r in zip(grid, centre, np.broadcast_to(radius_mm, 3))) <= 1


def patient(seed: int = 0, shape=SHAPE, spacing=SPACING) -> tuple[np.ndarray, np.ndarray]:
    """(HU int16, label map uint8) (z, y, x): an ellipsoid body with a liver (1), a spleen (2) and a stomach (3) in it."""
    rng = np.random.default_rng(seed)
    extent = np.array(shape) * spacing
    image = np.where(ellipsoid(shape, spacing, (0.5, 0.5, 0.5), (extent[0], 0.42 * extent[1], 0.42 * extent[2])), 0.0, -1000.0)
    labels = np.zeros(shape, np.uint8)
    for value, centre, hu in ((1, (0.5, 0.5, 0.35), 60), (2, (0.5, 0.6, 0.65), 50), (3, (0.6, 0.35, 0.6), 30)):
        organ = ellipsoid(shape, spacing, centre, 0.11 * extent.min() + 2)
        image[organ], labels[organ] = hu, value
    return (image + rng.normal(0, 12, shape)).round().astype(np.int16), labels


def write(path: Path, array: np.ndarray, spacing=SPACING, origin=(10.0, -20.0, 30.0), direction=None) -> Path:
    """Write (z, y, x) with spacing (z, y, x)."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(tuple(float(v) for v in spacing[::-1]))
    image.SetOrigin(origin)
    if direction is not None:
        image.SetDirection(direction)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))
    return path


@pytest.fixture
def scans() -> SimpleNamespace:
    return SimpleNamespace(SHAPE=SHAPE, SPACING=SPACING, ellipsoid=ellipsoid, patient=patient, write=write)


@pytest.fixture
def make_spec():
    """nnU-Net raw dataset with three organs; values 4 (dropped) is known too."""

    def make(root: Path, name: str = "belly", **changes):
        labels = {"Liver": 1, "Spleen": 2, "Stomach": 3}
        return dataset_spec(
            **{"name": name, "root": root, "layout": NnunetRaw(), "labels": labels, "dropped": {"tube": 4}, "body_group": "abdomen"}
            | changes
        )

    return make


@pytest.fixture
def make_dataset(make_spec):
    """Writes cases: split -> number of patients; returns the spec."""

    def make(root: Path, train: int = 2, test: int = 1, seed: int = 0, **changes):
        for split, count in (("Tr", train), ("Ts", test)):
            for folder in ("images", "labels"):
                (root / f"{folder}{split}").mkdir(parents=True, exist_ok=True)
            for index in range(count):
                image, labels = patient(seed + index + (100 if split == "Ts" else 0))
                write(root / f"images{split}/{split}{index}_0000.nii.gz", image)
                write(root / f"labels{split}/{split}{index}.nii.gz", labels)
        return make_spec(root, **changes)

    return make


@pytest.fixture
def raw_case(tmp_path, make_spec):
    """One patient on disk as (RawCase, spec)."""
    image, labels = patient()
    write(tmp_path / "raw/image.nii.gz", image)
    write(tmp_path / "raw/label.nii.gz", labels)
    spec = make_spec(tmp_path / "raw")
    return RawCase(
        "belly", "one", tmp_path / "raw/image.nii.gz", tmp_path / "raw/label.nii.gz", frozenset({"Liver", "Spleen", "Stomach"})
    ), spec


@pytest.fixture
def mask_case(tmp_path):
    """One patient with a file per structure, two of which overlap, as (RawCase, spec, masks)."""
    image, labels = patient()
    folder = tmp_path / "s1"
    write(folder / "ct.nii.gz", image)
    masks = {"liver": labels == 1, "spleen": labels == 2, "stomach": ellipsoid(SHAPE, SPACING, (0.5, 0.5, 0.5), 14.0)}
    for name, mask in masks.items():
        write(folder / "segmentations" / f"{name}.nii.gz", mask.astype(np.uint8))
    labels = {"Liver": {"files": "liver"}, "Spleen": {"files": "spleen"}, "Stomach": {"files": "stomach"}}
    spec = dataset_spec(name="files", root=tmp_path, layout=FilePerStructure(), labels=labels, body_group="abdomen")
    return RawCase("files", "s1", folder / "ct.nii.gz", folder / "segmentations", frozenset(labels)), spec, masks
