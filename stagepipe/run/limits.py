"""What may start now, and when to ask again. Pure: the clock is passed in, nothing waits here.

An attempt starts when every cap that it falls under has room: the workers, the stage, its source,
and each limit that its source names. It takes all of them at once or none. Among sources that may
start, the one with the fewest attempts in flight goes first, then the one whose turn is longest
ago. An ordered stage starts its attempts in chunk order, whatever the sources.

What is tried again comes through the same door: it waits for its time, and goes before what its
source has not begun. An attempt that has to be alone waits until nothing runs, and nothing starts
beside it. A source that rests starts nothing; after that one attempt, until it is known to go well.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from stagepipe.run.attempts import Attempt

NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class SourceLimits:
    """What a source asks for: names of caps that it falls under, and how long (seconds) its first
    attempt waits after the first one of the source before it."""

    caps: tuple[str, ...] = ()
    start_delay: float = 0.0


@dataclass(frozen=True, slots=True, order=True)
class Delayed:
    """An attempt that waits for its time; in order of `at`, then of the chunks."""

    at: float
    chunk: int
    number: int
    attempt: Attempt


class Limits:
    """The attempts of one stage that have not started, and the room that is left."""

    def __init__(
        self,
        attempts: Iterable[Attempt],
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
        self._count = 0
        self._queues: dict[str, deque[Attempt]] = {}
        for attempt in attempts:
            self._queues.setdefault(attempt.source, deque()).append(attempt)
        self._order: Sequence[str] = list(self._queues)
        self._position = {source: index for index, source in enumerate(self._order)}
        self._first_start: dict[str, float] = {}
        self._delayed: dict[str, list[Delayed]] = {}
        self._alone: list[Delayed] = []
        self._is_alone = False
        self._rests_until: dict[str, float] = {}

    @property
    def is_drained(self) -> bool:
        """Whether every attempt has started."""
        return not (self._queues or self._delayed or self._alone)

    def next_attempt(self, now: float) -> Attempt | None:
        """The attempt that is to start now, its limits taken; None when none may."""
        if self._is_alone:
            return None
        if self._alone and (self._alone[0].at <= now or self._is_ordered):
            if self._in_flight.total() or self._alone[0].at > now:
                return None
            self._is_alone = True
            return self._started(self._alone.pop(0).attempt, now)
        sources: Iterable[str] = self._waiting()
        if self._is_ordered:
            sources = sorted(sources, key=self._first_chunk)[:1]
        ready = [source for source in sources if not self._blocked_by(source, now)]
        if not ready:
            return None
        source = min(ready, key=lambda name: (self._in_flight[name], self._turn.get(name, -1)))
        return self._started(self._taken(source, now), now)

    def finished(self, attempt: Attempt) -> None:
        """Give back what a started attempt holds."""
        self._in_flight[attempt.source] -= 1
        self._held.subtract(self._sources[attempt.source].caps)
        self._is_alone = False

    def again(self, attempt: Attempt, at: float) -> None:
        """Have an attempt start, but not before `at`."""
        self._count += 1
        delayed = Delayed(at, attempt.task.chunk.index, self._count, attempt)
        queue = self._alone if attempt.is_alone else self._delayed.setdefault(attempt.source, [])
        insort(queue, delayed)

    def rest(self, source: str, until: float) -> None:
        """Start nothing of a source until then, and one attempt at a time after that."""
        self._rests_until[source] = until

    def wake_up(self, source: str) -> None:
        """Let a source that rested start as before."""
        self._rests_until.pop(source, None)

    def drop(self, source: str) -> list[Attempt]:
        """Give up what has not started of a source."""
        dropped = [*self._queues.pop(source, ())]
        dropped += [delayed.attempt for delayed in self._delayed.pop(source, ())]
        return dropped

    def wake_at(self, now: float) -> float | None:
        """When an attempt that only waits for its time may start; None when none does."""
        times = [delayed.at for delayed in self._alone[:1] if delayed.at > now]
        for source in self._waiting():
            opens = self._opens_at(source)
            if opens is not None and opens > now:
                times.append(opens)
        return min(times, default=None)

    def waiting_for(self, now: float) -> dict[str, str]:
        """For each source with attempts left: what keeps them from starting. Of several reasons,
        the time; else the first of its caps."""
        found = {
            source: blocked
            for source in self._waiting()
            if (blocked := self._blocked_by(source, now)) is not None
        }
        if self._is_alone or (self._alone and self._alone[0].at <= now):
            found |= dict.fromkeys(self._waiting(), "alone")
        return found | {delayed.attempt.source: "backoff" for delayed in self._alone}

    def _waiting(self) -> Iterator[str]:
        """The sources with attempts that have not started."""
        yield from self._queues
        yield from (source for source in self._delayed if source not in self._queues)

    def _started(self, attempt: Attempt, now: float) -> Attempt:
        source = attempt.source
        self._turns += 1
        self._turn[source] = self._turns
        self._in_flight[source] += 1
        self._held.update(self._sources[source].caps)
        self._first_start.setdefault(source, now)
        return attempt

    def _taken(self, source: str, now: float) -> Attempt:
        """The source's next attempt, out of the line that it stands in."""
        delayed, queue = self._delayed.get(source), self._queues.get(source)
        if delayed and (not queue or self._is_due(source, now)):
            attempt = delayed.pop(0).attempt
            if not delayed:
                del self._delayed[source]
            return attempt
        assert queue
        attempt = queue.popleft()
        if not queue:
            del self._queues[source]
        return attempt

    def _first_chunk(self, source: str) -> int:
        """The number of the first chunk of a source that has not started."""
        chunks = [delayed.chunk for delayed in self._delayed.get(source, ())]
        if queue := self._queues.get(source):
            chunks.append(queue[0].task.chunk.index)
        return min(chunks)

    def _is_due(self, source: str, now: float) -> bool:
        """Whether the first of what waits for its time goes before what has not begun."""
        return self._is_ordered or self._delayed[source][0].at <= now

    def _blocked_by(self, source: str, now: float) -> str | None:
        if (until := self._rests_until.get(source)) is not None and (
            until > now or self._in_flight[source]
        ):
            return "rest"
        opens = self._opens_at(source)
        if opens is None or opens > now:
            return "backoff" if source in self._first_start else "start_delay"
        for cap in self._sources[source].caps:
            if self._held[cap] >= self._caps[cap]:
                return cap
        return None

    def _opens_at(self, source: str) -> float | None:
        """When the source's next attempt may start; None while the source before it waits."""
        opens = self._rests_until.get(source, NEVER)
        if (delayed := self._delayed.get(source)) and (
            self._is_ordered or source not in self._queues
        ):
            opens = max(opens, delayed[0].at)
        delay = self._sources[source].start_delay
        position = 0 if source in self._first_start or not delay else self._position[source]
        if position == 0:
            return opens
        before = self._first_start.get(self._order[position - 1])
        return None if before is None else max(opens, before + delay)
