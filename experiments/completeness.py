"""Whether a composed configuration can work at all: nothing left open, an order that its data can serve, data where it should lie."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from clnet.errors import UsageError
from experiments.results import SCORES_OF

_NEED_DATA = ("run", "verify", "prepare")
_NEED_ORDER = ("run", "prepare")
_TO_NAME = {"predict": (("input", "output"), "task=predict run=RUN_FOLDER input=FILE_OR_FOLDER output=FOLDER"),
            "compare": (("runs", "output"), "task=compare runs=RUN_FOLDER,RUN_FOLDER output=FOLDER"),
            "report of runs": (("output",), "task=report runs=RUN_FOLDER,RUN_FOLDER output=FOLDER")}  # fmt: skip


def check_complete(cfg, conf: Path) -> None:
    """Raise UsageError for `???`, an unset environment variable, an order without its datasets, or a data root that is no folder."""
    from omegaconf import OmegaConf
    from omegaconf.errors import InterpolationResolutionError, OmegaConfBaseException

    try:
        missing = sorted(OmegaConf.missing_keys(cfg))
        plain = OmegaConf.to_container(cfg, resolve=True)
    except OmegaConfBaseException as error:
        what = "not set" if isinstance(error, InterpolationResolutionError) else "cannot be resolved"
        key = error.full_key or "the configuration"
        raise UsageError(f"{what}: {key}", found=str(error).splitlines()[0], fix=f"{key}=... on the command line") from None
    if missing:
        raise UsageError(f"not set: {', '.join(missing)}", fix=" ".join(f"{key}=..." for key in missing))
    data, task = plain.get("data") or {}, plain.get("task")
    _check_scored(plain)
    if task in _NEED_ORDER:
        _check_order(plain.get("order") or {}, data, conf)
    if task in _NEED_DATA and data.get("root") and not data.get("make"):
        _check_folder("data.root", str(data["root"]), fetched=bool(data.get("fetch")))
    keys, usage = _TO_NAME.get("report of runs" if task == "report" and plain.get("runs") else task, ((), None))
    unset = [key for key in keys if not plain.get(key)]
    if unset:
        raise UsageError(f"not set: {', '.join(unset)}", fix=usage)


def _check_scored(plain: Mapping) -> None:
    cases = plain.get("scored_cases", "test")
    if cases not in SCORES_OF:
        raise UsageError("no such cases to score", where=f"scored_cases={cases}", expected=", ".join(SCORES_OF))
    if cases == "validation" and not plain.get("validation_share"):
        raise UsageError("no case is left out to validate on", where="validation_share=0", fix="validation_share=0.2")


def _check_order(order: Mapping, data: Mapping, conf: Path) -> None:
    slots, steps = data.get("datasets") or {}, order.get("steps") or []
    unknown = [step for step in steps if step not in slots]
    if not unknown:
        return
    fitting = [file.stem for file in sorted((conf / "order").glob("*.yaml"))
               if set((yaml.safe_load(file.read_text()) or {}).get("steps") or ["?"]) <= set(slots)]
    raise UsageError("the order needs datasets that data does not have", found=", ".join(unknown), expected=", ".join(slots),
                     fix=f"order={' or order='.join(fitting)}, or set both by experiment=" if fitting else None)


def _check_folder(key: str, text: str, fetched: bool) -> None:
    path = Path(text).expanduser().absolute()
    if path.is_dir():
        return
    parent = next(folder for folder in path.parents if folder.exists())
    fix = f"{key}=FOLDER, or the same command with task=fetch downloads it first" if fetched else f"{key}=FOLDER"
    if text[:1] in "\"'" or text[-1:] in "\"'":
        fix = "remove the quotes that are part of the value"
    raise UsageError(f"{key} is not a folder", where=path, found=f"nearest existing folder: {parent}", fix=fix)
