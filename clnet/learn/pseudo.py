"""Several partly labelled datasets as one: models of each label what the others lack, and one encoder learns from all of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from clnet.atomic import write_json
from clnet.data.completed import Found, complete_case
from clnet.data.store import PreparedCase
from clnet.errors import UsageError
from clnet.learn.archive import Archive, LearnedDecoder, LearnedEncoder
from clnet.learn.encoder import Supervised
from clnet.learn.general import Built
from clnet.learn.joint import JOINT
from clnet.learn.predictor import parts_of, predictor_of
from clnet.learn.workshop import Workshop
from clnet.types import Decoder, Label, Part, Task
from clnet.units import rank

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class PseudoLabelled:
    """The stage. labeller: trains a model of each dataset; student: the encoder that learns from the completed union.

    A label is predicted for a dataset only where that annotates none of its structures, not even as part of a union. The student
    learns the labels that every case has in the end.
    Source: CL-Net A5, Table S8 ("pseudo label train" on U4); CADS.
    """

    labeller: Supervised
    student: Supervised
    hand_over: bool = False
    joint_start: bool = False

    def announce(self, shop: Workshop, archive: Archive, decoders: Iterable[Decoder], tasks: Sequence[Task]) -> None:
        """Tell the progress line what lies ahead. Raises UsageError for a single dataset, which lacks nothing."""
        if len(tasks) < 2:
            raise UsageError("pseudo-labels need several datasets", where="encoder.datasets", found=[task.dataset for task in tasks],
                             fix="encoder.datasets=[slot,slot,...]")  # fmt: skip
        decoders = list(decoders)
        self.labeller.announce(shop, archive, decoders, tasks)
        self.student.announce(shop, archive, decoders, [_union(tasks, [label for task in tasks for label in task.labels], (), "")])

    def build(
        self, shop: Workshop, archive: Archive, decoders: Iterable[Decoder], tasks: Sequence[Task], start: LearnedEncoder | None,
        settings: Mapping,
    ) -> Built:  # fmt: skip
        """A unit for each dataset's model, one for each dataset's completed cases, and the student's."""
        decoders = list(decoders)
        models = {}
        for task in tasks:
            models[task.dataset] = self.labeller.build(shop, archive, decoders, [task], None, settings["labeller"]).decoders
            for decoder in models[task.dataset].values():
                archive.add(decoder)
        folders = [self._completed(shop, archive, task, tasks, models) for task in tasks]
        places = [folder / case.case for folder, task in zip(folders, tasks, strict=True) for case in _labelled(shop, task)]
        cases = [PreparedCase.open(place) for place in places]
        everywhere = frozenset.intersection(*(case.annotated for case in cases))
        labels = [label for label in _once(label for task in tasks for label in task.labels) if label.name in everywhere]
        union = _union(tasks, labels, cases, "+".join(folder.name for folder in folders))
        shop.divided[union.identity] = (cases, [])  # validation cases have been left out already
        return self.student.build(shop, archive, decoders, [union], start, settings["student"])

    def _completed(
        self, shop: Workshop, archive: Archive, task: Task, tasks: Sequence[Task], models: Mapping[str, Mapping[str, LearnedDecoder]]
    ) -> Path:  # fmt: skip
        """One dataset's training cases with the labels that the other datasets' models find, and a manifest of who found what."""
        others = [other for other in tasks if other is not task]
        wanted = {other.dataset: missing_labels(task, other) for other in others}
        identity = shop.identity(("windows",), [task], precision=shop.trainer.prediction_precision,
                                 models=[[o.dataset, sorted(d.identity for d in models[o.dataset].values())] for o in others])  # fmt: skip

        def build(folder: Path) -> None:
            if rank() > 0:
                return
            sources = {}
            for case in _labelled(shop, task):
                found: dict[str, Found] = {}
                for other in others:
                    for name, each in _found(shop, archive, case, models[other.dataset], wanted[other.dataset], other.dataset).items():
                        if name not in case.annotated and (name not in found or each.confidence > found[name].confidence):
                            found[name] = each
                sources[case.case] = complete_case(case, found, folder / case.case).record["sources"]
            write_json(folder / MANIFEST, sources)

        return shop.built("completed", identity, build, f"pseudo-labels for {task.dataset}", collective=False)


def _labelled(shop: Workshop, task: Task) -> list[PreparedCase]:
    """Training cases that another dataset's models complete: one whose own labels are hidden would lack them in the end."""
    return [case for case in shop.cases([task])[0] if case.annotated]


def missing_labels(task: Task, other: Task) -> tuple[Label, ...]:
    """Labels of another dataset of which this one annotates no structure."""
    known = {structure for label in task.labels for structure in label.structures}
    return tuple(label for label in other.labels if not known & set(label.structures))


def _found(
    shop: Workshop, archive: Archive, case: PreparedCase, model: Mapping[str, LearnedDecoder], labels: Sequence[Label], source: str
) -> dict[str, Found]:  # fmt: skip
    """The labels as a model predicts them on the prepared grid."""
    asked = {part.name: _asked(part, labels) for part in parts_of(shop, model)}
    parts = [part for part in parts_of(shop, model) if asked[part.name]]
    found = {}
    for part, label_map, confidence in predictor_of(shop, archive, model, parts)(OnPreparedGrid(case)):
        for label, structures in asked[part.name]:
            mask = part.mask(label_map, structures)
            found[label.name] = Found(mask, float(confidence[mask].mean()) / 255 if mask.any() else 0.0, source)
    return found


def _asked(part: Part, labels: Sequence[Label]) -> list[tuple[Label, tuple[str, ...]]]:
    """The labels that a part can find, each with what the part calls its structures: in an undivided decoder a label is a structure."""
    own = {structure for label in part.labels for structure in label.structures}
    called = [(label, (label.name,) if part.name == JOINT else label.structures) for label in labels]
    return [(label, structures) for label, structures in called if set(structures) <= own]


class OnPreparedGrid:
    """A prepared case as if it had been scanned on its prepared grid: predictions come back there."""

    def __init__(self, case: PreparedCase):
        self.image_hu, self.shape_zyx = case.image_hu, case.shape_zyx
        self.geometry = replace(case.geometry, shape_zyx=case.shape_zyx)
        self.crop_zyx = tuple((0, length) for length in case.shape_zyx)


def _once(labels: Iterable[Label]) -> list[Label]:
    return list({label.name: label for label in labels}.values())


def _union(tasks: Sequence[Task], labels: Iterable[Label], cases: Sequence[PreparedCase], identity: str) -> Task:
    name = "+".join(task.dataset for task in tasks)
    return Task(0, name, tuple(_once(labels)), tuple(cases), identity)
