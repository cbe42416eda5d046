"""The fan-out with real workers: what one costs that dies or hangs, and that none stays behind."""

from __future__ import annotations

import multiprocessing
import os
import select
import signal
import time
from concurrent.futures import BrokenExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from stagepipe import events
from stagepipe.builtin.executors import ProcessPool
from stagepipe.declare.units import Timeout
from stagepipe.errors import TaskError
from stagepipe.model import Cause, Failure, Receipt
from stagepipe.plan.planner import Plan, check, make_plan
from stagepipe.run import WORKER_MODULES
from stagepipe.run.attempts import Attempt
from stagepipe.run.crew import Crew
from stagepipe.run.deadlines import Deadlines
from stagepipe.run.fanout import MOST_BROKEN, Calls, FanOut
from stagepipe.run.limits import Limits, SourceLimits
from stagepipe.run.orders import Order

OWN = """\
import os, signal, sys
import polars as pl
from stagepipe import step

@step
def own(frame):
    if not len(frame) or frame["id"][0] != 100:
        return frame
    {body}
"""


def prepared(project: Any, body: str = "return frame") -> Plan:
    """Three chunks; the one in the middle meets `body`."""
    project.write("own.py", OWN.format(body=body))
    settings = 'chunk_size = "1kB"\nplugins = ["own.py"]'
    project.declare(settings=settings, first='"own"')
    for number, name in enumerate(("a.csv", "b.csv", "c.csv")):
        project.letters(name, range(number * 100, number * 100 + 70))
    (project.root / ".stagepipe/spool/letters").mkdir(parents=True)
    return make_plan(check(project.load()))


def fan_out_of(plan: Plan, jobs: int) -> FanOut:
    """Warm workers for a plan."""
    work = plan.checked.work
    return FanOut(Crew(plan.checked.plugins.executor("processes"), jobs, work), work, jobs, None)


def attempts_of(plan: Plan, jobs: int) -> Limits:
    """First tries of all tasks."""
    tries = [Attempt(task) for task in plan.stages[0].to_make]
    return Limits(tries, {"acme": SourceLimits(("jobs",))}, {"jobs": jobs})


def calls(waiting: Any = lambda _: None) -> Calls:
    return Calls(lambda attempt, name: Order(attempt.task, name), lambda _: None, waiting)


def run_all(plan: Plan, jobs: int) -> tuple[list[Any], list[int]]:
    """The results of all tasks, and the ids of the workers."""
    results = []
    with fan_out_of(plan, jobs) as fan_out:
        for found in fan_out.run(attempts_of(plan, jobs), Deadlines(None), calls()):
            results.append(found)
            workers = [process.pid or 0 for process in multiprocessing.active_children()]
    return results, workers


@pytest.mark.parametrize("jobs", [1, 2])
def test_all_tasks_come_back_once(project: Any, jobs: int) -> None:
    """Each task comes with its receipt, and no worker stays."""
    results, workers = run_all(prepared(project), jobs)
    assert sorted(attempt.chunk.index for attempt, _ in results) == [0, 1, 2]
    assert all(attempt.task.key == receipt.key for attempt, receipt in results)
    assert len(workers) == jobs
    assert not any(psutil.pid_exists(worker) for worker in workers)


@pytest.mark.parametrize(
    ("body", "how"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "was killed by SIGKILL"),
        ("os._exit(0)", "ended itself with exit code 0"),
        ("import ctypes; ctypes.string_at(0)", "was killed by SIGSEGV"),
    ],
)
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_worker_that_dies_costs_its_own_attempt_only(
    project: Any, body: str, how: str, jobs: int
) -> None:
    """The attempt comes back with how its worker died; the others are made, by new workers."""
    results, workers = run_all(prepared(project, body), jobs)
    (failure,) = (found for _, found in results if isinstance(found, Failure) and found.chunk == 1)
    assert how in failure.why
    assert failure.message == f"stage 'parse', chunk 1 (landing/b.csv): {failure.why}"
    assert failure.cause in ((Cause.DEATH,) if jobs == 1 else (Cause.DEATH, Cause.COMPANY))
    assert ("own.py" in failure.traceback) is ("SIGSEGV" in how)
    others = [found for _, found in results if found is not failure]
    lost = (Cause.NEIGHBOUR, Cause.COMPANY)
    assert all(not isinstance(found, Failure) or found.cause in lost for found in others)
    assert {found.chunk for found in others if isinstance(found, Receipt)} >= {0, 2} - {
        found.chunk for found in others if isinstance(found, Failure)
    }
    assert not any(psutil.pid_exists(worker) for worker in workers)
    assert not multiprocessing.active_children()


