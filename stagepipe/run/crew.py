"""The processes of a pool. When one of them dies the pool takes no more work, so all of it is made
anew."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from contextlib import suppress
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import Any

from stagepipe.plan.work import Work
from stagepipe.run import worker
from stagepipe.run.orders import Order, Returned

MakePool = Callable[..., Executor]
UNKNOWN = 255
"""The fork server's word for a process of which it does not know how it ended."""
PATIENCE_SECONDS = 5.0
"""How long a process that was killed is waited for: one that hangs in the kernel may never end."""
LEAVE_SECONDS = 1.0
"""How long a worker with nothing to do may take to end itself: one in which a plugin has started a
thread or a process waits for that."""


class Crew:
    """A warm pool of worker processes, and who they are."""

    def __init__(self, make_pool: MakePool, jobs: int, work: Work) -> None:
        self.jobs = jobs
        self._make_pool = make_pool
        self._work = work
        self._start()

    def _start(self) -> None:
        self._before = set(multiprocessing.active_children())
        self._seen: dict[int, BaseProcess] = {}
        initializer, initargs = worker.start, (self._work,)
        self._pool = self._make_pool(
            max_workers=self.jobs, initializer=initializer, initargs=initargs
        )
        # A worker that dies in a cold pool may go unnoticed; one task each warms it.
        self._warming: list[Future[Any]] = [
            self._pool.submit(worker.warm_up) for _ in range(self.jobs)
        ]

    def await_warm(self) -> None:
        """Wait until the workers are ready. Raises BrokenExecutor when one is not to be."""
        for future in self._warming:
            future.result()
        self._warming = []

    def submit(self, order: Order) -> Future[Returned]:
        """Give an attempt to a worker. Raises BrokenExecutor when one of them is dead."""
        future = self._pool.submit(worker.run_task, order)
        self._look_round()
        return future

    def end(self, order: Order, pid: int | None) -> None:
        """End the process that is at an attempt, with its traceback; all of them where it is not
        known which one that is."""
        del order
        if pid is not None and pid in self._seen:
            _signal(pid, signal.SIGABRT)
        else:
            self._kill()

    def kill(self, pid: int) -> None:
        """End a process at once."""
        if pid in self._seen:
            _signal(pid, signal.SIGKILL)

    def bury(self) -> Mapping[int, str]:
        """End what is left of a pool that is broken; the processes that had ended before, and how,
        in words. Those of which that is not known, as where the fork server was killed, are not
        among them."""
        alive = {pid for pid in self._seen if _is_there(pid)}
        self._kill()
        # The pool asks how its processes ended, too, and only one of two who ask gets an answer.
        self._shut_down(PATIENCE_SECONDS)
        codes = {pid: process.exitcode for pid, process in self._seen.items()}
        return {
            pid: in_words(code)
            for pid, code in codes.items()
            if code not in (None, UNKNOWN) and (pid not in alive or code != -signal.SIGKILL)
        }

    def renew(self) -> None:
        """Make another pool in the place of one that is buried."""
        self._start()

    def close(self, *, is_at_rest: bool) -> None:
        """End all workers; by SIGKILL unless they are `is_at_rest` and end themselves."""
        if is_at_rest and self._shut_down(LEAVE_SECONDS):
            return
        self._kill()
        self._shut_down(PATIENCE_SECONDS)  # a pool that ends later leaves its semaphores behind
        for process in self._seen.values():
            process.join(PATIENCE_SECONDS)

    def _shut_down(self, seconds: float) -> bool:
        """Have the pool end its workers. Whether it did in so many seconds."""
        closing = Thread(target=self._pool.shutdown, kwargs={"cancel_futures": True}, daemon=True)
        closing.start()
        closing.join(seconds)
        return not closing.is_alive()

    def _kill(self) -> None:
        # Workers ignore SIGTERM, which a process group gets as one: they are ended by their id.
        self._look_round()
        for process in self._seen.values():
            process.kill()

    def _look_round(self) -> None:
        """Know each worker: a pool may start some of them late."""
        if len(self._seen) < self.jobs:
            for process in set(multiprocessing.active_children()) - self._before:
                assert process.pid is not None
                self._seen[process.pid] = process


def in_words(code: int) -> str:
    """How a process ended."""
    if code >= 0:
        return f"ended itself with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    perhaps = ", perhaps by the kernel for want of memory" if -code == signal.SIGKILL else ""
    return f"was killed by {name}{perhaps}"


def _is_there(pid: int) -> bool:
    """Whether there is a process of this id, be it one that has ended and is not asked after."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _signal(pid: int, signum: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signum)
