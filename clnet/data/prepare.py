"""Whole datasets through `casework`: in parallel, resumable, with every refused case reported at once."""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

from clnet.atomic import write_json
from clnet.data.casework import case_identity, finished, prepare_case, remove_abandoned
from clnet.data.dataset import DatasetSpec
from clnet.data.fingerprint import fingerprint
from clnet.data.recipe import Recipe
from clnet.data.store import PreparedCase
from clnet.errors import DataError, HostError
from clnet.types import RawCase

log = logging.getLogger(__name__)

__all__ = ("Recipe", "prepare_case", "prepare_dataset")

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")


def prepare_dataset(spec: DatasetSpec, split: str, recipe: Recipe, folder: Path, workers: int, *, keep_reference: bool | None = None,
                    progress: Callable[[int, int], None] | None = None) -> list[PreparedCase]:
    """Prepare all cases of a split below `folder`, one folder each, and write fingerprint.json beside them.

    Finished cases are kept: after an interruption only what is missing is made; a raw file that has changed is prepared anew.
    workers: processes; 0 works in this one. keep_reference: store the labels on the native grid, by default for "test" only.
    Raises DataError that lists every refused case, after all others are done; HostError when a worker is killed twice or the disk
    is full.
    """
    folder = Path(folder)
    keep = split == "test" if keep_reference is None else keep_reference
    cases = spec.cases(split)
    remove_abandoned(folder)
    missing = [raw for raw in cases if not finished(folder / raw.case, case_identity(raw, spec, recipe, keep))]
    done = len(cases) - len(missing)
    refused: dict[str, DataError] = {}
    for raw, error in _run(missing, spec, recipe, folder, keep, workers):
        if error is not None:
            refused[raw.case] = error
        done += 1
        if progress:
            progress(done, len(cases))
        log.info("%s %s: %d of %d cases prepared", spec.name, split, done - len(refused), len(cases))
    if refused:
        raise _gathered(spec, split, refused, len(cases))
    prepared = [PreparedCase.open(folder / raw.case) for raw in cases]
    write_json(folder / "fingerprint.json", fingerprint(spec, prepared, recipe))
    return prepared


def _run(cases: list[RawCase], spec: DatasetSpec, recipe: Recipe, folder: Path, keep: bool, workers: int) -> Iterator[tuple[RawCase, DataError | None]]:
    """(case, its DataError or None) as cases finish; when a worker is killed, the unfinished ones follow one at a time."""
    if workers < 1:
        for raw in cases:
            yield raw, _attempt(raw, spec, recipe, folder / raw.case, keep)
        return
    waiting = list(cases)
    try:
        with _pool(min(workers, len(cases) or 1)) as pool:
            futures = {pool.submit(_attempt, raw, spec, recipe, folder / raw.case, keep): raw for raw in cases}
            for future in as_completed(futures):
                error = future.result()
                waiting.remove(futures[future])
                yield futures[future], error
    except BrokenProcessPool:
        log.warning("%s: a worker was killed; continuing with one case at a time", spec.name)
    dead = []
    for raw in waiting:
        try:
            with _pool(1) as pool:
                error = pool.submit(_attempt, raw, spec, recipe, folder / raw.case, keep).result()
        except BrokenProcessPool:
            dead.append(raw)
        else:
            yield raw, error
    if dead:
        raise HostError(f"the process that prepared {', '.join(raw.case for raw in dead)} was killed, twice: most likely out of memory",
                        where=", ".join(str(raw.image) for raw in dead), found=f"file(s) of {', '.join(_size(raw.image) for raw in dead)}; {len(cases) - len(dead)} other case(s) are done",
                        fix="run again where more memory is free; finished cases are kept")


def _attempt(raw: RawCase, spec: DatasetSpec, recipe: Recipe, folder: Path, keep: bool) -> DataError | None:
    try:
        prepare_case(raw, spec, recipe, folder, keep)
    except DataError as error:
        return error
    return None


def _gathered(spec: DatasetSpec, split: str, refused: dict[str, DataError], total: int) -> DataError:
    listing = "\n".join(f"  {case}:\n" + "\n".join("    " + line for line in str(error).splitlines()) for case, error in sorted(refused.items()))
    error = DataError(f"{len(refused)} of {total} {split} case(s) of {spec.name} are refused; the others are prepared and kept\n{listing}",
                      fix="correct or remove these files, then run the same command again")
    error.faults = tuple(refused[case] for case in sorted(refused))
    return error


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """A pool of fresh processes with one thread each. Not max_tasks_per_child: it can hang (CPython issue 115634)."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
            try:
                yield pool
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _size(path: Path) -> str:
    return f"{path.stat().st_size / 2**20:.1f} MiB"
