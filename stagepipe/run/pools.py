"""The pools of a run: processes for work that computes, threads for work that waits."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import ExitStack, suppress
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from stagepipe.plan.planner import Plan, StagePlan
from stagepipe.run import worker
from stagepipe.run.fanout import FanOut

THREAD_NAME = "stagepipe-io"


class FanOuts:
    """Makes each pool when it is first needed; leaving the context ends them all."""

    def __init__(self, plan: Plan, jobs: int) -> None:
        self._plan = plan
        self._jobs = jobs
        self._stack = ExitStack()
        self._processes: FanOut | None = None

    def __enter__(self) -> FanOuts:
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def of(self, stage: StagePlan) -> FanOut:
        """The pool in which a stage runs."""
        checked = self._plan.checked
        if stage.work.is_io_bound:
            threads = max(self._jobs, stage.declared.max_concurrent or 0)
            return self._stack.enter_context(FanOut(_threads, threads, checked.work))
        if self._processes is None:
            make_pool = checked.plugins.executor(checked.pipeline.executor)
            most = max(len(stage.to_make) for stage in self._plan.layers)
            jobs = self._jobs if self._plan.is_open else min(self._jobs, most)
            fan_out = FanOut(make_pool, jobs, checked.work)
            self._processes = self._stack.enter_context(fan_out)
        return self._processes


def _threads(
    *, max_workers: int, initializer: Callable[..., None], initargs: tuple[Any, ...]
) -> Executor:
    del initializer  # this process is no worker: it keeps its signals and its stdout
    worker.lend(*initargs)
    return Threads(max_workers)


class Threads(Executor):
    """Threads that keep no process from ending. Those of a `ThreadPoolExecutor` are waited for at
    its end, also when a step in them waits for an answer that never comes."""

    def __init__(self, count: int) -> None:
        self._calls: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._threads = [
            Thread(target=self._work, name=f"{THREAD_NAME}-{number}", daemon=True)
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have one of the threads make the call."""
        future: Future[Any] = Future()
        self._calls.put((future, partial(fn, *args, **kwargs)))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let the threads end when what was submitted is done, or at once what they are at."""
        if cancel_futures:
            with suppress(Empty):
                while (waiting := self._calls.get_nowait()) is not None:
                    waiting[0].cancel()
        for _ in self._threads:
            self._calls.put(None)
        if wait:
            for thread in self._threads:
                thread.join()

    def _work(self) -> None:
        while (found := self._calls.get()) is not None:
            future, call = found
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001 - the future tells it
                future.set_exception(error)
            else:
                future.set_result(result)
