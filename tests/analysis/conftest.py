"""Synthetic run folders in the contract's columns: five datasets, 66 pairs, misses, false positives, cases without annotation."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html import escape, unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

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
GROUPS = {"phantom_head_neck": "Head & Neck", "phantom_abdomen": "Abdomen", "phantom_chest": "Chest", "phantom_lesion": "Lesion"}
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


def merged(scores: pd.DataFrame, loss: float = 0.01) -> pd.DataFrame:
    """`scores` with a second, merged stage whose DSC is lower by `loss` where it can be."""
    return pd.concat([scores, scores.assign(stage="merged", dsc=(scores["dsc"] - loss).clip(lower=0))], ignore_index=True)


def universal(scores: pd.DataFrame) -> pd.DataFrame:
    """The scores of the last step as those of the only step `all`."""
    return scores[scores["step"] == scores["step"].max()].assign(step=0, trained_on="all", experiment="universal5")


def make_decoders(rates: tuple[float, ...] = (0.0,), seed: int = 0) -> pd.DataFrame:
    """decoders.csv of the same run: one decoder per organ; abdomen updates Liver and Spleen, everything else stays frozen.

    rates: pruning rates (%) that decoders have in turn.
    """
    known: dict[str, str] = {}
    rows = []
    group_of: dict[str, str] = {}
    for step, (dataset, structures) in enumerate(DATASETS.items()):
        group_of = {name: GROUPS.get(dataset, "Bone" if name.startswith("Bone") else "Abdomen") for name in structures} | group_of
        updated = [name for name in structures if name not in known or (step == 2 and name in ("Liver", "Spleen"))]
        known |= {name: f"{step:04x}{index:04x}" * 8 for index, name in enumerate(structures) if name in updated}
        rate = dict(zip(known, itertools.cycle(rates)))
        rows += [{**IDENTITY, "seed": seed, "step": step, "trained_on": dataset, "decoder": name, "group": group_of[name],
                  "structures": name, "pruning_rate_percent": rate[name], "parameters": 61_000,
                  "nonzero_parameters": round(61_000 * (1 - rate[name] / 100)), "nominal_share": 1 - rate[name] / 100,
                  "validation_dsc_before": 0.9, "validation_dsc_after": 0.9 + (index % 3 - 1) / 1000 if rate[name] else np.nan,
                  "rounds": 5 * (rate[name] > 0), "updated": name in updated, "weights_sha256": sha}
                 for index, (name, sha) in enumerate(known.items())]
    return pd.DataFrame(rows)


def make_merging(scores: pd.DataFrame) -> pd.DataFrame:
    """merging.csv of the same run: per annotated row 100 false voxels (30 outside the range) become 60 (0), 900 true ones 890."""
    counts = {"false_voxels_before": 100, "false_voxels_after": 60, "false_outside_before": 30, "false_outside_after": 0,
              "true_outside_before": 4, "true_voxels_before": 900, "true_voxels_after": 890}
    keep = scores[(scores["stage"] == "merged") & (scores["status"] != "not_annotated")]
    columns = [*IDENTITY, "step", "trained_on", "dataset", "case", "structure"]
    return keep[columns].assign(decoder=keep["structure"], **counts)


def write_run(folder: Path, scores: pd.DataFrame, decoders: pd.DataFrame | None = None, merging: pd.DataFrame | None = None) -> Path:
    """Write the files of a run folder; one footprint row per step, with the decoders' shares."""
    folder.mkdir(parents=True, exist_ok=True)
    scores.to_csv(folder / "scores.csv", index=False)
    decoders = make_decoders() if decoders is None else decoders
    decoders.to_csv(folder / "decoders.csv", index=False)
    if merging is not None:
        merging.to_csv(folder / "merging.csv", index=False)
    shares = decoders.groupby("step")["nominal_share"].sum()
    steps = scores[["step", "trained_on"]].drop_duplicates().sort_values("step")
    pd.DataFrame([{**IDENTITY, "step": step, "trained_on": name, "parameters": 10**6 * (step + 1), "nonzero_parameters": 10**6,
                   "nominal_share_sum": shares.get(step), "nominal_parameters_m": 15.65 * (1 + shares.get(step, np.nan)),
                   "dense_bytes": 4 * 10**6, "sparse_bytes": 10**6, "seconds": 60.0, "peak_memory_mib": 900}
                  for step, name in steps.itertuples(index=False)]).to_csv(folder / "footprint.csv", index=False)
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


@pytest.fixture(scope="session")
def decoders_of() -> Callable[..., pd.DataFrame]:
    """`make_decoders`."""
    return make_decoders


@pytest.fixture(scope="session")
def merged_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """The same run with both stages, DSC 0.01 lower after merging; read only."""
    return merged(scores)


