"""The executor that ships in the box: a process pool with an explicit start method.

Linux's default start method, fork, hangs with polars' threads. The fork server is a clean process
that has imported what workers need and nothing else, so that workers start in milliseconds; where
there is none, workers are spawned.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from typing import Any

WORKER_ENVIRONMENT = {
    "POLARS_MAX_THREADS": "1",  # a worker has one core
    "MIMALLOC_PURGE_DELAY": "-1",  # nor does pyarrow give memory back between two columns
    "OPENBLAS_NUM_THREADS": "1",  # numpy's threads, which pyarrow loads, spin as they start
    # glibc keeps the memory of one chunk for the next instead of giving it back page by page.
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(256 * 2**20),
}
AT_END = "stagepipe.builtin.fork_server"
HAS_FORK_SERVER = "forkserver" in multiprocessing.get_all_start_methods()
LONGEST_ADDRESS = 103
"""Of a socket, in bytes: 107 on Linux, 103 on macOS."""
SOCKET = "/pymp-12345678/listener-12345678"
"""As multiprocessing names the fork server's, in the temporary folder."""


class ProcessPool:
    """Makes `ProcessPoolExecutor`s."""

    def prepare(self, modules: Sequence[str]) -> None:
        """Start the fork server: it imports what workers need while the parent plans."""
        if may_fork():
            multiprocessing.get_context("forkserver").set_forkserver_preload([*modules, AT_END])
            # It lets SIGINT through again when it has started: not within what holds that back.
            with _deaf():
                resource_tracker.ensure_running()
            with _environment_of_workers(), _deaf():
                forkserver.ensure_running()

    def __call__(
        self, *, max_workers: int, initializer: Callable[..., None], initargs: tuple[Any, ...]
    ) -> Executor:
        """A pool of that many workers."""
        context = multiprocessing.get_context("forkserver" if may_fork() else "spawn")
        return ProcessPoolExecutor(
            max_workers, mp_context=context, initializer=initializer, initargs=initargs
        )


def may_fork() -> bool:
    """Whether a fork server can be asked for workers: the path of its socket may be too long."""
    length = len(os.fsencode(tempfile.gettempdir()) + SOCKET.encode())
    return HAS_FORK_SERVER and length <= LONGEST_ADDRESS


@contextmanager
def _deaf() -> Iterator[None]:
    """Have a process start deaf to what a terminal sends to the whole group: Ctrl-C, a hang-up."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _environment_of_workers() -> Iterator[None]:
    """Have the fork server start with what workers need, without touching this process's own."""
    before = {name: os.environ.get(name) for name in WORKER_ENVIRONMENT}
    os.environ.update(WORKER_ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
