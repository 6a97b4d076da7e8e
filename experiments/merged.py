"""Scores after merging: on each scan all that a method has learned competes, each decoder within its body part range."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from clnet.atomic import write_json
from clnet.data.store import PreparedCase
from clnet.infer.mergedscan import MergedScan
from clnet.infer.merging import MergingRules
from clnet.infer.native import Claim
from clnet.types import Label, Part, Snapshot
from experiments.evaluate import Evaluation, TestSet, predict_cases, predicted, scored_parts
from experiments.region import LabelVolume, Region, common_box, reference_regions, score_regions

_SLAB = 64  # slices at a time: what a chunk of the stored predictions has


@dataclass(frozen=True)
class Contest:
    """What competes on the scans of a dataset.

    parts: all of them; scored: part -> its labels in the dataset, of those that are scored there; ranges: part -> identity of its body
    part ranges; folders: part -> where its predictions lie.
    """

    parts: Sequence[Part]
    scored: Mapping[str, Sequence[Label]]
    ranges: Mapping[str, list]
    folders: Mapping[str, Path]

    def merged(self, case: PreparedCase, inside: Mapping[str, np.ndarray], rules: MergingRules) -> MergedScan:
        """A case's predictions after merging; inside: decoder -> (z,) bool on the native grid."""
        slices, parts = case.geometry.shape_zyx[0], rules.lesions_first(self.parts)
        slabs = [slice(first, min(first + _SLAB, slices)) for first in range(0, slices, _SLAB)]
        return MergedScan(rules, self.parts, inside, case.geometry.shape_zyx, ((rows, self._claims(case, parts, rows)) for rows in slabs))

    def before(self, case: PreparedCase, part: Part) -> np.ndarray:
        """(z, y, x) label map of a part before merging."""
        return predicted(self.folders[part.name], case, part.name)

    def _claims(self, case: PreparedCase, parts: Sequence[Part], rows: slice) -> Iterator[tuple[Part, list[Claim]]]:
        box = (rows, *(slice(0, n) for n in case.geometry.shape_zyx[1:]))
        for part in parts:
            names = (part.name, f"{part.name}.confidence")
            labels, confidence = (predicted(self.folders[part.name], case, name, rows) for name in names)
            yield part, [Claim(box, labels, confidence)] if labels.any() else []


class MergedEvaluation:
    """Rows of stage `merged`, and what merging changed; for methods that know where in the body their parts belong (`method.body`).

    evaluation: has scored the same snapshot before merging; rules, settings: the merging's, as objects and as plain configuration.
    Decoders that are not scored on a dataset compete there too; they are shown only windows within their range, outside of which
    merging drops everything.
    """

    def __init__(self, rules: MergingRules, settings: Mapping, evaluation: Evaluation):
        self.rules, self.settings, self.evaluation = rules, dict(settings), evaluation

    def __call__(self, snapshot: Snapshot, tests: Mapping[str, TestSet]) -> tuple[list[dict], list[dict]]:
        """Rows of scores.csv and of merging.csv without the run's own columns, for every dataset seen so far."""
        scores, changes = [], []
        for dataset in snapshot.seen:
            new_scores, new_changes = self._merged(snapshot, tests[dataset])
            scores += new_scores
            changes += new_changes
        return scores, changes

    def label_maps(self, snapshot: Snapshot, test: TestSet, case: PreparedCase) -> Iterator[tuple[Part, Sequence[Label], np.ndarray]]:
        """As `Evaluation.label_maps`, after merging, with the organs of the dataset's lesions too, where they compete."""
        contest = self._contest(snapshot, test)
        scan = contest.merged(case, snapshot.method.body.inside(case), self.rules)
        shown = {name: self.rules.lesions.get(name, ()) for name in contest.scored}
        shown = {*shown, *chain.from_iterable(shown.values())}
        for part in (part for part in contest.parts if part.name in shown):
            yield part, contest.scored.get(part.name, part.labels), scan.label_map(part)

    def _contest(self, snapshot: Snapshot, test: TestSet) -> Contest:
        body, scored = snapshot.method.body, {part.name: labels for part, labels in scored_parts(snapshot, test.spec)}
        sets = {self.rules.set_of(name) for name in scored} - {None}
        parts = [part for part in snapshot.method.parts() if part.name in scored or self.rules.set_of(part.name) in sets]
        ranges = {part.name: [body.identity(name) for name in self.rules.lesions.get(part.name, (part.name,))] for part in parts}
        folders = {part.name: self._folder(snapshot, test, part, parts, ranges, scored) for part in parts}
        return Contest(parts, scored, ranges, folders)

    def _merged(self, snapshot: Snapshot, test: TestSet) -> tuple[list[dict], list[dict]]:
        contest, evaluation = self._contest(snapshot, test), self.evaluation
        identity = {
            "parts": [[part.name, part.identity, contest.ranges[part.name]] for part in contest.parts], "merging": self.settings,
            "evaluate": evaluation.settings, "spec": test.spec.identity(), "data": test.identity,
        }  # fmt: skip

        def build(place: Path) -> None:
            before = {part.name: evaluation.rows[part.identity, test.spec.name] for part in contest.parts if part.name in contest.scored}
            work = partial(merge_one_case, rules=self.rules, contest=contest, before=before, dataset=test.spec.name,
                           policy=evaluation.policy, tolerance_mm=evaluation.tolerance_mm)  # fmt: skip
            results = evaluation.map(work, test.cases, [snapshot.method.body.inside(case) for case in test.cases])
            write_json(place / "rows.json", [[row for result in results for row in result[kind]] for kind in (0, 1)])

        unit = evaluation.store.build("merged", identity, build)
        return tuple(json.loads((unit / "rows.json").read_text()))

    def _folder(
        self, snapshot: Snapshot, test: TestSet, part: Part, parts: Sequence[Part], ranges: Mapping[str, object], scored: Mapping
    ) -> Path:  # fmt: skip
        """Where a part's predictions on a dataset lie; those of parts that are not scored on it are made together when first needed."""
        known = self.evaluation.predictions
        if part.name in scored:
            return known[part.identity, test.spec.name]
        key = (part.identity, test.spec.name, str(ranges[part.name]))
        if key not in known:
            missing = [p for p in parts if p.name not in scored and (p.identity, test.spec.name, str(ranges[p.name])) not in known]
            rules = [self.rules.lesions, self.rules.drop_lesions_outside]
            identity = {"parts": sorted([p.name, p.identity, ranges[p.name]] for p in missing), "rules": rules, "data": test.identity}
            body = snapshot.method.body

            def reach(case: PreparedCase) -> Mapping[str, np.ndarray]:
                return self.rules.reach(missing, body.inside_prepared(case), case.shape_zyx[0])

            build = partial(predict_cases, method=snapshot.method, parts=missing, cases=test.cases, progress=self.evaluation.progress,
                            title=f"rivals on {test.spec.name}", reach=reach)  # fmt: skip
            folder = self.evaluation.store.build("rivals", identity, build)
            known |= {(p.identity, test.spec.name, str(ranges[p.name])): folder for p in missing}
        return known[key]


