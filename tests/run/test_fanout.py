"""The fan-out with real workers: one that dies is named, and none is left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from stagepipe import events
from stagepipe.errors import TaskError
from stagepipe.plan.planner import Plan, check, make_plan
from stagepipe.run.fanout import FanOut
from stagepipe.run.limits import Limits, SourceLimits
from stagepipe.run.worker import Order

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


def run_all(plan: Plan, jobs: int) -> tuple[list[Any], list[int]]:
    """The results of all tasks, and the ids of the workers."""
    checked = plan.checked
    make_pool = checked.plugins.executor("processes")
    tasks = plan.stages[0].to_make
    results = []
    with FanOut(make_pool, jobs, checked.work) as fan_out:
        limits = Limits(tasks, {"acme": SourceLimits(("jobs",))}, {"jobs": jobs})
        for found in fan_out.run(
            limits, lambda task: Order(task, fan_out.attempt), lambda _: None, lambda _: None
        ):
            results.append(found)
            workers = [process.pid or 0 for process in multiprocessing.active_children()]
    return results, workers


@pytest.mark.parametrize("jobs", [1, 2])
def test_all_tasks_come_back_once(project: Any, jobs: int) -> None:
    """Each task comes with its receipt, and no worker stays."""
    results, workers = run_all(prepared(project), jobs)
    assert sorted(task.chunk.index for task, _ in results) == [0, 1, 2]
    assert all(task.key == receipt.key for task, receipt in results)
    assert len(workers) == jobs
    assert not any(psutil.pid_exists(worker) for worker in workers)


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("body", ["os.kill(os.getpid(), signal.SIGKILL)", "os._exit(0)"])
def test_a_worker_that_dies_is_named_with_what_ran(project: Any, body: str, jobs: int) -> None:
    """The error names the chunk at which the worker died, and not those that finished."""
    plan = prepared(project, body)
    with pytest.raises(TaskError, match="a worker process died while these ran") as caught:
        run_all(plan, jobs)
    assert "chunk 1 of acme" in caught.value.message
    assert "chunk 0" not in caught.value.message or jobs == 2
    assert caught.value.hint
    assert not multiprocessing.active_children()


def test_a_run_survives_its_worker_as_a_failed_run(project: Any) -> None:
    """A run whose worker dies ends as failed, keeps what is finished, and can go on."""
    prepared(project, "os._exit(3)")
    result = project.run(jobs=1)
    assert result.status == "failed"
    assert "chunk 1 of acme" in str(result.error)
    assert not (project.root / "out/letters").exists()
    project.write("own.py", OWN.format(body="return frame"))
    assert project.run(jobs=1).error is None


def test_workers_end_when_the_loop_is_left(project: Any) -> None:
    """An error in the parent ends the workers, busy ones too."""
    plan = prepared(project, "signal.pause()")
    checked = plan.checked
    tasks = plan.stages[0].to_make
    workers: list[int] = []

    def stop(_: int) -> None:
        workers.extend(process.pid or 0 for process in multiprocessing.active_children())
        raise KeyboardInterrupt

    def run() -> None:
        with FanOut(checked.plugins.executor("processes"), 2, checked.work) as fan_out:
            limits = Limits(tasks, {"acme": SourceLimits(("jobs",))}, {"jobs": 2})
            list(fan_out.run(limits, lambda task: Order(task, "x"), lambda _: None, stop))

    with pytest.raises(KeyboardInterrupt):
        run()
    assert len(workers) == 2
    assert not any(psutil.pid_exists(worker) for worker in workers)


def test_workers_ignore_the_signals_of_a_group(project: Any) -> None:
    """SIGINT and SIGTERM reach the workers too; the parent decides what they mean."""
    plan = prepared(project)
    checked = plan.checked
    with FanOut(checked.plugins.executor("processes"), 1, checked.work) as fan_out:
        fan_out._await_warm()
        (process,) = multiprocessing.active_children()
        for signum in (signal.SIGINT, signal.SIGTERM):
            os.kill(process.pid or 0, signum)
        limits = Limits(plan.stages[0].to_make, {"acme": SourceLimits()}, {})
        found = list(fan_out.run(limits, lambda t: Order(t, "x"), lambda _: None, lambda _: None))
        assert len(found) == 3
        assert multiprocessing.active_children() == [process]


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
