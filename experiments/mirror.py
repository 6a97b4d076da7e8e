"""A copy of a run's scores for Weights & Biases. The tables in the run folder are the truth; whatever fails here is one warning."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path


def mirror(cfg: Mapping, folder: Path, scores: Iterable[Mapping]) -> None:
    """Log the mean DSC of every (dataset, structure) at every step, where `logger.wandb` is set; offline unless its mode says online.

    scores: rows of scores.csv. Files lie in the run folder; `wandb sync` sends them later. Never raises.
    """
    wanted = (cfg.get("logger") or {}).get("wandb")
    if not wanted:
        return
    try:
        import wandb

        settings = wandb.Settings(silent=True, init_timeout=20)
        with wandb.init(**wanted, dir=str(folder), name=folder.name, id=folder.name[:60], resume="allow", settings=settings) as run:
            for step, values in sorted(_means(scores).items()):
                run.log(values, step=step)
    except Exception as error:  # no key, no network, a service that does not start: none of it is worth a run
        warnings.warn(f"Weights & Biases got no copy of this run ({type(error).__name__}: {error})", stacklevel=2)


def _means(scores: Iterable[Mapping]) -> dict[int, dict[str, float]]:
    """Step -> `dataset/structure` -> mean DSC over the cases that have one."""
    values: dict[int, dict[str, list[float]]] = {}
    for row in scores:
        if row["dsc"] is not None:
            values.setdefault(row["step"], {}).setdefault(f"{row['dataset']}/{row['structure']}", []).append(row["dsc"])
    return {step: {name: sum(column) / len(column) for name, column in names.items()} for step, names in values.items()}
