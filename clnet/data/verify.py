"""Every problem of every file of several datasets, found in one pass and told together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from clnet.data import leak, pool, reader
from clnet.data.dataset import DatasetSpec
from clnet.data.layout import SPLITS
from clnet.data.store import select
from clnet.errors import DataError
from clnet.types import RawCase


@dataclass(frozen=True)
class Problem:
    """One fault of one file; `case` is empty where a whole dataset is meant."""

    dataset: str
    case: str
    file: str
    what: str
    found: str = ""
    expected: str = ""
    fix: str = ""


@dataclass(frozen=True)
class _Finding:
    problems: tuple[Problem, ...]
    voxel_hash: str | None = None
    sketch: frozenset[int] = frozenset()
    shown: frozenset[str] = frozenset()  # labels with at least one voxel


def verify(
    specs: Sequence[DatasetSpec], *, workers: int = 0, splits: Sequence[str] = SPLITS, progress: Callable[[int, int], None] | None = None
) -> list[Problem]:
    """All problems of all images and labels of all datasets, and scans that are both trained and tested on.

    workers: processes; 0 works in this one. progress(done, total) is called after each case.
    Raises UsageError for a dataset that is not there at all, HostError when a case kills its process twice.
    """
    problems: list[Problem] = []
    jobs: list[tuple[DatasetSpec, str, RawCase]] = []
    for spec in specs:
        for split in splits:
            cases, unpaired = _cases(spec, split)
            problems += unpaired
            jobs += [(spec, split, raw) for raw in cases]
    findings: dict[int, _Finding] = {}
    places = {(spec.name, split, raw.case): index for index, (spec, split, raw) in enumerate(jobs)}
    for (spec, split, raw), finding in pool.each(_inspect, jobs, workers, lambda job: f"{job[2].dataset}/{job[2].case} ({job[2].image})"):
        findings[places[spec.name, split, raw.case]] = finding
        if progress:
            progress(len(findings), len(jobs))
    for index in range(len(jobs)):
        problems += findings[index].problems
    problems += _absent_labels(specs, jobs, findings)
    problems += _leaks(jobs, findings)
    return problems


def format_problems(problems: Sequence[Problem]) -> str:
    """A listing for the terminal: a head line, then per file its faults and what to do."""
    if not problems:
        return "no problems found"
    files = list(dict.fromkeys((problem.dataset, problem.case, problem.file) for problem in problems))
    lines = [f"{len(problems)} problem(s) in {len(files)} file(s)"]
    for dataset, case, file in files:
        lines += ["", f"{dataset}/{case}: {file}" if case else f"{dataset}: {file}"]
        for problem in problems:
            if (problem.dataset, problem.case, problem.file) == (dataset, case, file):
                details = "; ".join(f"{name} {text}" for name, text in (("found", problem.found), ("expected", problem.expected)) if text)
                lines.append(f"  {problem.what}" + (f": {details}" if details else ""))
                if problem.fix:
                    lines.append(f"    fix: {problem.fix}")
    return "\n".join(lines)


def _cases(spec: DatasetSpec, split: str) -> tuple[list[RawCase], list[Problem]]:
    """The complete cases of a split, and the files that belong to none."""
    try:
        return spec.cases(split), []
    except DataError as error:
        unpaired = [line.strip() for line in str(error.found).splitlines() if line.strip()]
        problems = [
            Problem(spec.name, "", file, what or error.what, fix=error.fix or "")
            for file, _, what in (line.partition(": ") for line in unpaired)
        ]
    if spec.split and split != "train":
        problems = []  # told already for "train": both splits come out of the same files
    cases, _ = spec.layout.find(spec.root, "train" if spec.split else split, spec.name, spec.labels)
    return (spec.split.divide(cases)[split] if spec.split and cases else cases), problems


def _inspect(job: tuple[DatasetSpec, str, RawCase]) -> _Finding:
    spec, _, raw = job
    problems, image, geometry = [], None, None
    try:
        image, geometry = reader.read_image(raw.image)
    except DataError as error:
        problems += _problems(raw, error, raw.image)
    shown = set()
    try:
        layers, table = reader.read_labels(raw, spec, geometry)
        shown = {name for name, (layer, values) in table.items() if name in raw.annotated and np.any(select(layers[layer], values))}
    except DataError as error:
        problems += _problems(raw, error, raw.label)
    if image is None:
        return _Finding(tuple(problems), shown=frozenset(shown))
    return _Finding(tuple(problems), leak.voxel_hash(image), leak.sketch(image), frozenset(shown))


def _problems(raw: RawCase, error: DataError, file: object) -> list[Problem]:
    text = lambda value: "" if value is None else str(value)  # noqa: E731
    return [
        Problem(raw.dataset, raw.case, text(fault.where or file), fault.what, text(fault.found), text(fault.expected), text(fault.fix))
        for fault in getattr(error, "faults", (error,))
    ]


def _absent_labels(
    specs: Sequence[DatasetSpec], jobs: Sequence[tuple[DatasetSpec, str, RawCase]], findings: dict[int, _Finding]
) -> Iterator[Problem]:
    """Labels without a voxel in any training case, where all training cases could be read."""
    for spec in specs:
        trained = [findings[index] for index, (other, split, _) in enumerate(jobs) if other is spec and split == "train"]
        if not trained or any(finding.problems for finding in trained):
            continue
        for label in spec.labels:
            if not any(label.name in finding.shown for finding in trained):
                yield Problem(
                    spec.name,
                    "",
                    str(spec.root),
                    f"{label.name} has no voxel in any training case",
                    f"0 of {len(trained)} cases",
                    "at least one",
                    "correct its value in the dataset's YAML, or drop the label",
                )


def _leaks(jobs: Sequence[tuple[DatasetSpec, str, RawCase]], findings: dict[int, _Finding]) -> Iterator[Problem]:
    """Scans that are trained on in one place and tested on in another: whole or in part."""
    sketches = {index: finding.sketch for index, finding in findings.items() if finding.voxel_hash}
    pairs = {(first, second): count for first, second, count in leak.overlapping(dict(sorted(sketches.items())))}
    owners: dict[str, list[int]] = {}
    for index, finding in sorted(findings.items()):
        if finding.voxel_hash:
            owners.setdefault(finding.voxel_hash, []).append(index)
    pairs |= {(first, second): 0 for same in owners.values() for i, first in enumerate(same) for second in same[i + 1 :]}
    for (first, second), count in sorted(pairs.items()):
        splits = [jobs[index][1] for index in (first, second)]
        if sorted(splits) != ["test", "train"]:
            continue
        tested, trained = (jobs[index][2] for index in ((first, second) if splits[0] == "test" else (second, first)))
        what = (
            f"voxels of this test scan are also in a training scan ({count} matching rows)"
            if count
            else "this test scan is also a training scan"
        )
        yield Problem(
            tested.dataset,
            tested.case,
            str(tested.image),
            what,
            f"{trained.dataset}/{trained.case}: {trained.image}",
            "test scans that no step trains on",
            "take the scan out of one of the two: exclude it in the dataset's YAML or its table of cases",
        )
