"""The pools of a run: processes for work that computes, threads for work that waits."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread, get_ident
from typing import Any

from stagepipe.plan.planner import Plan, StagePlan
from stagepipe.run import worker
from stagepipe.run.crew import Crew
from stagepipe.run.fanout import Ended, FanOut
from stagepipe.run.orders import Order, Returned

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
            worker.lend(checked.work)
            fan_out = FanOut(Threads(threads), checked.work, threads, None)
            return self._stack.enter_context(fan_out)
        if self._processes is None:
            make_pool = checked.plugins.executor(checked.pipeline.executor)
            most = max(len(stage.to_make) for stage in self._plan.layers)
            jobs = self._jobs if self._plan.is_open else min(self._jobs, most)
            crew = Crew(make_pool, jobs, checked.work)
            fan_out = FanOut(crew, checked.work, jobs, checked.pipeline.worker_memory)
            self._processes = self._stack.enter_context(fan_out)
        return self._processes


@dataclass(frozen=True, slots=True)
class Call:
    """An order for a thread, and the future that takes what it gives."""

    order: Order
    future: Future[Returned]


class Threads:
    """Threads that keep no process from ending. Those of a `ThreadPoolExecutor` are waited for at
    its end, also when a step in them waits for an answer that never comes. No thread can be ended:
    one whose attempt is given up goes on, and another one takes its place."""

    def __init__(self, count: int) -> None:
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        self._threads: list[Thread] = []
        self._at: dict[str, tuple[Call, int]] = {}
        for _ in range(count):
            self._add()

    def _add(self) -> None:
        name = f"{THREAD_NAME}-{len(self._threads)}"
        thread = Thread(target=self._work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def await_warm(self) -> None:
        """There is nothing to wait for."""

    def submit(self, order: Order) -> Future[Returned]:
        """Have one of the threads make an attempt."""
        call = Call(order, Future())
        self._calls.put(call)
        return call.future

    def end(self, order: Order, pid: int | None) -> None:
        """Give an attempt up."""
        del pid
        call, thread = self._at.get(order.attempt, (None, 0))
        if call is None or call.future.done():
            return
        worker.give_up(order.attempt)
        frame = sys._current_frames().get(thread)
        text = "".join(traceback.format_stack(frame)) if frame is not None else ""
        with suppress(InvalidStateError):  # it was done in this moment
            call.future.set_exception(Ended(text))
            self._add()

    def kill(self, pid: int) -> None:
        """Threads have no process of their own."""

    def bury(self) -> Mapping[int, str]:
        """No thread dies."""
        return {}

    def renew(self) -> None:
        """Threads do not break."""

    def close(self, *, is_at_rest: bool) -> None:
        """Let the threads end; those that are at work are not waited for."""
        for _ in self._threads:
            self._calls.put(None)
        if is_at_rest:
            for thread in self._threads:
                if not any(thread.ident == at for _, at in self._at.values()):
                    thread.join()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            attempt = call.order.attempt
            self._at[attempt] = call, get_ident()
            result = worker.run_task(call.order)
            del self._at[attempt]
            try:
                call.future.set_result(result)
            except InvalidStateError:
                return  # it was given up, and another thread has its place
