"""The pools of a run: processes for work that computes, threads for work that waits."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

from stagepipe.plan.planner import Plan, StagePlan
from stagepipe.run import worker
from stagepipe.run.fanout import FanOut


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
            most = max(len(stage.to_make) for stage in self._plan.stages)
            jobs = self._jobs if self._plan.is_open else min(self._jobs, most)
            fan_out = FanOut(make_pool, jobs, checked.work)
            self._processes = self._stack.enter_context(fan_out)
        return self._processes


def _threads(
    *, max_workers: int, initializer: Callable[..., None], initargs: tuple[Any, ...]
) -> Executor:
    del initializer  # this process is no worker: it keeps its signals and its stdout
    worker.lend(*initargs)
    return ThreadPoolExecutor(max_workers, thread_name_prefix="stagepipe-io")
