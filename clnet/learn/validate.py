"""Validation of one decoder on held-out training cases: whole volumes on the native grid, predicted as test cases are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import count

import numpy as np
import torch
from torch import Tensor

from clnet.data.intensity import Intensity
from clnet.data.store import PreparedCase
from clnet.infer.predict import PartNetwork, ScanPredictor
from clnet.infer.window import Windows
from clnet.learn.target import Variants, probabilities
from clnet.model.block import with_fast_layout
from clnet.model.decoder import DecoderNetwork
from clnet.model.support import Pass, Paths, Route
from clnet.types import Part

Inputs = tuple[list[Tensor], list[list[Tensor]]]  # what the encoder and the supporters give for one batch of windows


class Memory:
    """Outputs of frozen networks for windows that come again in the same order, up to a limit in bytes."""

    def __init__(self, limit_bytes: float = 3e9):
        self.limit_bytes = limit_bytes
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.left_bytes = self.limit_bytes
        self.kept: dict[tuple, list[list[Tensor]]] = {}

    def recall(self, key: tuple, position: int, compute: Callable[[], list[Tensor]]) -> list[Tensor]:
        """What `compute` returned for this key at this position before, or what it returns now."""
        known = self.kept.setdefault(key, [])
        if position < len(known):
            return known[position]
        made = compute()
        size = sum(tensor.nbytes for tensor in made)
        if position == len(known) and size <= self.left_bytes:
            self.left_bytes -= size
            known.append(made)
        return made


class Validation:
    """Scores a decoder again and again on the same cases; what the frozen networks give to it is computed once.

    cases: prepared cases, those that fit none of the targets are left out. encoded: keeps the encoder's features, for other decoders
    that are validated on the same cases too.
    """

    def __init__(
        self, cases: Sequence[PreparedCase], variants: Variants, frozen: Paths, route: Route, windows: Windows, intensity: Intensity,
        device: torch.device, encoded: Memory,
    ):  # fmt: skip
        self.cases = [(case, target) for case in cases for target in variants.targets.values() if target.fits(case)]
        self.frozen, self.route, self.windows, self.intensity, self.device = frozen, route, windows, intensity, device
        for module in frozen.networks():
            with_fast_layout(module, device).eval().requires_grad_(False)
        self.encoded, self.supported = encoded, Memory(encoded.left_bytes / 4)

    def __call__(self, network: DecoderNetwork) -> list[float]:
        """DSC in [0, 1] of every label of every case that has voxels of it; 0 where it is missed."""
        training, values = network.training, []
        with_fast_layout(network, self.device).eval()
        for case, target in self.cases:
            part = Part(target.decoder.name, target.labels, identity="", nested=target.decoder.nested)
            ended = PartNetwork(part, lambda given, target=target: probabilities(network(*given).logits[0], target))
            predictor = ScanPredictor(self._inputs(case), [ended], self.windows, self.intensity, self.device)
            [(_, label_map, _)] = predictor(case)
            for label in target.labels:
                reference = case.reference_mask(label.name)
                if reference.any():
                    found = part.mask(label_map, label.structures)
                    values.append(2.0 * np.count_nonzero(reference & found) / (reference.sum() + np.count_nonzero(found)))
        network.train(training)
        return [float(value) for value in values]

    def _inputs(self, case: PreparedCase) -> Callable[[Tensor], Inputs]:
        """The frozen networks as a function of a batch of windows; the windows of a case come in the same order every time."""
        key, positions = (str(case.folder), self.route.encoder, self.route.masks), count()

        def inputs(image: Tensor) -> Inputs:
            way, position = Pass(self.frozen, image), next(positions)
            encoded = self.encoded.recall(key, position, lambda: way.encoded(self.route))
            supports = self.supported.recall(key, position, lambda: [level for given in way.supports(self.route) for level in given])
            levels = len(encoded) - 1
            return encoded, [supports[first : first + levels] for first in range(0, len(supports), levels)]

        return inputs


def band_mean(values: Sequence[float], percentiles: tuple[float, float]) -> float:
    """Mean of the values inside the percentile band; of all where the band holds none; NaN without values.

    Source: CL-Net 4.3 ("5% - 95% percentile DSC"), read as in NOTES.md 11 (a).
    """
    if not len(values):
        return float("nan")
    values = np.asarray(values, float)
    low, high = np.percentile(values, percentiles)
    inside = values[(values >= low) & (values <= high)]
    return float(inside.mean() if len(inside) else values.mean())


def held_out(cases: Sequence[PreparedCase], share: float) -> tuple[list[PreparedCase], list[PreparedCase]]:
    """Training cases divided into those to learn from and those to validate on; the second part is empty where `share` is 0.

    round(share * n) of the n cases with labels, at least one, by `covering`: so that few cases validate many labels. A case stays if no
    other one that is left to learn from shows one of its labels, so there may be fewer, or none.
    """
    if share == 0:
        return list(cases), []
    wanted = max(round(share * sum(bool(case.annotated) for case in cases)), 1)
    chosen = covering(cases, wanted, lambda case, holders: all(holders[name] > 1 for name in _shown(case)))
    return [case for case in cases if case not in chosen], chosen


def covering(cases: Sequence[PreparedCase], wanted: int, may: Callable[[PreparedCase, Counter], bool]) -> list[PreparedCase]:
    """Cases that show many labels: one by one, the case that shows most labels which none before it shows, then the one that shows most
    labels, then by name. may: whether a case can be spared, by how many of the cases that are left show each label.
    """
    chosen: list[PreparedCase] = []
    seen: set[str] = set()
    while len(chosen) < wanted:
        left = [case for case in cases if case not in chosen]
        holders = Counter(name for case in left for name in _shown(case))
        spare = [case for case in left if _shown(case) and may(case, holders)]
        if not spare:
            break
        best = min(spare, key=lambda case: (-len(_shown(case) - seen), -len(_shown(case)), case.case))
        chosen.append(best)
        seen |= _shown(best)
    return chosen


def _shown(case: PreparedCase) -> set[str]:
    return {name for name in case.annotated if case.voxels.get(name, 0)}
