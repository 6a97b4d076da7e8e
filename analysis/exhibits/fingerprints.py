"""Fingerprints of datasets: numbers of scans and targets, and the part of the body that scans and labels show."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import yaml

from analysis import paper
from analysis.groups import Group
from analysis.load import Run
from analysis.retention import decoders_by_structure
from clnet.errors import DataError

Range = tuple[float, float]


@dataclass(frozen=True)
class Fingerprint:
    """One dataset; ranges in body part scores (0: bottom of the pelvis, 1: top of the head), None where not known.

    identifier: the paper's P1 to P16, D1 to D20, E1 to E7; slug: the paper's short name, of ours that of the dataset it is or stands for.
    source: the name of the runs that it was read from. anchored: whether the scale's 0 and 1 were seen in training scans.
    """

    name: str
    body_group: str
    training: int | None
    test: int | None
    targets: int
    labels: Range | None
    images: Range | None = None
    identifier: str = ""
    slug: str = ""
    access: str = ""
    listed: int | None = None
    source: str = ""
    anchored: bool = True


@cache
def of_paper() -> tuple[Fingerprint, ...]:
    """The paper's 36 datasets, then its 7 external ones, which have test scans only and no printed ranges. Source: Tables S1 to S4."""
    facts = yaml.safe_load((paper.REFERENCE.parent / "datasets.yaml").read_text(encoding="utf-8"))
    return tuple(Fingerprint(entry["name"], entry["body_group"].lower().replace(" & ", "-"), entry.get("train"), entry["test"],
                             entry["organ_count"], _pair(entry.get("label_bpr")), _pair(entry.get("image_bpr")), entry["id"], entry["slug"],
                             entry["access"], entry["n_listed_targets"])
                 for part in ("training", "external") for entry in facts[part])


def of_groups(groups: Sequence[Group]) -> list[Fingerprint]:
    """Every dataset of our runs once, from the first run that knows most of it: a scale with both ends, ranges, numbers of scans."""
    found: dict[str, Fingerprint] = {}
    for group in groups:
        for mine in of_run(group.first, group.name):
            known = found.get(mine.name)
            if known is None or _knowledge(mine) > _knowledge(known):
                found[mine.name] = mine
    return list(found.values())


def of_run(run: Run, source: str = "") -> list[Fingerprint]:
    """The datasets that a run learned, in its order.

    A dataset's label range reaches from the lowest 5th percentile of its decoders' bottoms to the highest 95th percentile of their tops;
    numbers of cases and labels are the manifest's; where it has none, test cases and labels are counted in the scores.
    """
    counted = {entry["name"]: entry for entry in run.manifest.get("datasets") or ()}
    specs = {spec.get("name"): spec for spec in ((run.config.get("data") or {}).get("datasets") or {}).values()}
    extents, decoder_of, anchored = _extents(run), decoders_by_structure(run), _is_anchored(run)
    found = []
    for name in run.learned_at:
        rows, entry, spec = run.scores[run.scores["dataset"] == name], counted.get(name, {}), specs.get(name, {})
        structures = rows["structure"].unique()
        labels = _reach(extents, {decoder_of.get(structure) for structure in structures})
        found.append(Fingerprint(name, spec.get("body_group", ""), entry.get("training_cases"),
                                 entry.get("test_cases", rows["case"].nunique()), len(entry.get("labels", structures)), labels,
                                 slug=spec.get("paper_slug") or "", source=source, anchored=anchored))
    return found


def _knowledge(mine: Fingerprint) -> tuple[bool, bool, bool]:
    return mine.labels is not None and mine.anchored, mine.training is not None, mine.labels is not None


def _reach(extents: dict[str, dict], decoders: set[str | None]) -> Range | None:
    known = [extents[name] for name in decoders if extents.get(name, {}).get("bottoms")]
    if not known:
        return None
    lower, upper = (min(np.percentile(own["bottoms"], 5) for own in known), max(np.percentile(own["tops"], 95) for own in known))
    return max(0.0, float(lower)), min(1.0, float(upper))


def _extents(run: Run) -> dict[str, dict]:
    """Decoder -> `bottoms` and `tops`, scores at which its labels begin and end in training cases; empty without body part regression."""
    return _record(run, "ranges.json").get("extents", {})


def _is_anchored(run: Run) -> bool:
    record = _record(run, "bodypart.json")
    return record.get("scans_with_zero", 0) > 0 and record.get("scans_with_one", 0) > 0


def _record(run: Run, name: str) -> dict:
    path = run.folder / "model" / name
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except json.JSONDecodeError as error:
        raise DataError(f"{name} is not valid JSON", where=path, found=error) from error


def _pair(values: Sequence[float] | None) -> Range | None:
    return (float(values[0]), float(values[1])) if values else None
