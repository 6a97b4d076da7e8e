"""A synthetic run folder in the contract's columns: five datasets, 66 pairs, misses, false positives, cases without annotation."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

BONES = [f"Bone_T{index}" for index in range(1, 13)] + [f"Bone_Rib{index}_{side}" for index in (1, 2, 3) for side in "LR"]
ORGANS = ["Liver", "Spleen", "Kidney_L", "Kidney_R", "Pancreas", "Stomach", "Duodenum", "GlnD_Adrenal_L", "GlnD_Adrenal_R", "A_Aorta",
          "V_VenaCava_I", "GallBladder", "Eso"]
DATASETS = {
    "phantom_whole_body": [*BONES, *ORGANS, "Brain", "Heart", "Lung_LLL", "Bladder", "Trachea", "SpinalCanal", "Musc_GluteusMaximus_L"],
    "phantom_head_neck": ["BrainStem", "Eye_L", "Eye_R", "Lens_L", "Lens_R", "OpticNerve_L", "OpticNerve_R", "GlnD_Parotid_L",
                          "GlnD_Parotid_R", "Bone_Mandible"],
    "phantom_abdomen": ORGANS,
    "phantom_chest": ["Eso", "Heart", "Trachea", "A_Aorta"],
    "phantom_lesion": ["Kidney_Lesion"],
}
IDENTITY = {"experiment": "order1", "order": "O1", "method": "clnet", "seed": 0}


def make_scores(decay: float = 0.0, cases: int = 4, method: str = "clnet", seed: int = 0) -> pd.DataFrame:
    """scores.csv of a run of O1: DSC falls by the factor `decay` with every step after the one that learned the dataset."""
    random = np.random.default_rng(seed)
    names, rows = list(DATASETS), []
    for learned, (dataset, structures) in enumerate(DATASETS.items()):
        for structure in structures:
            level = random.uniform(0.75, 0.97)
            for case in range(cases):
                first, draw = np.clip(level + random.normal(0, 0.03), 0, 1), random.uniform()
                status = "ok" if draw > 0.09 else ("missed", "false_positive", "not_annotated", "both_empty")[int(draw / 0.0225)]
                for step in range(learned, len(names)):
                    dsc = {"ok": first * (1 - decay) ** (step - learned), "missed": 0.0}.get(status, np.nan)
                    asd = (1 - dsc) * 8 if status == "ok" else np.nan
                    rows.append({**IDENTITY, "method": method, "step": step, "trained_on": names[step], "dataset": dataset,
                                 "case": f"{case:04d}", "structure": structure, "stage": "premerge", "dsc": dsc, "asd_mm": asd,
                                 "hd95_mm": asd * 3, "nsd": dsc if status == "ok" else np.nan,
                                 "reference_voxels": 0 if status in ("false_positive", "both_empty") else 900,
                                 "predicted_voxels": 0 if status in ("missed", "both_empty") else 880, "status": status})
    return pd.DataFrame(rows)


def make_decoders() -> pd.DataFrame:
    """decoders.csv of the same run: one decoder per organ; abdomen updates Liver and Spleen, everything else stays frozen."""
    known: dict[str, str] = {}
    rows = []
    for step, (dataset, structures) in enumerate(DATASETS.items()):
        updated = [name for name in structures if name not in known or (step == 2 and name in ("Liver", "Spleen"))]
        known |= {name: f"{step:04x}{index:04x}" * 8 for index, name in enumerate(structures) if name in updated}
        rows += [{**IDENTITY, "step": step, "trained_on": dataset, "decoder": name, "group": "Abdomen", "structures": name,
                  "pruning_rate_percent": 0.0, "parameters": 61_000, "nonzero_parameters": 61_000, "nominal_share": 1.0,
                  "validation_dsc_before": 0.9, "validation_dsc_after": np.nan, "rounds": 0, "updated": name in updated,
                  "weights_sha256": sha} for name, sha in known.items()]
    return pd.DataFrame(rows)


def write_run(folder: Path, scores: pd.DataFrame, decoders: pd.DataFrame | None = None) -> Path:
    """Write the four files of a run folder."""
    folder.mkdir(parents=True, exist_ok=True)
    scores.to_csv(folder / "scores.csv", index=False)
    (make_decoders() if decoders is None else decoders).to_csv(folder / "decoders.csv", index=False)
    pd.DataFrame([{**IDENTITY, "step": step, "trained_on": name, "parameters": 10**6 * (step + 1), "nonzero_parameters": 10**6,
                   "nominal_parameters_m": 31.3, "dense_bytes": 4 * 10**6, "sparse_bytes": 10**6, "seconds": 60.0, "peak_memory_mib": 900}
                  for step, name in enumerate(DATASETS)]).to_csv(folder / "footprint.csv", index=False)
    (folder / "manifest.json").write_text(json.dumps({"seed": 0, "git": {"revision": "abc<def>"}}))
    return folder


@pytest.fixture(scope="session")
def scores() -> pd.DataFrame:
    """Scores of a run that forgets 5 % a step; read only."""
    return make_scores(decay=0.05)


@pytest.fixture(scope="session")
def scores_of() -> Callable[..., pd.DataFrame]:
    """`make_scores`."""
    return make_scores


@pytest.fixture(scope="session")
def decoders() -> pd.DataFrame:
    """The run's decoders.csv; read only."""
    return make_decoders()


@pytest.fixture
def run_with(tmp_path: Path) -> Callable[..., Path]:
    """Writes a run folder from scores and, if given, decoders."""
    return lambda scores, decoders=None: write_run(tmp_path / "run", scores, decoders)


@pytest.fixture
def run_folder(run_with: Callable[..., Path], scores: pd.DataFrame) -> Path:
    return run_with(scores)
