"""How the encoder came to be and what that was worth: Tables S8 and S9, with the paper's own numbers beside ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from analysis.aggregate import final_mean
from analysis.groups import Group
from analysis.load import Run
from analysis.measures import probed
from analysis.paper import LABEL, caveat
from analysis.pruning import sizes
from analysis.published import results
from analysis.render import DASH, Table, number
from analysis.spread import SEEDS, mean_and_std, mean_text

TABLES = {"whole_body": ("S8", "TotalSegmentatorV2"), "abdomen": ("S9", "FLARE22")}  # order -> table of the paper, its dataset
OURS = (("dsc", "DSC", 3), ("asd_mm", "ASD (mm)", 2), ("sum_t", "sum T' (%)", 1), ("height_mm", "height (mm)", 0),
        ("tissue", "labels (%)", 0))  # fmt: skip
WHOLE_BODY, FOUR = {"TotalSegmentatorV2"}, {"StructSeg19", "SegTHOR", "FLARE22", "KiTS21"}  # CL-Net A5
SOURCES = {"TotalSegmentator": WHOLE_BODY, "StructSeg19": {"StructSeg19"}, "U4": FOUR, "U5": FOUR | WHOLE_BODY}
THEIRS = (("paper_dsc", "paper DSC", 3), ("paper_asd_mm", "ASD", 2), ("paper_sum_t", "sum T'", 1))


def encoder_table(groups: Sequence[Group]) -> Table | None:
    """One row a name, for runs whose encoder is a row of the paper's table or that were probed; None where there is none.

    height, labels: the probe (mean error of the height that a linear map reads out of frozen features, share of labels named rightly).
    """
    rows, data = [], []
    for group in groups:
        lines = [measures(run) for run in group.runs]
        told = lines[0]["paper"] or ""
        if not told and all(pd.isna(line["height_mm"]) for line in lines):
            continue
        table = pd.DataFrame(lines)
        printed = paper_row(str(group.first.identity["order"]), told)
        rows.append((group.name, told or DASH, str(len(lines)), *(mean_text(table[key], digits) if table[key].notna().any() else DASH
                                                                  for key, _, digits in OURS),
                     *(number(printed.get(key, float("nan")), digits) for key, _, digits in THEIRS)))  # fmt: skip
        data.append({"name": group.name, "paper_row": told, "runs": len(lines), **printed}
                    | {name: value for key, _, _ in OURS for name, value in mean_and_std(table, key).items()})  # fmt: skip
    if not rows:
        return None
    header = ("run", "encoder (the paper's row)", "seeds", *(word for _, word, _ in OURS), *(word for _, word, _ in THEIRS))
    datasets = sorted({name for group in groups for name in group.first.scores["dataset"]})
    notes = [SEEDS, "sum T': what pruning left, in full decoders (without pruning one a decoder). height, labels: what a linear map "
             "reads out of the frozen features of training cases.", caveat(datasets)]  # fmt: skip
    return Table("encoders", f"How the encoder came to be (Tables S8 and S9), beside the {LABEL}", header, tuple(rows), pd.DataFrame(data),
                 tuple(notes))  # fmt: skip


def measures(run: Run) -> dict[str, object]:
    """Of one run: the paper's row that its encoder is, scores over all pairs, sum T' in per cent, and the probe."""
    probe = probed(run)
    total = final_mean(run.scores)
    share = sizes(run).get("nominal_share_sum", float("nan"))
    return {
        "paper": named_row(run.config), "dsc": total["dsc"], "asd_mm": total["asd_mm"], "sum_t": 100 * share,
        "height_mm": probe.get("height_mm", float("nan")), "tissue": 100 * probe.get("tissue", float("nan")),
    }  # fmt: skip


def named_row(config: Mapping) -> str | None:
    """The row of the paper's tables that a run's encoder says it is; None where it learned from other datasets or views than the row's."""
    told = (config.get("encoder") or {}).get("paper")
    if not told:
        return None
    data, _, _, views = told.split(" | ")
    slots = config["encoder"].get("datasets") or config["order"]["steps"][:1]
    views_of = [stage["view"] for stage in config["encoder"]["stages"].values() if stage.get("view")]
    crops = any(step["transform"]["_target_"].endswith("ResizedCrop") for view in views_of for step in view["transforms"])
    known = {config["data"]["datasets"][slot].get("paper_slug") for slot in slots}
    return told if known == SOURCES[data] and views in ("—", "Default" if crops else "Proposed") else None


def paper_row(order: str, row: str) -> dict[str, float]:
    """The paper's numbers of a row (`data | method | supervision | views`) in the table of an order; none where it has no such row."""
    table, dataset = TABLES.get(order, ("", ""))
    printed = results(table, dataset=dataset, method=row).set_index("measure")["value"] if table else {}
    if not len(printed):
        return {}
    return {"paper_dsc": printed["dsc"], "paper_asd_mm": printed["asd_mm"], "paper_sum_t": 100 * printed["nominal_share_sum"]}
