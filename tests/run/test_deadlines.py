"""Which attempts take too long."""

from __future__ import annotations

from stagepipe.declare.units import Timeout
from stagepipe.model import Chunk, Decision, Task
from stagepipe.run.attempts import Attempt
from stagepipe.run.deadlines import LEAST_SECONDS, SAMPLE, Deadlines


def attempt(number: int = 0) -> Attempt:
    return Attempt(Task(0, Chunk(number, "acme", ()), str(number), {}, Decision.MADE, ""))


def test_without_a_timeout_nothing_takes_too_long() -> None:
    """Not after a year."""
    deadlines = Deadlines(None)
    deadlines.started(attempt(), 0.0)
    assert list(deadlines.overdue(3e7)) == []
    assert deadlines.next_at() is None


def test_a_time_counts_from_the_attempts_own_beginning() -> None:
    """And ends with it."""
    deadlines = Deadlines(Timeout(seconds=10.0))
    assert deadlines.next_at() is None
    first, second = attempt(0), attempt(1)
    deadlines.started(first, 0.0)
    deadlines.started(second, 5.0)
    assert deadlines.next_at() == 10.0
    assert list(deadlines.overdue(9.9)) == []
    assert list(deadlines.overdue(10.0)) == [first]
    deadlines.ended(first, 10.0, is_whole=False)
    assert deadlines.next_at() == 15.0
    assert list(deadlines.overdue(20.0)) == [second]


def test_a_multiple_is_one_of_the_median_of_whole_tasks() -> None:
    """As soon as enough of them are done, for those that began before as well."""
    deadlines = Deadlines(Timeout(times=3.0))
    slow = attempt(9)
    deadlines.started(slow, 0.0)
    for number, took in enumerate((10.0, 1.0, 30.0)):
        each, probe = attempt(number), attempt(number)
        deadlines.started(each, 0.0)
        deadlines.started(probe, 0.0)
        deadlines.ended(probe, 500.0, is_whole=False)
        assert deadlines.seconds is None
        deadlines.ended(each, took, is_whole=True)
    assert SAMPLE == 3
    assert deadlines.seconds == 30.0
    assert list(deadlines.overdue(30.0)) == [slow]


def test_a_multiple_of_next_to_nothing_leaves_some_seconds() -> None:
    """A machine that is held up for a moment is no reason to end a task."""
    deadlines = Deadlines(Timeout(times=2.0))
    for number in range(SAMPLE):
        each = attempt(number)
        deadlines.started(each, 0.0)
        deadlines.ended(each, 0.01, is_whole=True)
    assert deadlines.seconds == LEAST_SECONDS
