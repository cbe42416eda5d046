"""A run, from being asked for to its beginning."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stagepipe import events
from stagepipe.declare import Pipeline
from stagepipe.errors import UsageError
from stagepipe.plan.planner import Checked, check, make_plan
from stagepipe.record.ledger import Ledger
from stagepipe.run import WORKER_MODULES, memory
from stagepipe.run.caps import usable_cores
from stagepipe.run.commit import place_of
from stagepipe.run.descriptors import hold_lowest
from stagepipe.run.engine import Run
from stagepipe.run.holding import signals_held_back
from stagepipe.run.journal import Journal
from stagepipe.run.lock import only_run
from stagepipe.run.making import How
from stagepipe.run.result import RunResult
from stagepipe.stopwatch import timed

if TYPE_CHECKING:
    from stagepipe.run.profile import Profile

NO_SCREEN = events.Screen()


@dataclass(frozen=True, slots=True)
class Request:
    """How a run is asked for: see `run`. `replay_of` is the run whose rejects it takes up,
    `profile` what takes its times."""

    jobs: int | None = None
    fresh: bool = False
    keep_going: bool = False
    fail_fast: bool = False
    listeners: Sequence[events.Listener] = ()
    screen: events.Screen = NO_SCREEN
    replay_of: str | None = None
    profile: Profile | None = None

    def counting(self) -> AbstractContextManager[None]:
        """Have what is done count in the profile, where there is one."""
        return nullcontext() if self.profile is None else self.profile.counting()


def run(
    pipeline: Pipeline,
    *,
    jobs: int | None = None,
    fresh: bool = False,
    keep_going: bool = False,
    fail_fast: bool = False,
    listeners: Sequence[events.Listener] = (),
    screen: events.Screen = NO_SCREEN,
    profile: bool = False,
) -> RunResult:
    """Run a pipeline, and say how it went.

    Args:
        pipeline: what to run.
        jobs: worker processes; the pipeline's own number when left out, 0 for one per core.
        fresh: take no finished part.
        keep_going: commit although a budget is exceeded; the run fails all the same.
        fail_fast: stop at the first dead letter or failed task.
        listeners: called with each event of the run (`stagepipe.events`).
        screen: where the plugins' listeners may show progress; nowhere when left out.
        profile: write where the time went; `result.profile` says where that lies.

    Returns:
        The result, also of a run that failed or was interrupted; `result.error` then says why.

    Raises:
        PipelineError, PluginError, InputError, OutputError, UsageError, LockedError: nothing was
            read or written.
        LedgerError: neither, because the ledger cannot be used.
    """
    times = None
    if profile:
        from stagepipe.run.profile import Profile

        times = Profile()
    request = Request(jobs, fresh, keep_going, fail_fast, listeners, screen, profile=times)
    return run_as(pipeline, request)


def run_as(pipeline: Pipeline, request: Request) -> RunResult:
    """Run a pipeline as it is asked for. Raises what `run` raises."""
    with request.counting():
        checked = get_ready(pipeline)
        with only_run(pipeline):
            return run_locked(checked, request)


def get_ready(pipeline: Pipeline) -> Checked:
    """Check a pipeline that is about to run. Raises what `run` raises."""
    # The same mark by which multiprocessing itself knows a process that imports its main script.
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise UsageError(
            "stagepipe.run() was called in a worker process that was importing your script",
            "put the call under `if __name__ == '__main__':`",
        )
    if pipeline.worker_memory is not None and not memory.IS_KNOWN:
        raise UsageError(
            "worker_memory is set, and this system does not tell how much memory a process has",
            "leave worker_memory out here",
        )
    checked = check(pipeline, worker_modules=WORKER_MODULES)
    hold_lowest()  # a plugin may have closed them when it was imported
    return checked


def run_locked(checked: Checked, request: Request) -> RunResult:
    """Run a pipeline that is checked. Only for who holds its lock. Raises what `run` raises."""
    pipeline = checked.pipeline
    since_ns = time.time_ns()
    with timed("plan"):
        plan = make_plan(checked, fresh=request.fresh)  # refused before the first folder is made
    places = [place_of(pipeline, s.name) for s in checked.work.stages if s.sink is not None]
    for place in places:
        place.prepare()
    jobs = (pipeline.jobs if request.jobs is None else request.jobs) or usable_cores()
    with (
        Ledger(pipeline.state_path / "ledger.sqlite") as ledger,
        checked.plugins.listeners(request.screen) as of_plugins,
    ):
        listeners = (*request.listeners, *of_plugins)
        journal = Journal(plan, ledger, listeners, jobs, request.replay_of, request.profile)
        how = How(jobs, request.keep_going, request.fail_fast)
        try:
            return Run(plan, how, journal, since_ns).to_the_end()
        finally:
            with signals_held_back(is_last=True):  # what became of the run is known
                for place in places:
                    place.clear_old()
