"""Averages by class, region and dataset, as SAT reports them: no dataset or class counts for more because it has more cases.

Source: SAT, section 8.3. A class is a structure. Regions are the anatomical groups of CL-Net (Table S5), not SAT's own eight.
"""

from __future__ import annotations

import pandas as pd

from analysis.aggregate import by_dataset, by_structure, final_rows
from clnet.anatomy import registry
from clnet.errors import UsageError

WHOLE_BODY, UNKNOWN = "Whole body", "not in the registry"


def by_class(scores: pd.DataFrame, stage: str | None = None) -> pd.DataFrame:
    """Index structure; the mean over datasets of the mean over cases, for `dsc` and `nsd`, and `datasets` (with a DSC)."""
    groups = _pairs(scores, stage).groupby(level="structure", sort=False)
    return pd.DataFrame({"dsc": groups["dsc"].mean(), "nsd": groups["nsd"].mean(), "datasets": groups["dsc"].count()})


def by_region(classes: pd.DataFrame) -> pd.DataFrame:
    """Index region; the mean over the classes of `by_class` in it, and `classes` (with a DSC)."""
    groups = classes.groupby(classes.index.map(region_of), sort=False)
    return pd.DataFrame({"dsc": groups["dsc"].mean(), "nsd": groups["nsd"].mean(), "classes": groups["dsc"].count()})


def by_set(scores: pd.DataFrame, stage: str | None = None) -> pd.DataFrame:
    """Index dataset; the mean over its classes of the mean over cases, and `classes` (with a DSC)."""
    table = by_dataset(_pairs(scores, stage)).droplevel("step")
    return table[["dsc", "nsd", "dsc_n"]].rename(columns={"dsc_n": "classes"})


def region_of(structure: str) -> str:
    """The group of a structure, or of a union's members; a class of several groups is of the whole body; lesions have their own."""
    anatomy = registry.load()
    try:
        groups = {anatomy.structures[name].group for name in anatomy.resolve(structure)}
    except UsageError:  # a name of the user's own
        return UNKNOWN
    return next(iter(groups)) if len(groups) == 1 else WHOLE_BODY if groups else UNKNOWN


def _pairs(scores: pd.DataFrame, stage: str | None) -> pd.DataFrame:
    return by_structure(final_rows(scores, stage), stage)
