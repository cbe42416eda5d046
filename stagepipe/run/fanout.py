"""The fan-out: a pool of workers, and the loop that gives it one task at a time.

Never more is submitted than may run: what waits, waits in `Limits`. So when a worker dies, the
suspects are the few tasks in flight.
"""

from __future__ import annotations

import multiprocessing
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait

from stagepipe.errors import TaskError
from stagepipe.model import Failure, Receipt, Task
from stagepipe.plan.work import Work
from stagepipe.run import worker
from stagepipe.run.limits import Limits

PATIENCE_SECONDS = 0.5
"""How long the loop waits for a result, and how often it tells listeners what it waits for."""


class FanOut:
    """A warm pool of workers. Use it as a context: leaving it ends every worker, by SIGKILL when
    something went wrong."""

    def __init__(self, make_pool: Callable[..., Executor], jobs: int, work: Work) -> None:
        self.jobs = jobs
        self.attempt = secrets.token_hex(4)
        self._before = set(multiprocessing.active_children())
        self._pool = make_pool(max_workers=jobs, initializer=worker.start, initargs=(work,))
        # A worker that dies in a cold pool may go unnoticed; one task each warms it.
        self._warming = [self._pool.submit(worker.warm_up) for _ in range(jobs)]

    def __enter__(self) -> FanOut:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._pool.shutdown()
            return
        # Workers ignore SIGTERM, which a process group gets as one: they are ended by their id.
        workers = set(multiprocessing.active_children()) - self._before
        for process in workers:
            process.kill()
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in workers:
            process.join()

    def run(
        self,
        limits: Limits,
        order: Callable[[Task], worker.Order],
        started: Callable[[Task], None],
        waiting: Callable[[int], None],
    ) -> Iterator[tuple[Task, Receipt | Failure]]:
        """Do all tasks as their limits allow; each with what became of it, as they finish.

        Raises TaskError when a worker dies.
        """
        running: dict[Future[Receipt | Failure], Task] = {}
        try:
            self._await_warm()
            told = float("-inf")
            while True:
                now = time.monotonic()
                while (task := limits.next_task(now)) is not None:
                    started(task)
                    running[self._pool.submit(worker.run_task, order(task))] = task
                if not running and limits.is_drained:
                    return
                done = self._wait(running, limits.wake_at(now), now)
                if not done or now - told >= PATIENCE_SECONDS:
                    waiting(len(running))
                    told = now
                for future in done:
                    result = future.result()  # a broken pool raises here; the task is a suspect yet
                    task = running.pop(future)
                    limits.finished(task)
                    yield task, result
        except BrokenExecutor as error:
            raise _death([t for f, t in running.items() if not _has_result(f)]) from error

    def _await_warm(self) -> None:
        for future in self._warming:
            future.result()
        self._warming = []

    def _wait(
        self, running: dict[Future[Receipt | Failure], Task], wake_at: float | None, now: float
    ) -> list[Future[Receipt | Failure]]:
        """What finished, in the order of its chunks; nothing when it is time to look again."""
        patience = PATIENCE_SECONDS if wake_at is None else min(PATIENCE_SECONDS, wake_at - now)
        if not running:
            time.sleep(max(patience, 0))
            return []
        done, _ = wait(running, timeout=max(patience, 0), return_when=FIRST_COMPLETED)
        return sorted(done, key=lambda future: running[future].chunk.index)


def _has_result(future: Future[Receipt | Failure]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _death(suspects: list[Task]) -> TaskError:
    names = ", ".join(f"chunk {task.chunk.index} of {task.chunk.source}" for task in suspects)
    return TaskError(
        "a worker process died" + (f" while these ran: {names}" if names else " as it started"),
        "it was killed, ran out of memory, or a plugin crashed it; finished parts are kept: "
        "run again, perhaps with fewer jobs or a smaller chunk_size",
    )
