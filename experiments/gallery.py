"""Views of some test cases for the run folder, `cases/DATASET__CASE.npz`: scan, references and final predictions, coarse enough to draw.

The arrays of a file are described in `analysis/cases.py`, which reads it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean

import numpy as np

from clnet.atomic import explained, replace_folder
from clnet.data.reader import read_image
from clnet.data.store import PreparedCase
from clnet.types import Label, Part, Snapshot
from clnet.units import rank
from experiments.evaluate import TestSet

LabelMaps = Callable[[Snapshot, TestSet, PreparedCase], Iterable[tuple[Part, Sequence[Label], np.ndarray]]]


def write(folder: Path, rows: Sequence[Mapping], snapshot: Snapshot, tests: Mapping[str, TestSet], label_maps: LabelMaps, *,
          cases: int, longest: int) -> None:  # fmt: skip
    """Replace `folder`/cases by views of the middle `cases` of each dataset seen; the leading process writes, nothing where `cases` is 0.

    rows: of the final stage after the last step; label_maps: of an evaluation of that stage, which has scored the snapshot; longest:
    voxels that an axis of a view has at most. Raises HostError for a full disk.
    """
    if rank() > 0 or not cases:
        return
    draft = folder / ".cases.partial"
    with explained(folder):
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        try:
            for dataset in snapshot.seen:
                own, test = [row for row in rows if row["dataset"] == dataset], tests[dataset]
                for name in middle(own, cases):
                    case = next(case for case in test.cases if case.case == name)
                    scores = {row["structure"]: row["dsc"] for row in own if row["case"] == name}
                    arrays = view(case, image_of(test, name), scores, label_maps(snapshot, test, case), longest)
                    np.savez_compressed(draft / f"{dataset}__{name}.npz", **arrays)
            replace_folder(draft, folder / "cases")
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def middle(rows: Iterable[Mapping], count: int) -> list[str]:
    """The `count` cases in the middle by mean DSC over structures, ties by name; one is the median, of an even number the lower of two.

    Cases without any DSC are left out.
    """
    scores: dict[str, list[float]] = {}
    for row in rows:
        if row["dsc"] is not None:
            scores.setdefault(row["case"], []).append(row["dsc"])
    ranked = sorted(scores, key=lambda case: (fmean(scores[case]), case))
    first = max(len(ranked) - count, 0) // 2
    return ranked[first : first + count]


def image_of(test: TestSet, case: str) -> np.ndarray:
    """(z, y, x) HU of a test case as its file has them, in LPS."""
    return read_image(next(raw.image for raw in test.spec.cases("test") if raw.case == case))[0]


def view(
    case: PreparedCase, image_hu: np.ndarray, dsc: Mapping[str, float | None],
    label_maps: Iterable[tuple[Part, Sequence[Label], np.ndarray]], longest: int,
) -> dict[str, np.ndarray]:  # fmt: skip
    """The arrays of one file. image_hu: (z, y, x) on the native grid, as the label maps are; dsc: structure -> its score, if it is defined.

    Every axis keeps each n-th voxel, with the least n that leaves it `longest` voxels or fewer.
    """
    strides = [-(-size // longest) for size in image_hu.shape]
    grid = tuple(slice(None, None, stride) for stride in strides)
    names, reference, predicted = [], [], []
    for part, labels, label_map in label_maps:
        for label in labels:
            names.append(label.name)
            predicted.append(np.packbits(part.mask(label_map[grid], label.structures)))
            known = label.name in case.annotated
            reference.append(np.packbits(case.reference_mask(label.name)[grid]) if known else np.zeros_like(predicted[-1]))
    limits = np.iinfo(np.int16)
    return {
        "image_hu": np.clip(np.rint(image_hu[grid]), limits.min, limits.max).astype(np.int16),
        "spacing_mm": np.multiply(case.geometry.spacing_mm, strides).astype(np.float64),
        "names": np.array(names), "annotated": np.array([name in case.annotated for name in names]),
        "reference": np.stack(reference), "predicted": np.stack(predicted),
        "dsc": np.array([dsc.get(name) for name in names], np.float64),
    }  # fmt: skip
