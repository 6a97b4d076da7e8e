"""Forgetting in two parts: of pairs whose decoder was never trained again after it learned them, and of those whose decoder was."""

from __future__ import annotations

import pandas as pd

from analysis.continual import forgetting_terms
from analysis.load import Run
from analysis.matrix import score_matrix
from clnet.anatomy import registry
from clnet.errors import UsageError

GROUPS = ("all", "never trained again", "updated later", "decoder unknown")


def forgetting_by_pair(run: Run, stage: str | None = None) -> pd.DataFrame:
    """One row per (dataset, structure): `learned` (step), `decoder`, `group` (see GROUPS) and `forgetting` of its DSC, NaN where undefined.

    A pair is learned at the first step that scores it; its decoder is updated later if a later step lists it as `updated`.
    """
    matrix = score_matrix(run.scores, "dsc", "structure", stage)
    steps, decoder_of = list(run.trained_on), decoders_by_structure(run)
    trained = run.decoders[run.decoders["updated"].astype(bool)].groupby("decoder")["step"].max().to_dict()
    rows = []
    for (dataset, structure), row, term in zip(matrix.tasks, matrix.learned, forgetting_terms(matrix.values, matrix.learned), strict=True):
        decoder, learned = decoder_of.get(structure), steps[row]
        group = GROUPS[3] if decoder is None else GROUPS[2] if trained.get(decoder, -1) > learned else GROUPS[1]
        rows.append((dataset, structure, learned, decoder or "", group, term))
    return pd.DataFrame(rows, columns=["dataset", "structure", "learned", "decoder", "group", "forgetting"])


def forgetting_by_group(run: Run, stage: str | None = None) -> dict[str, tuple[float, int]]:
    """Group of GROUPS -> (mean forgetting over its pairs, NaN without any, and how many pairs have one)."""
    pairs = forgetting_by_pair(run, stage)
    parts = {group: pairs.loc[(pairs["group"] == group) | (group == "all"), "forgetting"].dropna() for group in GROUPS}
    return {group: (float(part.mean()) if len(part) else float("nan"), len(part)) for group, part in parts.items()}


def decoders_by_structure(run: Run) -> dict[str, str]:
    """Scored structure -> decoder, from decoders.csv over all steps (a union may have been split later) and merging.csv.

    What neither names is a union of structures: the registry's decoder for all of its members, if the run has that decoder.
    """
    found = {}
    for decoder, structures in zip(run.decoders["decoder"], run.decoders["structures"], strict=True):
        found |= dict.fromkeys(structures.split(), decoder)
    found |= dict(zip(run.merging["structure"], run.merging["decoder"], strict=True))
    known = set(run.decoders["decoder"])
    for structure in run.scores["structure"].unique():
        if structure not in found and len(of_members := _decoders_of_members(structure)) == 1 and of_members <= known:
            found[structure] = of_members.pop()
    return found


def _decoders_of_members(union: str) -> set[str]:
    anatomy = registry.load()
    try:
        return {anatomy.decoder_of(member).name for member in anatomy.resolve(union)}
    except UsageError:  # a name of the user's own
        return set()
