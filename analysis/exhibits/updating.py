"""Table S10: the encoder fixed or tuned, decoders fine-tuned or updated by EMA, with and without supporters, along order O1."""

from __future__ import annotations

import pandas as pd

from analysis.encoders import named_row
from analysis.exhibits.commands import five_public
from analysis.exhibits.grid import Column
from analysis.exhibits.layout import Layout, paper_cells
from analysis.exhibits.match import FIVE_PUBLIC, learned_names
from analysis.exhibits.ours import learned_datasets, source_name
from analysis.exhibits.size import shares_by_dataset
from analysis.groups import Group
from analysis.published import results

ENCODER = "U5 | SimSiam | Full label set momentum update $Q1024$ | Proposed"  # of all rows (caption), as Table S8 names it
_WORDS = {"GE Fixed": "encoder fixed", "GE Fine-tune": "encoder tuned", "Fine-tune": "decoders fine-tuned", "EMA update": "decoders by EMA",
          "FLS —": "no supporters", "FLS Channel-wise": "supporters as channels", "FLS Feature-level": "supporters by features"}
_MEASURES = (("dsc", "DSC (%)"), ("asd_mm", "ASD (mm)"), ("nominal_share_sum", "sum T' (%)"))


def row_name(row: str) -> str:
    """`GE Fixed | EMA update | FLS —` -> `encoder fixed, decoders by EMA, no supporters`."""
    return ", ".join(_WORDS[part] for part in row.split(" | "))


def cells() -> pd.DataFrame:
    """The paper's cells: a row for each way, datasets in columns."""
    rows = results("S10")
    return paper_cells(rows, rows["method"].map(row_name), rows["dataset"])


def row_of(group: Group) -> str | None:
    """The row of a CL-Net run along O1 over the five datasets; whatever its encoder came from.

    Supporters as channels tune the encoder by themselves (A6). None for ways that the table has not: one encoder tuned on and on, a
    supporting graph of one's own, fewer labelled cases.
    """
    run, config = group.first, group.first.config
    supporting, tuning = config.get("supporting") or {}, config.get("tuning") or {}
    if (run.identity["method"], run.identity["order"], group.scenario) != ("clnet", "O1", "continual") or not config:
        return None
    if learned_names(run) != set(FIVE_PUBLIC) or tuning.get("shared") or supporting.get("graph") or config.get("labelled_cases"):
        return None
    as_masks = bool(supporting.get("as_masks"))
    return row_name(" | ".join(("GE Fine-tune" if tuning or as_masks else "GE Fixed",
                                "EMA update" if config.get("ema") is not None else "Fine-tune",
                                "FLS Channel-wise" if as_masks else "FLS Feature-level" if supporting else "FLS —")))


def source_of(group: Group, row: str) -> str:
    """The name of a group, and whether its encoder is not the table's."""
    return source_name(group, "" if named_row(group.first.config) == ENCODER else "another encoder")


_GRIDS = tuple((words, tuple(Column(dataset, measure, dataset) for dataset in FIVE_PUBLIC)) for measure, words in _MEASURES)
EXHIBITS = (Layout("S10", "encoder fixed or tuned, EMA or fine-tuning, supporters; order O1",
                   (*(f"python run.py experiment={name} pruning=short" for name in ("table_s10", "table_s10_supporting")),
                    *(five_public(name)[1].replace(" experiment", " -m experiment", 1) for name in ("table_s10", "table_s10_supporting"))),
                   cells, row_of, learned_datasets, _GRIDS, shares_by_dataset,
                   ("The paper prints rows with supporters for KiTS21 alone. For O1 it has other numbers in Table S6: SegTHOR 93.2 and "
                    "0.33, KiTS21 1.32 mm.",
                    "encoder tuned: ours is tuned on the later datasets, the paper's on the whole body too (94.0).",
                    "another encoder: not pre-trained by SimSiam and updated with a queue on all five datasets, as the paper's."),
                   source_of=source_of).exhibit,)