@pytest.fixture(scope="session")
def universal_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """All five datasets learned in the one step `all`; read only."""
    return universal(scores)


@pytest.fixture
def run_with(tmp_path: Path) -> Callable[..., Path]:
    """Writes a run folder from scores and, if given, decoders and merging."""
    return lambda scores, decoders=None, merging=None, name="run": write_run(tmp_path / name, scores, decoders, merging)


@pytest.fixture
def merged_folder(run_with: Callable[..., Path], merged_scores: pd.DataFrame) -> Path:
    """A pruned run with merging and all tables."""
    return run_with(merged_scores, make_decoders((99.0, 96.0, 88.0)), make_merging(merged_scores))


@pytest.fixture
def universal_folder(run_with: Callable[..., Path], universal_scores: pd.DataFrame) -> Path:
    """A universal run of one step with its decoders."""
    decoders = make_decoders()
    return run_with(universal_scores, decoders[decoders["step"] == 4].assign(step=0, trained_on="all", experiment="universal5"))


@pytest.fixture(scope="session")
def overlaps() -> Callable[[Figure], list[tuple[str, str]]]:
    """Pairs of a figure's texts, level or upright, whose boxes meet when drawn."""
    def find(figure: Figure) -> list[tuple[str, str]]:
        figure.draw_without_rendering()
        texts = [text for axis in figure.axes if axis.get_visible()
                 for text in (*(axis.get_xticklabels() if axis.xaxis.get_visible() else ()), *axis.get_yticklabels(), *axis.texts,
                              axis.title, axis.xaxis.label, axis.yaxis.label)
                 if text.get_text() and text.get_visible()]
        texts += [text for legend in figure.legends for text in legend.get_texts()]
        boxes = [(text.get_text(), text.get_window_extent()) for text in texts if text.get_rotation() in (0, 90)]
        return [(a, b) for index, (a, first) in enumerate(boxes) for b, second in boxes[index + 1:] if first.overlaps(second)]

    return find


@pytest.fixture
def in_browser(tmp_path: Path) -> Callable[..., object]:
    """Opens HTML in a headless Chromium, in a frame `width` pixels wide, and returns what a script's `return` gives there, as JSON does."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
    if program is None:
        pytest.skip("no chromium or chrome here: the scripts of the pages were not run")

    def answer(html: str, script: str, width: int = 1280) -> object:
        run = f"JSON.stringify(new (document.querySelector('iframe').contentWindow.Function)({json.dumps(script)})())"
        show = f"window.onload = () => {{ document.querySelector('pre').textContent = {run.replace('</', '<' + chr(92) + '/')} }}"
        page = tmp_path / "framed.html"
        page.write_text(f"<!doctype html><meta charset=utf-8><pre></pre><iframe width={width} height=900 style='border: 0' "
                        f"srcdoc='{escape(html)}'></iframe><script>{show}</script>", encoding="utf-8")
        command = [program, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom",
                   page.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
        found = re.search("<pre>(.+?)</pre>", done.stdout, re.DOTALL)
        assert found, f"the script gave no answer: {done.stderr[-1000:]}"
        return json.loads(unescape(found[1]))

    return answer


@pytest.fixture
def write_view() -> Callable[..., Path]:
    """Writes a view of a test case into a run folder: a tube along z of 40 HU in air; `masks` is kind -> structure -> (z, y, x) bool."""
    def write(folder: Path, dataset: str, case: str, masks: dict[str, dict[str, np.ndarray]], dsc: dict[str, float],
              unannotated: tuple[str, ...] = ()) -> Path:
        names = list(masks["predicted"])
        shape = masks["predicted"][names[0]].shape
        y, x = np.ogrid[:shape[1], :shape[2]]
        inside = (y - shape[1] / 2) ** 2 + (x - shape[2] / 2) ** 2 < (min(shape[1:]) / 2) ** 2
        packed = {kind: np.packbits(np.stack([masks[kind][name] for name in names]).reshape(len(names), -1), axis=1) for kind in masks}
        path = folder / "cases" / f"{dataset}__{case}.npz"
        path.parent.mkdir(exist_ok=True)
        np.savez_compressed(path, image_hu=np.broadcast_to(np.where(inside, 40, -1000), shape).astype(np.int16),
                            spacing_mm=np.array([6.0, 5.0, 5.0]), names=np.array(names), dsc=np.array([dsc[name] for name in names]),
                            annotated=np.array([name not in unannotated for name in names]), **packed)
        return path

    return write


@pytest.fixture
def run_folder(run_with: Callable[..., Path], scores: pd.DataFrame) -> Path:
    return run_with(scores)
