"""The table of a comparison that tells what was forgotten because a decoder was updated from what merging changed."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.groups import Group
from analysis.render import DASH, Table
from analysis.retention import GROUPS, forgetting_by_group
from analysis.spread import SEEDS, mean_text, span


def forgetting_table(groups: Sequence[Group]) -> Table:
    """Forgetting of DSC, of pairs whose decoder was never trained again and of those whose decoder was, before and after merging."""
    lines, data = [], []
    stages = ("premerge", "merged")
    for group in groups:
        cells = {}
        for stage in stages:
            found = [forgetting_by_group(run, stage) for run in group.runs] if stage in group.first.stages else []
            for part in GROUPS:
                values = pd.Series([each[part][0] for each in found], dtype=float)
                pairs = sorted({each[part][1] for each in found if each[part][1]})
                cells[part, stage] = f"{mean_text(values, 3)} (n={span(pairs)})" if pairs else DASH
                data.append({"name": group.name, "pairs_of": part, "stage": stage, "runs": len(found), "forgetting": values.mean(),
                             "forgetting_std": values.std(), "pairs": pairs[-1] if pairs else None})
        lines.append((group.name, cells))
    shown = [part for part in GROUPS if part != GROUPS[3] or any(cells[part, stage] != DASH for _, cells in lines for stage in stages)]
    header = ("run", *(f"{part}, {word}" for part in shown for word in ("before merging", "after")))
    rows = tuple((name, *(cells[part, stage] for part in shown for stage in stages)) for name, cells in lines)
    notes = ("Forgetting of DSC: mean over (dataset, structure) pairs of max_{l<T} R[l,j] - R[T,j] (Chaudhry et al. 2018, eq. 3), n: pairs "
             "learned before the last step. never trained again: no step after the one that learned the pair updated its decoder, so it "
             "is 0 before merging if frozen weights stay as they are; updated later: some step did. before merging: premerge scores, "
             "after: merged.", SEEDS)
    table = pd.DataFrame(data).astype({"pairs": "Int64"})
    return Table("comparison_forgetting", "Forgetting, by what later steps did to the decoder", header, rows, table, notes)
