"""What follows a failed attempt: by tables, and by a search among any segments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagepipe.declare.units import Budget
from stagepipe.model import Cause, Chunk, Decision, Failure, InputFile, Piece, Segment, Task
from stagepipe.run.attempts import (
    LEAST_RETRIES,
    LONGEST_PAUSE_SECONDS,
    Attempt,
    Attempts,
    Following,
    Rules,
    pause,
    torn,
)

NOW = 100.0


def task(segments: int = 1, source: str = "acme", number: int = 0) -> Task:
    found = tuple(
        Segment(InputFile(f"{source}{number}-{n}.csv", 9, 0, n), 0, 9) for n in range(segments)
    )
    key = f"{source}{number}"
    return Task(0, Chunk(number, source, found), key, {}, Decision.MADE, "new")


def failure(cause: Cause, why: str = "why") -> Failure:
    return Failure("key", "parse", 0, "acme", f"chunk 0: {why}", cause=cause, why=why)


def rules(attempts: int = 3, budget: Budget | None = None, *, may_die: bool = True) -> Rules:
    return Rules(attempts, 1.0, budget or Budget(share=0.1), lambda _: may_die)


def followed(known: Attempts, first: Attempt, cause: Cause) -> list[Following]:
    """What follows, one after the other, where each attempt fails in the same way."""
    found = []
    following = known.after_failure(first, failure(cause), NOW)
    while following is not None:
        found.append(following)
        following = known.after_failure(following.attempt, failure(cause), NOW)
    return found


@pytest.mark.parametrize("cause", [Cause.PASSING, Cause.TIMEOUT, Cause.DEATH])
def test_what_may_pass_is_tried_as_often_as_is_allowed(cause: Cause) -> None:
    """Whole each time, with a pause that doubles; the last time is known as the last."""
    known = Attempts(rules(attempts=4, may_die=False), [task()])
    found = followed(known, known.first(task()), cause)
    assert [each.attempt.number for each in found] == [2, 3, 4]
    assert [each.attempt.is_last for each in found] == [False, False, True]
    assert all(each.is_retry for each in found)
    waits = [each.at - NOW for each in found]
    assert all(0.5 * 2**n <= wait <= 1.5 * 2**n for n, wait in enumerate(waits))


@pytest.mark.parametrize("cause", [Cause.ERROR, Cause.MEMORY, Cause.DISK_FULL])
def test_what_comes_again_is_not_tried_again(cause: Cause) -> None:
    """Where no dead letter can stand for it either, that is the end."""
    known = Attempts(rules(may_die=False), [task()])
    assert followed(known, known.first(task()), cause) == []


def test_what_needs_too_much_in_a_later_stage_is_tried_with_half_of_it() -> None:
    """Once, and not where it needs all its rows at a time, or has none to speak of."""
    later = replace(task(2), inputs=(Piece("before"),))
    for held, halves in ((19, [10]), (1, []), (0, [])):
        known = Attempts(replace(rules(), held_bytes=lambda _, held=held: held), [later])
        found = followed(known, known.first(later), Cause.MEMORY)
        assert [each.attempt.piece_bytes for each in found] == halves
        assert not any(each.is_retry for each in found)


def test_one_attempt_means_one() -> None:
    """It is the last at once."""
    known = Attempts(rules(attempts=1, may_die=False), [task()])
    first = known.first(task())
    assert first.is_last
    assert followed(known, first, Cause.PASSING) == []


def test_the_ones_beside_a_crash_lose_nothing() -> None:
    """They are tried again at once, the suspects by themselves; none of it is a retry."""
    known = Attempts(rules(attempts=1), [task()])
    first = known.first(task())
    neighbour = known.after_failure(first, failure(Cause.NEIGHBOUR), NOW)
    assert neighbour == Following(first, NOW)
    suspect = known.after_failure(first, failure(Cause.COMPANY), NOW)
    assert suspect is not None
    assert (suspect.at, suspect.is_retry) == (NOW, False)
    assert (suspect.attempt.is_alone, suspect.attempt.number) == (True, 1)


def test_a_source_has_its_share_of_retries_and_ten_at_least() -> None:
    """Then what fails is read once more, for good, and that is the end."""
    many = [task(number=n) for n in range(300)]
    for budget, allowed in ((Budget(share=0.1), 30), (Budget(count=2), LEAST_RETRIES)):
        known = Attempts(rules(attempts=2, budget=budget, may_die=False), many)
        found = [
            known.after_failure(known.first(each), failure(Cause.PASSING), NOW) for each in many
        ]
        assert [each is not None and each.is_retry for each in found].count(True) == allowed
        assert all(each is not None and each.attempt.is_last for each in found)
        other = task(source="other")
        more = Attempts(rules(), [*many, other]).after_failure(
            Attempt(other), failure(Cause.PASSING), NOW
        )
        assert more is not None
        assert more.is_retry


def test_a_pause_is_spread_by_the_task_and_bounded() -> None:
    """The same task waits the same; two seldom do."""
    assert pause(1.0, 1, "a") == pause(1.0, 1, "a") != pause(1.0, 1, "b")
    assert pause(1.0, 60, "a") == LONGEST_PAUSE_SECONDS
    assert pause(0.0, 3, "a") == 0.0


def searched(known: Attempts, first: Attempt, fails: Callable[[Attempt], Cause | None]) -> Attempt:
    """The attempt that goes well in the end; `fails` says how one goes."""
    attempt, tried = first, 0
    while True:
        tried += 1
        assert tried < 200
        if cause := fails(attempt):
            following = known.after_failure(attempt, failure(cause, "bad"), NOW)
        elif attempt.is_probe:
            following = known.after_success(attempt, NOW)
        else:
            assert known.after_success(attempt, NOW) is None
            return attempt
        assert following is not None
        attempt = following.attempt


@given(st.integers(1, 20).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1)))))
def test_the_search_finds_all_that_fail_by_themselves(case: tuple[int, set[int]]) -> None:
    """And nothing else; the rest is made without them, whole."""
    count, bad = case
    whole = task(count)
    known = Attempts(rules(attempts=1), [whole])

    def fails(attempt: Attempt) -> Cause | None:
        read = {segment.file.inode for segment in attempt.chunk.segments}
        return Cause.DEATH if (read - attempt.dead.keys()) & bad else None

    last = searched(known, known.first(whole), fails)
    assert last.dead == dict.fromkeys(bad, "bad")
    assert not last.is_probe
    assert last.chunk == whole.chunk


def test_probes_of_what_kills_workers_run_alone() -> None:
    """Others would have to be made anew each time."""
    for cause, is_alone in ((Cause.DEATH, True), (Cause.ERROR, False), (Cause.TIMEOUT, False)):
        known = Attempts(rules(attempts=1), [task(4)])
        following = known.after_failure(known.first(task(4)), failure(cause), NOW)
        assert following is not None
        assert (following.attempt.is_probe, following.attempt.is_alone) == (True, is_alone)


def test_halves_that_go_well_are_a_whole_that_is_tried_once_more() -> None:
    """Of one that needs too much memory about half is held at a time then."""
    for cause, piece_bytes in ((Cause.MEMORY, 18), (Cause.DEATH, None)):
        whole = task(4)
        known = Attempts(rules(attempts=1), [whole])
        first = known.first(whole)

        def fails(attempt: Attempt, first: Attempt = first, cause: Cause = cause) -> Cause | None:
            return cause if attempt is first else None

        last = searched(known, first, fails)
        assert (last.dead, last.piece_bytes) == ({}, piece_bytes)
        assert known.after_failure(last, failure(cause), NOW) is None


def test_what_reads_no_files_is_not_searched() -> None:
    """In later stages nobody knows which file a row is from."""
    later = replace(task(4), inputs=(Piece("before"),))
    known = Attempts(rules(), [later])
    assert known.after_failure(known.first(later), failure(Cause.ERROR), NOW) is None


def test_a_file_is_dead_in_all_its_chunks() -> None:
    """Whatever segment of it died; with its reason."""
    file, other = InputFile("a.csv", 9, 0, 0), InputFile("b.csv", 9, 0, 1)
    first = Task(0, Chunk(0, "acme", (Segment(file, 0, 3),)), "0", {}, Decision.MADE, "")
    middle = Task(0, Chunk(1, "acme", (Segment(file, 3, 6),)), "1", {}, Decision.MADE, "")
    both = (Segment(file, 6, 9), Segment(other, 0, 9))
    last = Task(0, Chunk(2, "acme", both), "2", {}, Decision.TAKEN, "")
    tasks = [first, middle, last]
    assert torn(tasks, {}) == {}
    assert torn(tasks, {"1": {0: "bad"}}) == {"0": {0: "bad"}, "2": {0: "bad"}}
    assert torn(tasks, {"2": {1: "bad"}}) == {}
    all_dead = {"0": {0: "bad"}, "1": {0: "bad"}, "2": {0: "bad"}}
    assert torn(tasks, all_dead) == {}