def merge_one_case(
    case: PreparedCase, inside: Mapping[str, np.ndarray], *, rules: MergingRules, contest: Contest, before: Mapping[str, Sequence[dict]],
    dataset: str, policy, tolerance_mm: float,
) -> tuple[list[dict], list[dict]]:  # fmt: skip
    """Scores and changes of one case; structures that merging leaves as they are keep their row.

    inside: decoder -> (z,) bool on the native grid; before: decoder -> its rows before merging, of all cases.
    """
    scan, references = contest.merged(case, inside, rules), reference_regions(case)
    scores, changes = [], []
    for part in (part for part in contest.parts if part.name in contest.scored):
        volumes = [LabelVolume(label_map) for label_map in (contest.before(case, part), scan.label_map(part))]
        rows = {row["structure"]: row for row in before[part.name] if row["case"] == case.case}
        for label in contest.scored[part.name]:
            old, new = (Region(volume, partial(part.mask, structures=label.structures)) for volume in volumes)
            reference = references.get(label.name)
            box = common_box(old, new, *([reference] if reference else []))
            masks = [old.mask(box), new.mask(box)]
            row = {**rows[label.name], "stage": "merged"}
            if not np.array_equal(*masks):
                row |= score_regions({label.name: (new, reference)}, case.geometry.spacing_mm, tolerance_mm=tolerance_mm,
                                     policy=policy)[label.name]  # fmt: skip
            scores.append(row)
            if reference:
                counts = _counts(*masks, reference.mask(box), ~scan.ranges[part.name][box[0]])
                changes.append({"dataset": dataset, "case": case.case, "structure": label.name, "decoder": part.name, **counts})
    return scores, changes


def _counts(old: np.ndarray, new: np.ndarray, reference: np.ndarray, outside: np.ndarray) -> dict[str, int]:
    """Voxels predicted wrongly and rightly, before and after, and those on slices outside the body part range.

    All masks are of one box (z, y, x), which holds all their voxels; outside: (z,) bool of its slices.
    """
    wrong = {"before": old & ~reference, "after": new & ~reference}
    return {
        **{f"false_voxels_{when}": int(np.count_nonzero(mask)) for when, mask in wrong.items()},
        **{f"false_outside_{when}": int(np.count_nonzero(mask[outside])) for when, mask in wrong.items()},
        "true_outside_before": int(np.count_nonzero((old & reference)[outside])),
        "true_voxels_before": int(np.count_nonzero(old & reference)), "true_voxels_after": int(np.count_nonzero(new & reference)),
    }  # fmt: skip
