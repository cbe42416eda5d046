"""A source whose attempts fail in a row rests, and is tried again with one. Pure.

What is out of order at a source, a share that hangs or a service that is down, seldom mends while
all its tasks use up their attempts on it.
"""

from __future__ import annotations

from collections import Counter

from stagepipe.model import Cause

FAILURES_IN_A_ROW = 5
LEAST_REST_SECONDS = 10.0
"""A source rests so long, or as long as ten pauses; twice as long each time that it is tried in
vain."""
LONGEST_REST_SECONDS = 600.0
PAUSES = 10
MOST_RESTS = 4
"""After so many in a row a source is given up."""
COUNTED = (Cause.PASSING, Cause.TIMEOUT)
"""What may be the source's doing: rows that make a step fail, or a worker die, are not."""


class Breaker:
    """How the sources of a stage are doing. `backoff` is in seconds."""

    def __init__(self, backoff: float) -> None:
        self._rest = max(backoff * PAUSES, LEAST_REST_SECONDS) if backoff else 0.0
        self._in_a_row: Counter[str] = Counter()
        self._rests: Counter[str] = Counter()

    def after_failure(self, source: str, cause: Cause, now: float) -> float | None:
        """Until when the source is to rest, if it is to."""
        if cause not in COUNTED:
            return None
        self._in_a_row[source] += 1
        if self._in_a_row[source] < FAILURES_IN_A_ROW and not self._rests[source]:
            return None
        self._rests[source] += 1
        rest = float(self._rest * 2 ** (self._rests[source] - 1))
        return now + min(rest, LONGEST_REST_SECONDS)

    def after_success(self, source: str) -> bool:
        """Whether the source has rested, and need not any more."""
        self._in_a_row[source] = 0
        return self._rests.pop(source, 0) > 0

    def is_hopeless(self, source: str) -> bool:
        """Whether the source rested so often in vain that it is given up."""
        return self._rests[source] > MOST_RESTS
