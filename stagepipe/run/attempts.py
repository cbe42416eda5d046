"""What is tried, and what follows when that goes wrong. Pure: the clock is passed in.

A task is tried as a whole, up to `attempts` times, with a pause before each time but the first
that doubles and is spread by chance, so that what failed together does not come back together. The
chance is drawn from the task's key: the same run waits the same.

What still fails and reads files is searched: its chunk is tried in halves, and these in halves,
until it is known which files or segments fail by themselves. They become dead letters, and the
rest of the chunk is made without them. Where all halves go well, the whole is tried once more.

In a later stage there is no file to be found. What needs too much memory there is tried once more
with about half as much in hand.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from stagepipe.declare.units import Budget
from stagepipe.model import Cause, Chunk, Failure, Segment, Task

LEAST_RETRIES = 10
"""A source has so many in each stage, however few its tasks are."""
LONGEST_PAUSE_SECONDS = 300.0
SPREAD = 0.5
"""A pause is between so much less and so much more than it would be."""
NONE_DEAD: Mapping[int, str] = {}
COUNTED = (Cause.PASSING, Cause.DEATH, Cause.TIMEOUT)
"""What an attempt is used up by, and what is tried again as a whole."""


@dataclass(frozen=True, slots=True, eq=False)
class Attempt:
    """One try of a task: its `number`, from 1. `dead` are the segments of its chunk that are left
    out, and why. `only` are those that are tried by themselves to see whether they fail: nothing
    of that is kept. `is_alone`: while it runs, nothing else does. `is_last`: what cannot be read
    now is dead. `piece_bytes` is about how much is held at a time, where that is not a chunk."""

    task: Task
    number: int = 1
    dead: Mapping[int, str] = field(default_factory=lambda: NONE_DEAD)
    only: tuple[int, ...] = ()
    is_alone: bool = False
    is_last: bool = False
    piece_bytes: int | None = None

    @property
    def source(self) -> str:
        """The name of the source."""
        return self.task.chunk.source

    @property
    def chunk(self) -> Chunk:
        """What is read: the chunk, or the part of it that is looked at."""
        whole = self.task.chunk
        if not self.only:
            return whole
        return replace(whole, segments=tuple(whole.segments[number] for number in self.only))

    @property
    def is_probe(self) -> bool:
        """Whether it only looks what fails."""
        return bool(self.only)


@dataclass(frozen=True, slots=True)
class Following:
    """What comes after a failed attempt: another one, not before `at`. `is_retry` says that it
    counts against the source's budget of them."""

    attempt: Attempt
    at: float
    is_retry: bool = False


@dataclass(frozen=True, slots=True)
class Rules:
    """What `[errors]` says of attempts. `backoff` is in seconds. `may_die` says whether a failure
    can end as dead letters; without that it ends its task. `held_bytes` is about how much a task
    has in hand at a time that it may have in smaller pieces; 0 where it needs all at once."""

    attempts: int
    backoff: float
    retry_budget: Budget
    may_die: Callable[[Cause], bool]
    held_bytes: Callable[[Task], int] = lambda _: 0


