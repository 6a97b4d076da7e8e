"""CADS's rule for missed and clipped organs, applied to scores that another rule gave: an alternative view of the same predictions.

A missed structure is judged by the share of its usual volume that the scan shows: above VISIBLE it is missed (DSC and NSD 0), below
CLIPPED it lies outside the field of view and is left out; between them the source is silent, and DSC and NSD are 0 as computed.

Not exact from scores.csv, which holds voxel counts but neither a scan's voxel size nor its extent. So (1) the usual volume is not that of
CADS's Table A.5, in mm^3, but the median of the structure's reference volumes in the same dataset, in voxels: right where a dataset's
scans share one grid; (2) the penalty on HD95, the diagonal of the image, cannot be given: a missed structure keeps no distance.
`evaluate=cads` scores by the rule itself. Source: CADS, section 5.1.
"""

from __future__ import annotations

import pandas as pd

VISIBLE, CLIPPED = 0.9, 0.1
JUDGEMENTS = ("visible", "between", "clipped")


def usual_share(rows: pd.DataFrame) -> pd.Series:
    """Reference volume as a share of the structure's median in the same dataset; NaN where the reference is empty or unknown.

    rows: of one step and stage, with `dataset`, `structure` and `reference_voxels`.
    """
    voxels = rows["reference_voxels"].where(rows["reference_voxels"] > 0)
    return voxels / voxels.groupby([rows["dataset"], rows["structure"]]).transform("median")


def judged(rows: pd.DataFrame, share: pd.Series) -> pd.DataFrame:
    """`rows` with `judgement` (of JUDGEMENTS for missed structures, else empty) and `dsc` and `nsd` by the rule.

    share: of the usual volume that the reference has, one a row; a missed structure without one counts as between.
    """
    missed = (rows["status"] == "missed") | ((rows["status"] == "out_of_fov") & (rows["reference_voxels"] > 0))
    judgement = pd.Series("", index=rows.index).mask(missed, "between")
    judgement = judgement.mask(missed & (share > VISIBLE), "visible").mask(missed & (share < CLIPPED), "clipped")
    ruled = {value: rows[value].mask(missed, 0.0).mask(judgement == "clipped") for value in ("dsc", "nsd")}
    return rows.assign(judgement=judgement, clipped_but_found=~missed & (rows["status"] == "ok") & (share < CLIPPED), **ruled)
