"""When a source rests, and when it is given up."""

from __future__ import annotations

from stagepipe.model import Cause
from stagepipe.run.breaker import FAILURES_IN_A_ROW, LONGEST_REST_SECONDS, MOST_RESTS, Breaker


def rests(breaker: Breaker, times: int, cause: Cause = Cause.PASSING) -> list[float | None]:
    return [breaker.after_failure("acme", cause, 0.0) for _ in range(times)]


def test_failures_in_a_row_let_a_source_rest() -> None:
    """One that goes well begins the row anew."""
    breaker = Breaker(1.0)
    assert rests(breaker, FAILURES_IN_A_ROW - 1) == [None] * (FAILURES_IN_A_ROW - 1)
    assert not breaker.after_success("acme")
    assert rests(breaker, FAILURES_IN_A_ROW) == [None] * (FAILURES_IN_A_ROW - 1) + [10.0]
    assert breaker.after_failure("other", Cause.PASSING, 0.0) is None


def test_each_failure_after_a_rest_is_another_rest_twice_as_long() -> None:
    """Until it goes well, or is given up."""
    breaker = Breaker(2.0)
    rests(breaker, FAILURES_IN_A_ROW)
    assert rests(breaker, 2) == [40.0, 80.0]
    assert breaker.after_success("acme")
    assert not breaker.after_success("acme")
    assert rests(breaker, FAILURES_IN_A_ROW)[-1] == 20.0
    assert not breaker.is_hopeless("acme")
    assert rests(breaker, MOST_RESTS)[-1] == 320.0
    assert breaker.is_hopeless("acme")
    assert rests(breaker, 2)[-1] == LONGEST_REST_SECONDS


def test_rows_that_fail_are_no_reason_to_rest() -> None:
    """Nor is a crash, whoever caused it."""
    breaker = Breaker(1.0)
    for cause in set(Cause) - {Cause.PASSING, Cause.TIMEOUT}:
        assert rests(breaker, 20, cause) == [None] * 20


def test_without_pauses_there_is_no_rest_either() -> None:
    """It is tried at once, with one attempt at a time."""
    assert rests(Breaker(0.0), FAILURES_IN_A_ROW)[-1] == 0.0