class Attempts:
    """What is known of the tasks of one stage that failed."""

    def __init__(self, rules: Rules, tasks: Sequence[Task]) -> None:
        self._rules = rules
        self._tasks = Counter(task.chunk.source for task in tasks)
        self._retries: Counter[str] = Counter()
        self._searches: dict[str, Search] = {}

    def first(self, task: Task) -> Attempt:
        """The first try of a task."""
        return Attempt(task, is_last=self._rules.attempts == 1)

    def after_failure(self, attempt: Attempt, failure: Failure, now: float) -> Following | None:
        """What to do about a failed attempt; None when nothing is left to try."""
        if failure.cause is Cause.NEIGHBOUR:
            return Following(attempt, now)
        if failure.cause is Cause.COMPANY:
            return Following(replace(attempt, is_alone=True), now)
        if failure.cause is Cause.DISK_FULL:
            return None
        search = self._searches.get(attempt.task.key)
        if search is not None:
            return search.after_failure(attempt, failure, now)
        if failure.cause in COUNTED and attempt.number < self._rules.attempts:
            if self._has_retry(attempt.source):
                return self._again(attempt, now)
            if failure.cause is Cause.PASSING and not attempt.is_last:
                return Following(replace(attempt, is_last=True), now)
        if attempt.task.inputs and failure.cause is Cause.MEMORY:
            return self._with_less(attempt, now)
        if not attempt.task.chunk.segments or attempt.task.inputs:
            return None
        if not self._rules.may_die(failure.cause):
            return None
        search = Search(attempt, failure)
        self._searches[attempt.task.key] = search
        return search.next(now)

    def after_success(self, attempt: Attempt, now: float) -> Following | None:
        """What to do after an attempt that did not fail: nothing, unless it was of a part only."""
        return self._searches[attempt.task.key].next(now) if attempt.is_probe else None

    def _with_less(self, attempt: Attempt, now: float) -> Following | None:
        """The attempt with half as much in hand; None where it had no more than that."""
        held = self._rules.held_bytes(attempt.task)
        if held < 2 or attempt.piece_bytes is not None:
            return None
        return Following(replace(attempt, piece_bytes=-(-held // 2)), now)

    def _again(self, attempt: Attempt, now: float) -> Following:
        self._retries[attempt.source] += 1
        number = attempt.number + 1
        at = now + pause(self._rules.backoff, attempt.number, attempt.task.key)
        is_last = number == self._rules.attempts
        return Following(replace(attempt, number=number, is_last=is_last), at, is_retry=True)

    def _has_retry(self, source: str) -> bool:
        """Whether the source's budget has one more retry."""
        used = self._retries[source] + 1
        return used <= LEAST_RETRIES or self._rules.retry_budget.allows(used, self._tasks[source])


def pause(backoff: float, failed: int, key: str) -> float:
    """How many seconds to wait after so many failed attempts of a task."""
    chance = random.Random(f"{key} {failed}").uniform(1 - SPREAD, 1 + SPREAD)  # noqa: S311
    return min(float(backoff * 2 ** (failed - 1) * chance), LONGEST_PAUSE_SECONDS)


class Search:
    """Which segments of a chunk fail by themselves."""

    def __init__(self, attempt: Attempt, failure: Failure) -> None:
        self._whole = attempt
        self._failure = failure
        self._dead: dict[int, str] = dict(attempt.dead)
        alive = [n for n in range(len(attempt.task.chunk.segments)) if n not in self._dead]
        self._open: list[tuple[int, ...]] = []
        self._is_at_end = False
        self._failed(tuple(alive), failure)

    def next(self, now: float) -> Following | None:
        """The next part to try; in the end all that does not fail by itself."""
        whole = replace(self._whole, dead=dict(self._dead), is_last=True)
        if self._open:
            return Following(replace(whole, only=self._open.pop(), is_alone=self._is_deadly), now)
        self._is_at_end = True
        if self._dead.keys() == self._whole.dead.keys() and self._failure.cause is Cause.MEMORY:
            whole = replace(whole, piece_bytes=max(self._whole.task.chunk.size // 2, 1))
        return Following(whole, now)

    def after_failure(self, attempt: Attempt, failure: Failure, now: float) -> Following | None:
        """What comes after a part that failed; None where it was the last that could be tried."""
        if self._is_at_end:
            return None
        self._failed(attempt.only, failure)
        return self.next(now)

    def _failed(self, numbers: tuple[int, ...], failure: Failure) -> None:
        if len(numbers) == 1:
            self._dead[numbers[0]] = failure.why or failure.message
            return
        middle = len(numbers) // 2
        self._open += [numbers[middle:], numbers[:middle]]

    @property
    def _is_deadly(self) -> bool:
        """Whether a part that fails takes other attempts down with it."""
        return self._failure.cause is Cause.DEATH


def torn(
    tasks: Iterable[Task], dead_of: Mapping[str, Mapping[int, str]]
) -> dict[str, dict[int, str]]:
    """The segments, by the keys of their tasks, that are alive while another one of their file is
    dead, and why that is. A file is in the table whole or not at all."""
    why = {
        task.chunk.segments[number].file: reason
        for task in tasks
        for number, reason in dead_of.get(task.key, NONE_DEAD).items()
    }

    def is_torn(task: Task, number: int, segment: Segment) -> bool:
        return segment.file in why and number not in dead_of.get(task.key, NONE_DEAD)

    found = {
        task.key: {
            number: why[segment.file]
            for number, segment in enumerate(task.chunk.segments)
            if is_torn(task, number, segment)
        }
        for task in (tasks if why else ())
    }
    return {key: numbers for key, numbers in found.items() if numbers}
