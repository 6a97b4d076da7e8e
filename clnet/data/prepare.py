"""Whole datasets through `casework`: in parallel, resumable, with every refused case reported at once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

from clnet.atomic import write_json
from clnet.data import pool
from clnet.data.casework import case_identity, finished, prepare_case, remove_abandoned
from clnet.data.dataset import DatasetSpec
from clnet.data.fingerprint import fingerprint
from clnet.data.recipe import Recipe
from clnet.data.store import PreparedCase
from clnet.errors import DataError
from clnet.types import RawCase

__all__ = ("Recipe", "prepare_case", "prepare_dataset")

log = logging.getLogger(__name__)

FINGERPRINT_FILE = "fingerprint.json"


def prepare_dataset(
    spec: DatasetSpec,
    split: str,
    recipe: Recipe,
    folder: Path,
    workers: int,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> list[PreparedCase]:
    """Prepare all cases of a split below `folder`, one folder each, and write fingerprint.json beside them.

    Finished cases are kept: after an interruption only what is missing is made; a raw file that has changed is prepared anew.
    workers: processes; 0 works in this one. progress(done, total) is called after each case.
    Raises DataError that lists every refused case, after all others are done (its `faults` holds them one by one); HostError when the
    disk is full or a case kills its process twice.
    """
    folder = Path(folder)
    cases = spec.cases(split)
    remove_abandoned(folder)
    missing = [raw for raw in cases if not finished(folder / raw.case, case_identity(raw, spec, recipe))]
    done = len(cases) - len(missing)
    refused: dict[str, DataError] = {}
    work = partial(_attempt, spec=spec, recipe=recipe, folder=folder)
    for raw, error in pool.each(work, missing, workers, _describe):
        done += 1
        if error is not None:
            refused[raw.case] = error
        if progress:
            progress(done, len(cases))
        log.info("%s %s: %s %s, %d of %d", spec.name, split, raw.case, "refused" if error else "prepared", done, len(cases))
    if refused:
        raise _gathered(spec, split, refused, len(cases))
    prepared = [PreparedCase.open(folder / raw.case) for raw in cases]
    write_json(folder / FINGERPRINT_FILE, fingerprint(spec, prepared, recipe))
    return prepared


def _attempt(raw: RawCase, spec: DatasetSpec, recipe: Recipe, folder: Path) -> DataError | None:
    try:
        prepare_case(raw, spec, recipe, folder / raw.case)
    except DataError as error:
        return error
    return None


def _describe(raw: RawCase) -> str:
    return f"{raw.dataset}/{raw.case} ({raw.image}, {raw.image.stat().st_size / 2**20:.1f} MiB packed)"


def _gathered(spec: DatasetSpec, split: str, refused: dict[str, DataError], total: int) -> DataError:
    names = sorted(refused)
    listing = "\n".join(f"  {name}:\n" + "\n".join("    " + line for line in str(refused[name]).splitlines()) for name in names)
    error = DataError(
        f"{len(refused)} of {total} {split} case(s) of {spec.name} are refused; the others are prepared and kept\n{listing}",
        fix="correct or remove these files, then run the same command again",
    )
    error.faults = tuple(refused[name] for name in names)
    return error
