"""Signals end a run in order; a second one ends it at once."""

from __future__ import annotations

import json
import os
import select
import signal
from pathlib import Path

import psutil
import pytest
from waiting import WAITING

from stagepipe.cli.signals import ECHO_SECONDS, Signals
from stagepipe.errors import Interrupted
from stagepipe.events import RunFinished, Waiting
from stagepipe.model import Rows

# It looks up from waiting now and then: a signal that comes just before a system call that blocks
# is not heard by Python until that call returns.
IMPORTING = """
import os
import select

fifo = os.open({never!r}, os.O_RDONLY)
while not select.select([fifo], [], [], 0.05)[0]:
    pass
"""

SWALLOWING = """
import os
import select

while True:
    try:
        select.select([os.open({never!r}, os.O_RDONLY)], [], [])
    except BaseException:
        pass
"""
OF_GROUP = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]


@pytest.fixture
def never(project) -> Path:
    """A FIFO that somebody reads to no end."""
    path = project.folder / "never"
    os.mkfifo(path)
    return path


@pytest.fixture
def waiting_run(project, never):
    """A run that stands in the middle of a task, and the project. It hears a hang-up, also where
    the tests are run by `nohup`."""
    project.plugin(WAITING.format(never=str(never)), "wait")
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        started = project.start("run", "--json", start_new_session=True)
    finally:
        signal.signal(signal.SIGHUP, before)
    with (
        started as process,
        never.open("w"),  # opens when the step does
    ):
        yield process, project
        if process.poll() is None:
            process.kill()


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_interrupts_the_run(waiting_run, signum: int, code: int) -> None:
    """The exit code is the signal's, the JSON says interrupted, and so does the ledger."""
    process, project = waiting_run
    running = project.json("runs")[0]
    assert running["status"] == "running"
    process.send_signal(signum)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == code
    result = json.loads(out)
    assert result["status"] == "interrupted"
    assert result["run"] == running["run"]
    assert project.json("runs")[0]["status"] == "interrupted"


@pytest.mark.parametrize(("signum", "code"), OF_GROUP)
def test_a_signal_to_the_group_is_one_to_the_run(waiting_run, signum: int, code: int) -> None:
    """A terminal and a supervisor send it to all processes of a run: those that serve it go on
    until it ends them, and say nothing."""
    process, _ = waiting_run
    os.killpg(process.pid, signum)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert json.loads(out)["status"] == "interrupted"
    assert b"Traceback" not in err, err
    assert b"Warning" not in err, err


def is_importing(process: psutil.Process) -> bool:
    """Whether it is a fork server, and larger than Python is by itself."""
    return "forkserver" in " ".join(process.cmdline()) and process.memory_info().rss > 20e6


def test_ctrl_c_while_the_fork_server_starts(project, never) -> None:
    """It imports for a while, and is deaf from its first moment."""
    project.plugin(IMPORTING.format(never=str(never)))
    with project.start("run", "--json", start_new_session=True) as process:
        run = psutil.Process(process.pid)
        try:
            while not any(is_importing(each) for each in run.children()):
                assert process.poll() is None
                select.select([], [], [], 0.005)
            os.killpg(process.pid, signal.SIGINT)
            _, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 130, err
    assert b"Traceback" not in err, err


def test_a_second_ctrl_c_ends_what_swallows_the_first(project, never) -> None:
    """At once, and without a word."""
    project.plugin(SWALLOWING.format(never=str(never)))
    with project.start("run", "--json") as process, never.open("w"):
        try:
            while process.poll() is None:
                process.send_signal(signal.SIGINT)
                select.select([], [], [], 0.1)
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert (process.returncode, out, err) == (130, b"", b"")


def test_a_killed_run_is_shown_as_interrupted(waiting_run) -> None:
    """kill -9 leaves 'running' in the ledger; nobody holds the lock, so it is not."""
    process, project = waiting_run
    process.kill()
    process.wait(timeout=30)
    assert project.json("runs")[0]["status"] == "interrupted"
    assert ": interrupted" in project.run("show").stdout


def test_a_signal_before_the_engine(project, never) -> None:
    """A signal while a plugin is imported gives the object too, without a run."""
    project.plugin(IMPORTING.format(never=str(never)))
    with project.start("run", "--json") as process, never.open("w"):
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 130, err
    result = json.loads(out)
    assert (result["status"], result["run"]) == ("interrupted", None)


def test_one_signal_sent_twice_is_one() -> None:
    """An echo of a signal is not a second one; a later signal ends the process at once."""
    now, left = [10.0], []
    signals = Signals(clock=lambda: now[0], leave=left.append)
    with pytest.raises(Interrupted) as caught:
        signals.handle(signal.SIGTERM)
    assert caught.value.exit_code == 143
    now[0] += ECHO_SECONDS / 2
    signals.handle(signal.SIGTERM)
    assert left == []
    now[0] += ECHO_SECONDS
    signals.handle(signal.SIGINT)
    assert left == [130]


def test_a_swallowed_signal_comes_again() -> None:
    """Where other code swallowed the exception, the next event raises it; the last one does not."""
    signals = Signals(clock=lambda: 0.0)
    event = Waiting(now=0.0, stage="parse", running=1)
    signals.insist(event)
    with pytest.raises(Interrupted):
        signals.handle(signal.SIGINT)
    with pytest.raises(Interrupted):
        signals.insist(event)
    signals.insist(RunFinished(now=0.0, run="r", status="interrupted", rows=Rows(), seconds=0.0))
