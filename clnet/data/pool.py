"""Independent work in several processes that survives the death of one of them."""

from __future__ import annotations

import logging
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection
from typing import TypeVar

from clnet.errors import HostError

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")


def each(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int, describe: Callable[[Item], str]
) -> Iterator[tuple[Item, Result]]:
    """(item, function(item)) as they finish; `workers` fresh processes of one thread each, or this process for 0.

    An exception of `function` passes through. When a process is killed, the unfinished items follow one at a time, each in a process
    of its own; those that kill theirs again are named by `describe` in a HostError after everything else is done.
    """
    if workers < 1 or not items:
        for item in items:
            yield item, function(item)
        return
    waiting = dict(enumerate(items))
    try:
        with _pool(min(workers, len(items))) as pool:
            futures = {pool.submit(function, item): index for index, item in waiting.items()}
            for future in as_completed(futures):
                result = future.result()
                yield waiting.pop(futures[future]), result
    except BrokenProcessPool:
        log.warning("a worker process was killed; the %d unfinished of %d items follow one at a time", len(waiting), len(items))
    dead = []
    for item in waiting.values():
        try:
            with _pool(1) as pool:
                result = pool.submit(function, item).result()
        except BrokenProcessPool:
            dead.append(item)
        else:
            yield item, result
    if dead:
        raise HostError(
            f"{len(dead)} of {len(items)} items killed their process twice: most likely out of memory",
            where="; ".join(describe(item) for item in dead),
            found=f"the other {len(items) - len(dead)} are done",
            fix="run the same command again where more memory is free: what is finished is kept",
        )


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Spawned, as forking a process with threads can deadlock; not max_tasks_per_child, which can hang (CPython issue 115634)."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_end_with_parent) as pool:
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


def _end_with_parent() -> None:
    """Idle workers of a killed parent would otherwise wait for ever."""

    def watch() -> None:
        connection.wait([multiprocessing.parent_process().sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
