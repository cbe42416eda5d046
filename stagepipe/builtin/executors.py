"""The executor that ships in the box: a process pool with an explicit start method.

Linux's default start method, fork, hangs with polars' threads. The fork server is a clean process
that has imported what workers need and nothing else, so that workers start in milliseconds; where
there is none, workers are spawned.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from typing import Any

PRELOAD = ["stagepipe.run.worker", "pyarrow.csv", "pyarrow.parquet", "polars"]


def process_pool(
    *, max_workers: int, initializer: Callable[..., None], initargs: tuple[Any, ...]
) -> Executor:
    """A `ProcessPoolExecutor` of that many workers."""
    has_fork_server = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if has_fork_server else "spawn")
    if has_fork_server:
        context.set_forkserver_preload(PRELOAD)
    return ProcessPoolExecutor(
        max_workers, mp_context=context, initializer=initializer, initargs=initargs
    )
