"""What may start now, and when to ask again. Pure: the clock is passed in, nothing waits here.

A task starts when every cap that it falls under has room: the workers, the stage, its source, and
each limit that its source names. It takes all of them at once or none. Among sources that may
start, the one with the fewest tasks in flight goes first, then the one whose turn is longest ago.
An ordered stage starts its tasks in chunk order, whatever the sources.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from stagepipe.model import Task


@dataclass(frozen=True, slots=True)
class SourceLimits:
    """What a source asks for: names of caps that it falls under, and how long (seconds) its first
    task waits after the first task of the source before it."""

    caps: tuple[str, ...] = ()
    start_delay: float = 0.0


class Limits:
    """The tasks of one stage that have not started, and the room that is left."""

    def __init__(
        self,
        tasks: Iterable[Task],
        sources: Mapping[str, SourceLimits],
        caps: Mapping[str, int],
        *,
        is_ordered: bool = False,
    ) -> None:
        self._is_ordered = is_ordered
        self._caps = dict(caps)
        self._sources = sources
        self._held: Counter[str] = Counter()
        self._in_flight: Counter[str] = Counter()
        self._turn: dict[str, int] = {}
        self._turns = 0
        self._queues: dict[str, deque[Task]] = {}
        for task in tasks:
            self._queues.setdefault(task.chunk.source, deque()).append(task)
        self._order: Sequence[str] = list(self._queues)
        self._position = {source: index for index, source in enumerate(self._order)}
        self._first_start: dict[str, float] = {}

    @property
    def is_drained(self) -> bool:
        """Whether every task has started."""
        return not self._queues

    def next_task(self, now: float) -> Task | None:
        """The task that is to start now, its limits taken; None when none may."""
        sources = [self._next_source()] if self._is_ordered and self._queues else self._queues
        ready = [source for source in sources if not self._blocked_by(source, now)]
        if not ready:
            return None
        source = min(ready, key=lambda name: (self._in_flight[name], self._turn.get(name, -1)))
        self._turns += 1
        self._turn[source] = self._turns
        self._in_flight[source] += 1
        self._held.update(self._sources[source].caps)
        self._first_start.setdefault(source, now)
        queue = self._queues[source]
        task = queue.popleft()
        if not queue:
            del self._queues[source]
        return task

    def _next_source(self) -> str:
        """The source of the first chunk that has not started."""
        return min(self._queues, key=lambda source: self._queues[source][0].chunk.index)

    def finished(self, task: Task) -> None:
        """Give back what a started task holds."""
        source = task.chunk.source
        self._in_flight[source] -= 1
        self._held.subtract(self._sources[source].caps)

    def wake_at(self, now: float) -> float | None:
        """When a task that only waits for its time may start; None when none does."""
        times = [
            opens
            for source in self._queues
            if (opens := self._opens_at(source)) is not None and opens > now
        ]
        return min(times, default=None)

    def waiting_for(self, now: float) -> dict[str, str]:
        """For each source with tasks left: what keeps them from starting. Of several reasons, the
        time; else the first of its caps."""
        return {
            source: blocked
            for source in self._queues
            if (blocked := self._blocked_by(source, now)) is not None
        }

    def _blocked_by(self, source: str, now: float) -> str | None:
        opens = self._opens_at(source)
        if opens is None or opens > now:
            return "start_delay"
        for cap in self._sources[source].caps:
            if self._held[cap] >= self._caps[cap]:
                return cap
        return None

    def _opens_at(self, source: str) -> float | None:
        """When the source's first task may start; None while the source before it waits."""
        delay = self._sources[source].start_delay
        position = 0 if source in self._first_start or not delay else self._position[source]
        if position == 0:
            return float("-inf")
        before = self._first_start.get(self._order[position - 1])
        return None if before is None else before + delay
