"""What idle workers wait for, and what tasks wait for. Pure: the clock is passed in.

A fan-out is looked at whenever it has started what may start. Until the next look the same number
of attempts is in flight, and the same keeps the others from starting. So the time of the workers
that have none goes to these reasons, and what is left of it to the want of tasks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

NO_TASK = ""
"""Why a worker is idle for which the stage has no task left to start."""
WORKERS = "jobs"
"""What keeps an attempt from starting that would start if a worker were idle."""


class Idling:
    """The workers of one fan-out, so many as there are `slots`. `waiting` counts by source the
    attempts that have not started. Times are those of one clock, in seconds."""

    def __init__(self, slots: int, waiting: Mapping[str, int], now: float, first: str) -> None:
        self.idle: Counter[str] = Counter()
        """Seconds of idle workers, by reason."""
        self.busy = 0.0
        """Seconds of workers that had an attempt."""
        self._began = self._now = now
        self._slots = slots
        self._waiting = Counter(waiting)
        self._running = 0
        self._reasons: Mapping[str, str] = dict.fromkeys(waiting, first)
        self._queued: dict[str, Counter[str]] = {}
        self._queued_for_workers = 0.0

    @property
    def wall(self) -> float:
        """Seconds from the beginning to the last look."""
        return self._now - self._began

    def has_idle(self, running: int) -> bool:
        """Whether it has to be known what is waited for while so many are in flight."""
        return running < self._slots

    def look(self, now: float, running: int, reasons: Mapping[str, str]) -> None:
        """From now on so many attempts are in flight, and these are the reasons why sources with
        attempts left start none; none where no worker is idle."""
        self._count(now - self._now)
        self._now, self._running, self._reasons = now, running, reasons

    def ask(self, source: str) -> Mapping[str, float]:
        """For how long, by reason, the attempts of a source have waited that have been there from
        the beginning: what an attempt that came later waited is the difference of two answers."""
        return {WORKERS: self._queued_for_workers, **self._queued.get(source, {})}

    def started(self, source: str) -> None:
        """An attempt of a source has started."""
        self._waiting[source] -= 1

    def came(self, source: str) -> None:
        """Another attempt of a source is to start."""
        self._waiting[source] += 1

    def _count(self, seconds: float) -> None:
        self.busy += self._running * seconds
        free = max(self._slots - self._running, 0)
        # A worker waits for what keeps a task from it, and no more workers than there are tasks.
        kept = {
            source: min(self._waiting[source], free)
            for source, reason in self._reasons.items()
            if reason != WORKERS and self._waiting[source] > 0
        }
        total = sum(kept.values())
        waiting = min(free, total)
        for source, tasks in kept.items():
            self.idle[self._reasons[source]] += seconds * waiting * tasks / total  # type: ignore[assignment]
        if free > waiting:
            self.idle[NO_TASK] += seconds * (free - waiting)  # type: ignore[assignment]
        if not self._reasons:
            self._queued_for_workers += seconds
        for source, reason in self._reasons.items():
            self._queued.setdefault(source, Counter())[reason] += seconds  # type: ignore[assignment]
