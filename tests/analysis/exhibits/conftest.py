"""Names with runs over the paper's five datasets, two cases each, from DSC, pruning rates and validation DSC given by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
import pytest
import yaml

from analysis.columns import DECODER_COLUMNS, FOOTPRINT_COLUMNS
from analysis.exhibits.match import FIVE_PUBLIC
from analysis.groups import Group
from analysis.load import Run

ORGANS = {("TotalSegmentatorV2", "Liver"): (0.9, 0.7), ("TotalSegmentatorV2", "Kidney_L"): (0.8, 0.8),
          ("StructSeg19", "BrainStem"): (0.6, 0.0), ("FLARE22", "Liver"): (0.5, 0.7), ("SegTHOR", "Heart"): (1.0, 0.8),
          ("KiTS21", "Kidney_Lesion"): (0.4, 0.2)}
WHOLE = {"ema": 0.9, "supporting": {"as_masks": False}, "encoder": {"stages": {"supervised": {}}}}


@pytest.fixture
def organ_runs(tmp_path: Path) -> Callable[..., Group]:
    """Scores after one step per dataset. rates: structure -> pruning rate of its decoder, 0 where not given; plus: per seed, what is
    added to every DSC; extra: pairs beyond ORGANS (of a sixth dataset too); untrained: datasets that are only scored."""
    def make(name: str = "run", order: str = "O1", rates: Mapping[str, float] | None = None, plus: tuple[float, ...] = (0.0,),
             extra: Mapping = {}, untrained: tuple[str, ...] = (), universal: bool = False, **config) -> Group:
        pairs = ORGANS | dict(extra)
        datasets = list(dict.fromkeys([*FIVE_PUBLIC, *(dataset for dataset, _ in pairs)]))
        learned = [dataset for dataset in datasets if dataset not in untrained]
        steps = [(0, "all")] if universal else [(step, f"phantom_{dataset}") for step, dataset in enumerate(learned)]
        runs = []
        for seed, more in enumerate(plus):
            folder = tmp_path / f"{name}{seed}"
            folder.mkdir()
            slots = {dataset: {"name": f"phantom_{dataset}", "paper_slug": dataset} for dataset in datasets}
            (folder / "config.yaml").write_text(yaml.safe_dump({"data": {"name": "phantom", "datasets": slots}} | WHOLE | config))
            run = {"experiment": name, "order": order, "method": "clnet", "seed": seed}
            rows = [run | {"step": step, "trained_on": trained, "dataset": f"phantom_{dataset}", "case": str(case), "structure": structure,
                           "stage": "merged", "dsc": dsc + more, "asd_mm": 2.0 - dsc if dsc else None, "hd95_mm": None, "nsd": None,
                           "status": "ok" if dsc else "missed"}
                    for step, trained in steps for (dataset, structure), values in pairs.items() for case, dsc in enumerate(values)]
            decoders = [run | {"step": steps[-1][0], "decoder": structure, "structures": structure, "group": "Abdomen", "updated": True,
                               "pruning_rate_percent": (rates or {}).get(structure, 0.0), "validation_dsc_before": 0.9,
                               "validation_dsc_after": 0.89} for structure in dict.fromkeys(structure for _, structure in pairs)]
            runs.append(Run(folder, pd.DataFrame(rows).astype({"asd_mm": float, "hd95_mm": float, "nsd": float}),
                            pd.DataFrame(decoders, columns=list(DECODER_COLUMNS)), pd.DataFrame(columns=list(FOOTPRINT_COLUMNS)), {}))
        return Group(name, tuple(runs))

    return make
