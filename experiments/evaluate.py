"""Whole-volume evaluation after every step; what a part predicts on a dataset is computed once, however many steps it lives through."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from clnet.atomic import write_json
from clnet.data.dataset import DatasetSpec
from clnet.data.store import PreparedCase, load_array, save_array
from clnet.learn.progress import RunProgress
from clnet.types import Label, Part, Snapshot
from clnet.units import UnitStore
from experiments.region import LabelVolume, Region, reference_regions, score_regions
from experiments.score import Policy


@dataclass(frozen=True)
class TestSet:
    """The prepared test cases of one dataset and the identity of their preparation."""

    spec: DatasetSpec
    cases: tuple[PreparedCase, ...]
    identity: str


class Evaluation:
    """Scores parts of a method on test sets; predictions and scores are units of work.

    policy, nsd_tolerance_mm: how a structure is scored; settings: their plain configuration, which identifies the scores.
    """

    def __init__(
        self, *, policy: Policy, nsd_tolerance_mm: float, workers: int, settings: Mapping, store: UnitStore, progress: RunProgress
    ):
        self.policy, self.tolerance_mm, self.workers = policy, nsd_tolerance_mm, workers
        self.settings, self.store, self.progress = dict(settings), store, progress
        self.rows: dict[tuple[str, str], list[dict]] = {}  # (identity of a part, dataset) -> its rows
        self.predictions: dict[tuple[str, ...], Path] = {}  # (identity of a part, dataset) -> folder of its label maps

    def __call__(self, snapshot: Snapshot, tests: Mapping[str, TestSet]) -> list[dict]:
        """Rows of scores.csv without the run's own columns, for every dataset seen so far."""
        rows = []
        for dataset in snapshot.seen:
            test = tests[dataset]
            scored = scored_parts(snapshot, test.spec)
            missing = [part for part, _ in scored if (part.identity, dataset) not in self.rows]
            if missing:
                self._evaluate(snapshot, test, missing)
            for part, _ in scored:
                rows += self.rows[part.identity, dataset]
        return rows

    def label_maps(self, snapshot: Snapshot, test: TestSet, case: PreparedCase) -> Iterator[tuple[Part, list[Label], np.ndarray]]:
        """Each part that was scored on a dataset, its labels there, and what it predicts of a case, (z, y, x) on the native grid."""
        for part, labels in scored_parts(snapshot, test.spec):
            yield part, labels, predicted(self.predictions[part.identity, test.spec.name], case, part.name)

    def _evaluate(self, snapshot: Snapshot, test: TestSet, parts: Sequence[Part]) -> None:
        dataset, name = test.spec.name, f"predictions on {test.spec.name}"
        identity = {"parts": sorted([part.name, part.identity] for part in parts), "data": test.identity}

        build = partial(predict_cases, method=snapshot.method, parts=parts, cases=test.cases, progress=self.progress, title=name)
        predictions = self.store.build("predictions", identity, build)
        scored = {"predictions": predictions.name, "evaluate": self.settings, "spec": test.spec.identity()}
        scores = self.store.build("scores", scored, lambda folder: write_json(folder / "rows.json", self._score(test, parts, predictions)))
        for part_name, rows in json.loads((scores / "rows.json").read_text()).items():
            part_identity = next(part.identity for part in parts if part.name == part_name)
            self.rows[part_identity, dataset] = rows
            self.predictions[part_identity, dataset] = predictions

    def _score(self, test: TestSet, parts: Sequence[Part], predictions: Path) -> dict[str, list[dict]]:
        work = partial(score_one_case, parts=parts, spec=test.spec, predictions=predictions, policy=self.policy,
                       tolerance_mm=self.tolerance_mm, threads=self.threads(len(test.cases)))  # fmt: skip
        results = self.map(work, test.cases)
        return {part.name: [row for result in results for row in result[part.name]] for part in parts}

    def threads(self, cases: int) -> int:
        """How many each case may use where `map` works on so many."""
        return max(self.workers // max(cases, 1), 1)

    def map(self, work: Callable, *columns: Sequence) -> list:
        """`work` of each case, and of what else stands in its row, in processes of their own where there are several."""
        if self.workers > 1 and len(columns[0]) > 1:
            with ProcessPoolExecutor(self.workers, mp_context=get_context("forkserver")) as pool:
                return list(pool.map(work, *columns))
        return [work(*row) for row in zip(*columns, strict=True)]


def predict_cases(
    folder: Path, *, method, parts: Sequence[Part], cases: Sequence[PreparedCase], progress: RunProgress, title: str,
    reach: Callable[[PreparedCase], Mapping] | None = None,
) -> None:  # fmt: skip
    """Label map and confidence of each part for each case, as `folder`/<case>/<part>.b2nd and <part>.confidence.b2nd.

    reach: part -> slices of the prepared grid where its predictions are wanted (see `ScanPredictor.slabs`). Finished cases are kept.
    """
    predictor = method.predictor(parts)
    for number, case in enumerate(cases, start=1):
        done = folder / case.case
        if not done.exists():
            building = folder / f".{case.case}.partial"
            building.mkdir(exist_ok=True)
            for part, label_map, confidence in predictor(case, reach=reach(case)) if reach else predictor(case):
                save_array(building / f"{part.name}.b2nd", label_map)
                save_array(building / f"{part.name}.confidence.b2nd", confidence)
            building.rename(done)
        progress.advance(title, 0.0, f"case {number}/{len(cases)}")


def predicted(folder: Path, case: PreparedCase, name: str, rows: slice = slice(None)) -> np.ndarray:
    """(z, y, x) uint8 that `predict_cases` left under a part's name, or under <part>.confidence; of all slices, or of `rows`."""
    return load_array(folder / case.case / f"{name}.b2nd")[rows]


def scored_parts(snapshot: Snapshot, spec: DatasetSpec) -> list[tuple[Part, list[Label]]]:
    """The parts that know labels of a dataset, each with these."""
    return [(part, labels) for part in snapshot.method.parts() if (labels := known_labels(part, spec))]


def known_labels(part: Part, spec: DatasetSpec) -> list[Label]:
    """The dataset's labels that a part has learned to tell apart; none where it is not to be scored on the dataset."""
    if part.datasets is not None and spec.name not in part.datasets:
        return []
    learned = [set(label.structures) for label in part.labels]
    return [
        label for label in spec.labels if set(label.structures) == set().union(*(own for own in learned if own <= set(label.structures)))
    ]


def score_one_case(
    case: PreparedCase, parts: Sequence[Part], spec: DatasetSpec, predictions: Path, policy: Policy, tolerance_mm: float, threads: int = 1
) -> dict[str, list[dict]]:
    """Rows of one case, by part: every label of the dataset that the part knows, on the native grid."""
    references, results = reference_regions(case), {}
    for part in parts:
        volume = LabelVolume(predicted(predictions, case, part.name))
        regions = {label.name: Region(volume, partial(part.mask, structures=label.structures)) for label in known_labels(part, spec)}
        compared = {name: (region, references.get(name)) for name, region in regions.items()}
        scores = score_regions(compared, case.geometry.spacing_mm, tolerance_mm=tolerance_mm, policy=policy, threads=threads)
        results[part.name] = [{"dataset": spec.name, "case": case.case, "structure": name, "stage": "premerge", **row}
                              for name, row in scores.items()]  # fmt: skip
    return results
