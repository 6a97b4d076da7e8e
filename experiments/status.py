"""How runs stand: one in a paragraph, many in a table; from their folders alone, while they are at work or long after."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import yaml

from clnet.errors import ClnetError
from clnet.learn.progress import clock
from experiments import results, runfolder

HEADER = ("run", "state", "steps", "done", "left", "seed", "mean DSC", "ended")
_UNKNOWN = "\N{EN DASH}"
_TOGETHER = "experiments.scenario.universal"  # learns all datasets in one step


def describe(folder: Path) -> str:
    """One paragraph on the state of a run. Raises UsageError if there is none."""
    cfg, status = runfolder.load(folder), runfolder.read_status(folder)
    state = status.get("state", "unknown")
    times = ", ".join(f"{name} {status[name]}" for name in ("started", "ended") if status.get(name))
    far = f"steps {_steps(folder, cfg)}, {_share(status)} done, time left {_left(status)}" if state == "running" else ""
    return "\n".join([f"{folder}: {state}{'; the same command continues it' if state == 'killed' else ''}",
                      *(f"  {line}" for line in (times, far) if line), *([status["message"]] if status.get("message") else [])])


def overview(folders: Sequence[Path], final_dsc: Callable[[Path], float]) -> str:
    """A table of runs, the one that started last at the end, and what stopped those that did not finish.

    final_dsc: the mean DSC of a finished run's folder. What a folder does not tell, or tells wrongly, is an en dash: nothing is raised.
    """
    found = [(folder, runfolder.read_status(folder)) for folder in folders]
    found.sort(key=lambda item: str(item[1].get("started") or ""))
    rows = [HEADER, *(_row(folder, status, final_dsc) for folder, status in found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    causes = [f"{folder.name}: {str(status['message']).splitlines()[0]}" for folder, status in found if status.get("message")]
    return "\n".join([*lines, *causes])


def _row(folder: Path, status: Mapping, final_dsc: Callable[[Path], float]) -> tuple[str, ...]:
    state = status.get("state", "unknown")
    try:
        cfg = runfolder.load(folder)
        steps, seed = _steps(folder, cfg), str(cfg.get("seed", _UNKNOWN))
    except (ClnetError, yaml.YAMLError, OSError, AttributeError, TypeError):
        steps = seed = _UNKNOWN
        cfg = {}
    dsc = _UNKNOWN
    if state == "finished":
        try:
            dsc = f"{final_dsc(folder):.3f}{' (validation)' if cfg.get('scored_cases') == 'validation' else ''}"
        except (ClnetError, OSError):  # tables of an older version, or removed ones
            dsc = _UNKNOWN
    left = _left(status) if state == "running" else _UNKNOWN
    return folder.name, state, steps, _share(status), left, seed, dsc, str(status.get("ended") or _UNKNOWN)


def _steps(folder: Path, cfg: Mapping) -> str:
    """`3/5`: steps whose tables are written, and all of them, as far as the configuration tells."""
    table = folder / "footprint.csv"
    done = len(results.read(table)) if table.exists() else 0
    together = (cfg.get("scenario") or {}).get("_target_") == _TOGETHER
    return f"{done}/{1 if together else len((cfg.get('order') or {}).get('steps') or ()) or _UNKNOWN}"


def _share(status: Mapping) -> str:
    if status.get("state") == "finished":
        return "100 %"
    share = (status.get("progress") or {}).get("share")
    return _UNKNOWN if share is None else f"{100 * share:.0f} %"


def _left(status: Mapping) -> str:
    """The estimate that the run left, less the time since; unknown once that has passed."""
    progress = status.get("progress") or {}
    if progress.get("seconds_left") is None:
        return _UNKNOWN
    since = datetime.now(UTC) - datetime.fromisoformat(progress["at"])
    left = progress["seconds_left"] - since.total_seconds()
    return clock(left) if left >= 0 else _UNKNOWN
