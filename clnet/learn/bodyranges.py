"""Where in the body each decoder belongs: the slice scorer, trained once, and the ranges that training labels give."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from clnet.atomic import write_json
from clnet.data.store import PreparedCase
from clnet.infer.bodypart import RECORD_FILE, WEIGHTS_FILE, BodyPartRange, BodyPartScorer, DecoderExtent
from clnet.learn.bodypart import NAME, BodyPartTraining, train_scorer
from clnet.learn.target import Variants
from clnet.learn.workshop import Workshop
from clnet.types import Task

RANGES = "ranges.json"
LESION = "Lesion"  # the group whose decoders may predict anywhere (CL-Net 4.4)


class BodyRanges:
    """The body part range of every decoder that was learned so far.

    training None: no body part regression, every decoder may predict anywhere. What later datasets add to a decoder's extents is scores
    of their training labels; no image of an earlier dataset is looked at again.
    Source: CL-Net 4.1, 4.4, equations (5)-(7); NOTES.md 18 (one range a decoder, over all its structures).
    """

    def __init__(self, shop: Workshop, training: BodyPartTraining | None):
        self.shop, self.training = shop, training
        self.folder: Path | None = None  # of the scorer
        self.scorer = ""  # its identity
        self.limits = (training.minimum_margin, training.minimum_order) if training is not None else (0.0, 0.0)
        self.extents: dict[str, DecoderExtent] = {}
        self._scorer: BodyPartScorer | None = None

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_scorer": None}  # other processes load their own

    def learn(self, tasks: Sequence[Task], variants: Mapping[str, Variants]) -> None:
        """Train the scorer on the first task's training cases, once, and add what all tasks' training labels say."""
        if self.training is None:
            return
        if self.folder is None:
            identity = self.shop.identity(("bpr",), tasks[:1])
            cases = self.shop.cases(tasks[:1])[0]
            build = partial(train_scorer, cases, self.training, seed=self.shop.seed, progress=self.shop.progress, device=self.shop.device)
            self.folder = self.shop.built("bodypart", identity, build, NAME, collective=False)
            self.scorer = self.folder.name
        for task in tasks:
            self._add(task, variants)

    def range_of(self, decoder: str) -> BodyPartRange | None:
        """None where nothing is known of the decoder."""
        known = self.extents.get(decoder)
        return None if known is None else known.range(self.limits[0])

    def identity(self, decoder: str) -> list | None:
        """What a decoder's bounding depends on."""
        known = self.range_of(decoder)
        return None if known is None else [self.scorer, known.lower, known.upper, self.limits[1]]

    def inside(self, case: PreparedCase) -> dict[str, np.ndarray]:
        """Decoder -> (z,) bool: slices of the case's native grid inside its range; decoders without one are missing.

        Empty for a scan whose scores do not rise regularly enough to mean anything.
        """
        prepared = self._slice_scores(case) if self.extents else None
        if prepared is None:
            return {}
        (start, stop), slices = case.crop_zyx[0], case.geometry.shape_zyx[0]
        place = (np.arange(slices) - start + 0.5) * (len(prepared) / (stop - start)) - 0.5  # slice centres on the prepared grid
        return self._inside(np.interp(place, np.arange(len(prepared)), prepared))

    def inside_prepared(self, case: PreparedCase) -> dict[str, np.ndarray]:
        """The same for the slices of the prepared grid, a slice wider at both ends: what interpolation to the native grid reads."""
        scores = self._slice_scores(case) if self.extents else None
        if scores is None:
            return {}
        inside = self._inside(scores)
        return {name: np.convolve(slices, [1, 1, 1], mode="same") > 0 for name, slices in inside.items()}

    def save(self, folder: Path) -> None:
        """Scorer and extents into a method's folder; nothing without a scorer."""
        if self.folder is None:
            return
        for file in (WEIGHTS_FILE, RECORD_FILE):
            shutil.copyfile(self.folder / file, folder / file)
        extents = {name: own.to_json() for name, own in self.extents.items()}
        write_json(folder / RANGES, {"scorer": self.scorer, "limits": self.limits, "extents": extents})

    def load(self, folder: Path) -> None:
        """Take over what `save` wrote, where there is anything."""
        if (folder / RANGES).exists():
            self.folder = folder
            known = json.loads((folder / RANGES).read_text())
            self.scorer, self.limits = known["scorer"], tuple(known["limits"])
            self.extents = {name: DecoderExtent.from_json(own) for name, own in known["extents"].items()}

    def _add(self, task: Task, variants: Mapping[str, Variants]) -> None:
        labels = {name: [label.name for label in target.labels] for name, own in variants.items() if own.decoder.group != LESION
                  for target in own.targets.values() if task.dataset in target.datasets}  # fmt: skip
        identity = self.shop.identity((), [task], scorer=self.scorer, labels=labels, minimum_order=self.limits[1])

        def build(place: Path) -> None:
            scored = [(case, self._slice_scores(case)) for case in self.shop.cases([task])[0]]
            known = [(case, scores) for case, scores in scored if scores is not None]
            cases = {name: [DecoderExtent.of_case(case, own, scores) for case, scores in known] for name, own in labels.items()}
            found = {name: DecoderExtent.of(extents) for name, extents in cases.items()}
            write_json(place / "extents.json", {name: own.to_json() for name, own in found.items() if own.bottoms})

        folder = self.shop.built("extents", identity, build, f"body part ranges on {task.dataset}", collective=False)
        for name, known in json.loads((folder / "extents.json").read_text()).items():
            self.extents[name] = self.extents.get(name, DecoderExtent()).merged_with(DecoderExtent.from_json(known))

    def _slice_scores(self, case: PreparedCase) -> np.ndarray | None:
        if self._scorer is None:
            self._scorer = BodyPartScorer.load(self.folder, self.shop.device)
        image_hu = case.image_hu()
        if self._scorer.order(image_hu, case.spacing_mm) < self.limits[1]:
            return None
        return self._scorer.slice_scores(image_hu, case.spacing_mm)

    def _inside(self, slice_scores: np.ndarray) -> dict[str, np.ndarray]:
        return {name: own.range(self.limits[0]).inside(slice_scores) for name, own in self.extents.items()}
