"""Where time goes: each second counts once, and all of them sum to the whole."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import suppress
from types import SimpleNamespace

import pytest

from stagepipe import stopwatch, timed
from stagepipe.stopwatch import Stopwatch, in_detail


class Clock:
    """A clock that goes on when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(stopwatch, "time", SimpleNamespace(monotonic=lambda: self.now))

    def goes(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_what_is_nested_counts_once(clock: Clock) -> None:
    """Time inside an inner kind no longer counts for the outer one; what is left is other."""
    watch = Stopwatch()
    with in_detail(watch):
        clock.goes(1)
        with watch.time("parse"):
            clock.goes(2)
            with timed("check"):
                clock.goes(4)
                with timed("lookup"):
                    clock.goes(8)
            clock.goes(16)
        with watch.time("read"), timed("unpack"):
            clock.goes(32)
    assert watch.seconds == {"parse": 30, "read": 32}
    assert watch.details() == {
        "other": 1, "parse": 18, "check": 4, "lookup": 8, "read": 0, "unpack": 32,
    }  # fmt: skip


def test_what_is_raised_ends_what_it_comes_out_of(clock: Clock) -> None:
    """After an exception the time counts for what it stands in again."""
    watch = Stopwatch()
    with in_detail(watch), watch.time("steps"):
        with suppress(ValueError), timed("lookup"):
            clock.goes(1)
            raise ValueError
        clock.goes(2)
    assert watch.details() == {"other": 0, "steps": 2, "lookup": 1}


def test_the_rest_bears_the_name_that_it_had_then(clock: Clock) -> None:
    """Also where it gets another name inside something else."""
    watch = Stopwatch(began=90.0, rest="start")
    clock.goes(1)
    with watch.time("work"):
        clock.goes(2)
        watch.rest_is("other")
    clock.goes(4)
    assert watch.details() == {"start": 11, "work": 2, "other": 4}
    clock.goes(8)
    assert watch.details() == {"other": 8}


def test_only_the_thread_that_is_watched_counts(clock: Clock) -> None:
    """Another thread's work, and work after the watching, is nobody's."""

    def elsewhere() -> None:
        with timed("elsewhere"):
            clock.goes(1)

    watch = Stopwatch()
    with in_detail(watch):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    elsewhere()
    assert watch.details() == {"other": 2}


def test_what_is_not_watched_costs_nothing() -> None:
    """Without a profile, `timed` looks at no clock, and importing it loads nothing slow."""
    assert timed("parse") is timed("check")
    script = "import sys, stagepipe; stagepipe.timed; sys.exit('polars' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
