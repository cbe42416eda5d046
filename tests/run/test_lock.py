"""The lock: one run at a time, and whoever looks at it is in nobody's way."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from stagepipe.errors import LockedError
from stagepipe.run import lock


@pytest.fixture
def pipeline(project: Any) -> Any:
    """A pipeline, with the file of its lock."""
    project.declare()
    pipeline = project.load()
    path = lock.lock_path(pipeline)
    path.parent.mkdir()
    path.touch()
    return pipeline


def look(path: Path) -> Callable[[], None]:
    """Hold the lock as one who looks does; what it gives ends the look."""
    descriptor = os.open(path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return lambda: os.close(descriptor)


def test_a_run_waits_until_one_who_looks_has_looked(
    pipeline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The moment in which another process looks at the lock does not keep a run from starting."""
    look_away = look(lock.lock_path(pipeline))
    pauses = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        look_away()

    monkeypatch.setattr(lock.time, "sleep", pause)
    with lock.only_run(pipeline):
        assert lock.is_held(lock.lock_path(pipeline))
    assert pauses == [lock.PAUSE_SECONDS]


def test_a_run_does_not_wait_for_a_run(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """When another run is at work, the answer comes at once."""
    monkeypatch.setattr(lock.time, "sleep", lambda _: pytest.fail("it waits"))
    with (
        lock.only_run(pipeline),
        pytest.raises(LockedError, match="is at work"),
        lock.only_run(pipeline),
    ):
        pass


def test_one_who_never_looks_away_ends_the_wait(
    pipeline: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run does not try for ever."""
    pauses: list[float] = []
    monkeypatch.setattr(lock.time, "sleep", pauses.append)
    look_away = look(lock.lock_path(pipeline))
    with pytest.raises(LockedError), lock.only_run(pipeline):
        pass
    look_away()
    assert len(pauses) == lock.TRIES


def test_only_a_run_holds_the_lock(pipeline: Any) -> None:
    """Others who look do not count as a run, and neither does a file that is not there."""
    path = lock.lock_path(pipeline)
    assert not lock.is_held(path.with_name("other.lock"))
    look_away = look(path)
    assert not lock.is_held(path)
    look_away()
    with FileLock(path):
        assert lock.is_held(path)
    assert not lock.is_held(path)
