"""Which attempts take too long. Pure: the clock is passed in."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator

from stagepipe.declare.units import Timeout
from stagepipe.run.attempts import Attempt

SAMPLE = 3
"""The median of fewer tasks is none."""
LEAST_SECONDS = 5.0
"""What a multiple of the median comes to at least: a machine that is held up for a moment is no
reason to end a task."""


class Deadlines:
    """The attempts of one stage in flight, and how long those took that are done."""

    def __init__(self, timeout: Timeout | None) -> None:
        self._timeout = timeout
        self._begin: dict[Attempt, float] = {}
        self._took: list[float] = []

    def started(self, attempt: Attempt, now: float) -> None:
        """An attempt begins."""
        self._begin[attempt] = now

    def ended(self, attempt: Attempt, now: float, *, is_whole: bool) -> None:
        """An attempt is over; `is_whole` when its task is done by it."""
        begin = self._begin.pop(attempt, now)
        if is_whole:
            insort(self._took, now - begin)

    @property
    def seconds(self) -> float | None:
        """How long an attempt may take; None as long as that is not known, or if forever."""
        if self._timeout is None:
            return None
        if self._timeout.seconds is not None:
            return self._timeout.seconds
        if len(self._took) < SAMPLE:
            return None
        assert self._timeout.times is not None
        return max(self._took[len(self._took) // 2] * self._timeout.times, LEAST_SECONDS)

    def overdue(self, now: float) -> Iterator[Attempt]:
        """The attempts that take too long."""
        if (seconds := self.seconds) is not None:
            yield from [a for a, begin in self._begin.items() if now - begin >= seconds]

    def next_at(self) -> float | None:
        """When the first attempt in flight will take too long."""
        seconds = self.seconds
        if seconds is None or not self._begin:
            return None
        return min(self._begin.values()) + seconds
