"""What may start now, and when to ask again. Pure: the clock is passed in, nothing waits here.

An attempt starts when every cap that it falls under has room: the workers, the stage, its source,
and each limit that its source names. It takes all of them at once or none. Among sources that may
start, the one goes first that would have the fewest attempts in flight for what it has left (in
bytes), so that all come to their end at about the same time: a big source that may have few
attempts in flight works from the beginning to the end, and the others beside it. Of equals it is
the one whose turn is longest ago. A source for whose beginning another one waits begins before all.
Of a source the chunks go first that are twice as big as others (files that cannot be cut), else
each in its order: what starts last should not be what takes longest (Graham, Bounds on
Multiprocessing Timing Anomalies, 1969). An ordered stage starts its attempts in chunk order,
whatever the sources.

What is tried again comes through the same door: it waits for its time, and goes before what its
source has not begun. An attempt that has to be alone waits until nothing runs, and nothing starts
beside it. A source that rests starts nothing; after that one attempt, until it is known to go well.

A source that may start, as far as it alone is asked, stands in a sorted list with those that share
the same caps with others; one that waits for a time stands in another. So a decision costs a look
at each set of shared caps, and not at each source. Shifting some thousand places of a list costs
less than the dead entries of a heap.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import pairwise
from typing import NamedTuple

from stagepipe.run.attempts import Attempt

NEVER = float("-inf")

Place = tuple[float, int, int]
"""A rank, or a time; then a turn; then the position of a source."""


@dataclass(frozen=True, slots=True)
class SourceLimits:
    """What a source asks for: names of caps that it falls under, and how long (seconds) its first
    attempt waits after the first one of the source before it."""

    caps: tuple[str, ...] = ()
    start_delay: float = 0.0


class Delayed(NamedTuple):
    """An attempt that waits for its time; in order of `at`, then of the chunks."""

    at: float
    chunk: int
    number: int
    attempt: Attempt


@dataclass(slots=True, eq=False)
class Cap:
    """At most so many attempts in flight, and how many there are."""

    name: str
    most: int
    held: int = 0


@dataclass(slots=True, eq=False)
class Group:
    """The sources that fall under the same of the caps that several do. `ready` are those of them
    that may start when these caps have room."""

    caps: tuple[Cap, ...]
    ready: list[Place] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Line:
    """What waits of one source, the `position`th. `own` are the caps that it alone falls under,
    `left` is the bytes that are waiting, and one for each attempt. `is_awaited` says that the next
    source begins so long after this one. `stands` is where it stands in which list."""

    name: str
    position: int
    start_delay: float
    caps: tuple[Cap, ...]
    own: tuple[Cap, ...]
    group: Group
    queue: deque[Attempt] = field(default_factory=deque)
    delayed: list[Delayed] = field(default_factory=list)
    left: int = 0
    is_awaited: bool = False
    in_flight: int = 0
    turn: int = 0
    first_start: float | None = None
    rests_until: float | None = None
    stands: tuple[list[Place], Place] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not (self.queue or self.delayed)

    @property
    def place(self) -> Place:
        """Its place among the sources that may start: the least goes first."""
        is_urgent = self.is_awaited and self.first_start is None
        rank = 0.0 if is_urgent else (self.in_flight + 1) / self.left
        return rank, self.turn, self.position

    @property
    def first_chunk(self) -> int:
        """The number of the first chunk that waits."""
        chunks = [delayed.chunk for delayed in self.delayed]
        if self.queue:
            chunks.append(self.queue[0].task.chunk.index)
        return min(chunks)


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
        self._turns = 0
        self._count = 0
        self._waiting = 0
        self._in_flight = 0
        self._later: list[Place] = []
        self._in_order: list[Place] = []
        self._alone: list[Delayed] = []
        self._is_alone = False
        queues: dict[str, deque[Attempt]] = {}
        for attempt in attempts:
            queues.setdefault(attempt.source, deque()).append(attempt)
        all_caps = {name: Cap(name, most) for name, most in caps.items()}
        users = Counter(name for source in queues for name in sources[source].caps)
        groups: dict[frozenset[str], Group] = {}
        self._lines: dict[str, Line] = {}
        for position, (source, of_source) in enumerate(queues.items()):
            queue = of_source if is_ordered else deque(sorted(of_source, key=_smallness))
            names = sources[source].caps
            shared = frozenset(name for name in names if users[name] > 1)
            if shared not in groups:
                groups[shared] = Group(tuple(all_caps[name] for name in shared))
            self._lines[source] = Line(
                source,
                position,
                sources[source].start_delay,
                tuple(all_caps[name] for name in names),
                tuple(all_caps[name] for name in names if name not in shared),
                groups[shared],
                queue,
                left=sum(map(_weight, queue)),
            )
            self._waiting += len(queue)
        self._order = list(self._lines.values())
        for line, following in pairwise(self._order):
            line.is_awaited = following.start_delay > 0
        self._groups = list(groups.values())
        self._changed = set(self._order)

    @property
    def is_drained(self) -> bool:
        """Whether every attempt has started."""
        return not self._waiting

    def next_attempt(self, now: float) -> Attempt | None:
        """The attempt that is to start now, its limits taken; None when none may."""
        if self._is_alone:
            return None
        if self._alone and (self._alone[0].at <= now or self._is_ordered):
            if self._in_flight or self._alone[0].at > now:
                return None
            self._is_alone = True
            attempt = heappop(self._alone).attempt
            return self._started(self._lines[attempt.source], attempt, now)
        line = self._first_in_order(now) if self._is_ordered else self._first_in_turn(now)
        return None if line is None else self._started(line, self._taken(line, now), now)

    def finished(self, attempt: Attempt) -> None:
        """Give back what a started attempt holds."""
        line = self._lines[attempt.source]
        self._in_flight -= 1
        line.in_flight -= 1
        for cap in line.caps:
            cap.held -= 1
        self._changed.add(line)
        self._is_alone = False

    def again(self, attempt: Attempt, at: float) -> None:
        """Have an attempt start, but not before `at`."""
        self._count += 1
        self._waiting += 1
        delayed = Delayed(at, attempt.task.chunk.index, self._count, attempt)
        if attempt.is_alone:
            heappush(self._alone, delayed)
            return
        line = self._lines[attempt.source]
        heappush(line.delayed, delayed)
        line.left += _weight(attempt)
        self._changed.add(line)

    def rest(self, source: str, until: float) -> None:
        """Start nothing of a source until then, and one attempt at a time after that."""
        self._lines[source].rests_until = until
        self._changed.add(self._lines[source])

    def wake_up(self, source: str) -> None:
        """Let a source that rested start as before."""
        self._lines[source].rests_until = None
        self._changed.add(self._lines[source])

    def drop(self, source: str) -> list[Attempt]:
        """Give up what has not started of a source."""
        line = self._lines[source]
        dropped = [*line.queue, *(delayed.attempt for delayed in sorted(line.delayed))]
        line.queue.clear()
        line.delayed.clear()
        line.left = 0
        self._waiting -= len(dropped)
        self._changed.add(line)
        return dropped

    def wake_at(self, now: float) -> float | None:
        """When an attempt that only waits for its time may start; None when none does."""
        self._settle(now)
        times = [delayed.at for delayed in self._alone[:1] if delayed.at > now]
        times += [at for at, *_ in self._later[:1]]
        for *_, position in self._in_order[:1]:
            opens = self._opens_at(self._order[position])
            times += [opens] if opens is not None and opens > now else []
        return min(times, default=None)

    def waiting_for(self, now: float) -> dict[str, str]:
        """For each source with attempts left: what keeps them from starting. Of several reasons,
        the time; else the first of its caps."""
        waiting = [line for line in self._order if not line.is_empty]
        found = {
            line.name: blocked
            for line in waiting
            if (blocked := self._blocked_by(line, now, line.caps)) is not None
        }
        if self._is_alone or (self._alone and self._alone[0].at <= now):
            found |= {line.name: "alone" for line in waiting}
        return found | {delayed.attempt.source: "backoff" for delayed in self._alone}

    def _first_in_turn(self, now: float) -> Line | None:
        """The source that is to start next."""
        self._settle(now)
        places = [
            group.ready[0]
            for group in self._groups
            if group.ready and all(cap.held < cap.most for cap in group.caps)
        ]
        return self._order[min(places)[-1]] if places else None

    def _first_in_order(self, now: float) -> Line | None:
        """The source of the first chunk that waits, if that may start."""
        self._settle(now)
        for *_, position in self._in_order[:1]:
            line = self._order[position]
            return None if self._blocked_by(line, now, line.caps) else line
        return None

    def _started(self, line: Line, attempt: Attempt, now: float) -> Attempt:
        self._waiting -= 1
        self._in_flight += 1
        self._turns += 1
        line.turn = self._turns
        line.in_flight += 1
        for cap in line.caps:
            cap.held += 1
        self._changed.add(line)
        if line.first_start is None:
            line.first_start = now
            self._changed.update(self._order[line.position + 1 : line.position + 2])
        return attempt

    def _taken(self, line: Line, now: float) -> Attempt:
        """The source's next attempt, out of the line that it stands in. The first of what waits for
        its time goes before what has not begun."""
        delayed = line.delayed
        if delayed and (not line.queue or self._is_ordered or delayed[0].at <= now):
            attempt = heappop(delayed).attempt
        else:
            attempt = line.queue.popleft()
        line.left -= _weight(attempt)
        return attempt

    def _settle(self, now: float) -> None:
        """Have each source stand where it belongs."""
        while self._later and self._later[0][0] <= now:
            self._stand(self._order[self._later[0][-1]], now)
        for line in self._changed:
            self._stand(line, now)
        self._changed.clear()

    def _stand(self, line: Line, now: float) -> None:
        if line.stands is not None:
            places, place = line.stands
            del places[bisect_left(places, place)]
            line.stands = None
        if line.is_empty:
            return
        if self._is_ordered:
            line.stands = self._in_order, (line.first_chunk, 0, line.position)
        elif self._blocked_by(line, now, line.own) is None:
            line.stands = line.group.ready, line.place
        elif (opens := self._opens_at(line)) is not None and opens > now:
            line.stands = self._later, (opens, 0, line.position)
        if line.stands is not None:
            insort(*line.stands)

    def _blocked_by(self, line: Line, now: float, caps: Iterable[Cap]) -> str | None:
        if (until := line.rests_until) is not None and (until > now or line.in_flight):
            return "rest"
        opens = self._opens_at(line)
        if opens is None or opens > now:
            return "start_delay" if line.first_start is None else "backoff"
        return next((cap.name for cap in caps if cap.held >= cap.most), None)

    def _opens_at(self, line: Line) -> float | None:
        """When the source's next attempt may start; None while the source before it waits."""
        opens = NEVER if line.rests_until is None else line.rests_until
        if line.delayed and (self._is_ordered or not line.queue):
            opens = max(opens, line.delayed[0].at)
        if not line.start_delay or not line.position or line.first_start is not None:
            return opens
        before = self._order[line.position - 1].first_start
        return None if before is None else max(opens, before + line.start_delay)


def _smallness(attempt: Attempt) -> int:
    """How late an attempt goes within its source: the same for chunks of about a size."""
    return -attempt.task.chunk.size.bit_length()


def _weight(attempt: Attempt) -> int:
    """What an attempt counts of what its source has left."""
    return 1 + attempt.task.chunk.size
