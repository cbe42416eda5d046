"""Signals end a run in order; a second one ends it at once."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

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


@pytest.fixture
def never(project) -> Path:
    """A FIFO that somebody reads to no end."""
    path = project.folder / "never"
    os.mkfifo(path)
    return path


@pytest.fixture
def waiting_run(project, never):
    """A run that stands in the middle of a task, and the project."""
    project.plugin(WAITING.format(never=str(never)), "wait")
    with project.start("run", "--json") as process, never.open("w"):  # opens when the step does
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
