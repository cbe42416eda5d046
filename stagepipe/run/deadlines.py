"""Which attempts take too long. Pure: the clock is passed in, and never goes back."""

from __future__ import annotations

from itertools import takewhile

from stagepipe.declare.units import Timeout
from stagepipe.median import Median
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
        self._begin: dict[Attempt, float] = {}  # the oldest comes first
        self._took = Median()

    def started(self, attempt: Attempt, now: float) -> None:
        """An attempt begins."""
        self._begin[attempt] = now

    def ended(self, attempt: Attempt, now: float, *, is_whole: bool) -> None:
        """An attempt is over; `is_whole` when its task is done by it."""
        begin = self._begin.pop(attempt, now)
        if is_whole and self._timeout is not None and self._timeout.times is not None:
            self._took.add(now - begin)

    @property
    def seconds(self) -> float | None:
        """How long an attempt may take; None as long as that is not known, or if forever."""
        if self._timeout is None:
            return None
        if self._timeout.times is None:
            return self._timeout.seconds
        if self._took.count < SAMPLE:
            return None
        return max(self._took.value * self._timeout.times, LEAST_SECONDS)

    def overdue(self, now: float) -> list[Attempt]:
        """The attempts that take too long, the oldest first."""
        if (seconds := self.seconds) is None:
            return []
        return [a for a, _ in takewhile(lambda each: now - each[1] >= seconds, self._begin.items())]

    def next_at(self) -> float | None:
        """When the first attempt in flight will take too long."""
        seconds = self.seconds
        if seconds is None or not self._begin:
            return None
        return next(iter(self._begin.values())) + seconds