def test_what_takes_too_long_is_ended_with_its_traceback(project: Any) -> None:
    """Also where it holds the GIL, so that nothing in its process can run."""
    plan = prepared(project, "import re; re.match('(a+)+$', 'a' * 60 + 'b')")
    results = []
    with fan_out_of(plan, 1) as fan_out:
        limits = attempts_of(plan, 1)
        results = list(fan_out.run(limits, Deadlines(Timeout(seconds=4.0)), calls()))
    found = {attempt.chunk.index: result for attempt, result in results}
    assert [index for index, each in found.items() if isinstance(each, Failure)] == [1]
    assert found[1].cause is Cause.TIMEOUT
    assert found[1].why == "it took longer than 4.0 s"
    assert ", line 9 in own" in found[1].traceback


def test_workers_that_never_start_end_the_run(project: Any) -> None:
    """A pool that breaks again and again, with nothing given to it, is not made for ever."""
    plan = prepared(project)
    made = []

    def make_pool(**how: Any) -> Any:
        made.append(how)
        how["initializer"], how["initargs"] = os._exit, (1,)
        return plan.checked.plugins.executor("processes")(**how)

    work = plan.checked.work
    with (
        pytest.raises(TaskError, match="died as they started"),
        FanOut(Crew(make_pool, 1, work), work, 1, None) as fan_out,
    ):
        list(fan_out.run(attempts_of(plan, 1), Deadlines(None), calls()))
    assert len(made) == MOST_BROKEN


def test_workers_end_when_the_loop_is_left(project: Any) -> None:
    """An error in the parent ends the workers, busy ones too."""
    plan = prepared(project, "signal.pause()")
    workers: list[int] = []

    def stop(_: int) -> None:
        workers.extend(process.pid or 0 for process in multiprocessing.active_children())
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), fan_out_of(plan, 2) as fan_out:
        list(fan_out.run(attempts_of(plan, 2), Deadlines(None), calls(stop)))
    assert len(workers) == 2
    assert not any(psutil.pid_exists(worker) for worker in workers)


def test_how_a_worker_ended_is_known_of_a_pool_that_is_broken(project: Any) -> None:
    """Of its own end only: the others, deaf to the pool's SIGTERM, are ended for it."""
    plan = prepared(project)
    crew = Crew(plan.checked.plugins.executor("processes"), 2, plan.checked.work)
    workers: list[psutil.Process] = []
    try:
        crew.await_warm()
        futures = [crew._pool.submit(signal.pause) for _ in range(2)]
        workers = [psutil.Process(each.pid) for each in multiprocessing.active_children()]
        assert len(workers) == 2
        await_deaf(workers)
        crew._look_round()
        workers[0].send_signal(signal.SIGSEGV)
        assert all(isinstance(each.exception(timeout=60), BrokenExecutor) for each in futures)
        assert crew.bury() == {workers[0].pid: "was killed by SIGSEGV"}
        assert not any(each.is_running() for each in workers)
    finally:
        for each in workers:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        crew.close(is_at_rest=False)


def await_deaf(workers: list[psutil.Process]) -> None:
    """Wait until each has begun to follow its parent: from then on it ignores SIGTERM."""
    until = time.monotonic() + 60
    while not all(each.num_threads() > 1 for each in workers):
        assert time.monotonic() < until
        select.select([], [], [], 0.05)


def test_workers_ignore_the_signals_of_a_group(project: Any) -> None:
    """SIGINT and SIGTERM reach the workers too; the parent decides what they mean."""
    plan = prepared(project)
    with fan_out_of(plan, 1) as fan_out:
        fan_out._workers.await_warm()
        (process,) = multiprocessing.active_children()
        for signum in (signal.SIGINT, signal.SIGTERM):
            os.kill(process.pid or 0, signum)
        assert len(list(fan_out.run(attempts_of(plan, 1), Deadlines(None), calls()))) == 3
        assert multiprocessing.active_children() == [process]


def test_a_process_of_somebody_else_can_be_terminated() -> None:
    """One that a program has the same fork server make, which ignores SIGTERM itself."""
    ProcessPool().prepare(WORKER_MODULES)
    process = multiprocessing.get_context("forkserver").Process(target=signal.pause)
    process.start()
    try:
        process.terminate()
        process.join(timeout=60)
        assert process.exitcode == -signal.SIGTERM
    finally:
        process.kill()


def test_the_caps_hold_in_a_real_run(project: Any) -> None:
    """Never more chunks of a source are in flight than it bears."""
    prepared(project)
    text = (project.root / "pipeline.toml").read_text()
    (project.root / "pipeline.toml").write_text(
        text.replace('files = "landing/*.csv"', 'files = "landing/*.csv"\nmax_concurrent = 1')
    )
    flying, most = 0, 0

    def listen(event: events.Event) -> None:
        nonlocal flying, most
        if isinstance(event, events.TaskStarted):
            flying += 1
            most = max(most, flying)
        elif isinstance(event, events.TaskFinished):
            flying -= 1

    assert project.run(jobs=2, listeners=[listen]).error is None
    assert most == 1
    assert Path(project.root / "out/letters").is_dir()
