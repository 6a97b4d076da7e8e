"""The external datasets of Table 4: their columns, and what a run has for them."""

from __future__ import annotations

import pandas as pd

from analysis.exhibits.layout import paper_cells
from analysis.exhibits.match import method_name
from analysis.exhibits.ours import external_datasets
from analysis.load import Run
from analysis.published import results

CHEST, COMMON, ALL = "LungCancer_NLH_OAR", "8 common organs", "external-7"
HEADERS = {"NPC_SMU_OAR": "head & neck (12)", CHEST: "chest (14)", COMMON: "chest (8 common)", "BTCV": "abdomen, BTCV (13)",
           "NPC_CGMH_Lesion": "NPC lesion", "EsoCancer_CGMH_Lesion": "oesophagus lesion", "LiverCancer_CGMH_Lesion": "liver lesion",
           "KidneyCancer_SHCH_Lesion": "kidney lesion", ALL: "mean (43)"}
_SEEN_BY_ALL = ("SAT-Pro", "VISTA3D", "MultiTalent")
NOTE = ("In brackets structures. 8 common: the chest structures that SAT-Pro, VISTA3D and MultiTalent all segment (Table S28). Of the "
        "seven datasets BTCV is public. The paper's mean ASD does not follow from its columns (1.64, 1.48, 1.40 against 1.61, 1.32, 1.23).")


def printed() -> pd.DataFrame:
    """The paper's cells; place: a dataset, the chest's COMMON structures, or ALL."""
    rows = results("4")
    return paper_cells(rows, rows["method"].map(method_name), rows["dataset"].mask(rows["subgroup"] == COMMON, COMMON))


def places(run: Run) -> dict[str, pd.DataFrame]:
    """The datasets of Table 4 that a run was evaluated on without learning them; ALL where it has all seven."""
    found = {name: rows for name, rows in external_datasets(run).items() if name in HEADERS}
    if CHEST in found:
        found[COMMON] = found[CHEST][found[CHEST]["structure"].isin(common_structures())]
    datasets = [name for name in HEADERS if name not in (COMMON, ALL)]
    return found | ({ALL: pd.concat([found[name] for name in datasets])} if found.keys() >= set(datasets) else {})


def common_structures() -> set[str]:
    """The chest's structures that all models of other works segment."""
    return set.intersection(*(set(results("S28", method=method)["structure"]) for method in _SEEN_BY_ALL)) - {"Mean"}
