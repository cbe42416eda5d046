"""What may start, said as plainly as it can be: all attempts in one list, all sources looked at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stagepipe.run.attempts import Attempt
from stagepipe.run.limits import SourceLimits


@dataclass(eq=False)
class Waiting:
    """An attempt that has not started; `at` is None where it was never tried."""

    attempt: Attempt
    at: float | None
    number: int


class PlainLimits:
    """`Limits`, without a thought for time or memory."""

    def __init__(
        self,
        attempts: Iterable[Attempt],
        sources: Mapping[str, SourceLimits],
        caps: Mapping[str, int],
        *,
        is_ordered: bool = False,
    ) -> None:
        self.waiting = [Waiting(attempt, None, 0) for attempt in attempts]
        self.order = list(dict.fromkeys(each.attempt.source for each in self.waiting))
        if not is_ordered:  # of each source those that are twice as big first
            self.waiting.sort(key=lambda each: -each.attempt.task.chunk.size.bit_length())
        self.sources, self.caps, self.is_ordered = sources, caps, is_ordered
        self.running: list[Attempt] = []
        self.starts: list[tuple[str, float]] = []
        self.resting: dict[str, float] = {}
        self.count = 0

    @property
    def is_drained(self) -> bool:
        return not self.waiting

    def next_attempt(self, now: float) -> Attempt | None:
        if any(attempt.is_alone for attempt in self.running):
            return None
        if alone := self._alone():
            first = min(alone, key=_by_time)
            if first.at <= now or self.is_ordered:
                return None if self.running or first.at > now else self._start(first, now)
        free = [name for name in self._names() if self._blocked(name, now) is None]
        if self.is_ordered:
            free = sorted(self._names(), key=lambda name: min(map(_chunk, self._of(name))))[:1]
            free = [name for name in free if self._blocked(name, now) is None]
        if not free:
            return None
        of = self._of(min(free, key=self._rank))
        fresh = [each for each in of if each.at is None]
        tried = [each for each in of if each.at is not None]
        due = [each for each in tried if self.is_ordered or not fresh or each.at <= now]
        return self._start(min(due, key=_by_time) if due else fresh[0], now)

    def finished(self, attempt: Attempt) -> None:
        self.running.remove(attempt)

    def again(self, attempt: Attempt, at: float) -> None:
        self.count += 1
        self.waiting.append(Waiting(attempt, at, self.count))

    def rest(self, source: str, until: float) -> None:
        self.resting[source] = until

    def wake_up(self, source: str) -> None:
        self.resting.pop(source, None)

    def drop(self, source: str) -> list[Attempt]:
        of = self._of(source)
        fresh = [each for each in of if each.at is None]
        tried = sorted((each for each in of if each.at is not None), key=_by_time)
        self.waiting = [each for each in self.waiting if each not in of]
        return [each.attempt for each in (*fresh, *tried)]

    def wake_at(self, now: float) -> float | None:
        times = [min(each.at for each in self._alone())] if self._alone() else []
        names = self._names()
        if self.is_ordered:
            names = sorted(names, key=lambda name: min(map(_chunk, self._of(name))))[:1]
        times += [at for name in names if (at := self._opens(name)) is not None]
        return min((at for at in times if at > now), default=None)

    def waiting_for(self, now: float) -> dict[str, str]:
        reasons = {name: self._blocked(name, now) for name in self._names()}
        found = {name: reason for name, reason in reasons.items() if reason is not None}
        is_busy = any(attempt.is_alone for attempt in self.running)
        if is_busy or any(each.at <= now for each in self._alone()):
            found |= dict.fromkeys(reasons, "alone")
        return found | {each.attempt.source: "backoff" for each in self._alone()}

    def _alone(self) -> list[Waiting]:
        return [each for each in self.waiting if each.attempt.is_alone]

    def _of(self, name: str) -> list[Waiting]:
        """What waits of a source, but for what has to be alone."""
        of = [each for each in self.waiting if each.attempt.source == name]
        return [each for each in of if not each.attempt.is_alone]

    def _names(self) -> list[str]:
        return [name for name in self.order if self._of(name)]

    def _start(self, waiting: Waiting, now: float) -> Attempt:
        self.waiting.remove(waiting)
        self.running.append(waiting.attempt)
        self.starts.append((waiting.attempt.source, now))
        return waiting.attempt

    def _rank(self, name: str) -> tuple[float, int, int]:
        turns = [turn for turn, (source, _) in enumerate(self.starts) if source == name]
        left = sum(1 + each.attempt.task.chunk.size for each in self._of(name))
        after = self.order[self.order.index(name) + 1 :][:1]
        is_awaited = not turns and any(self.sources[each].start_delay for each in after)
        wanted = 0.0 if is_awaited else (self._in_flight(name) + 1) / left
        return wanted, max(turns, default=-1), self.order.index(name)

    def _in_flight(self, name: str) -> int:
        return sum(attempt.source == name for attempt in self.running)

    def _first_start(self, name: str) -> float | None:
        return next((at for source, at in self.starts if source == name), None)

    def _blocked(self, name: str, now: float) -> str | None:
        if name in self.resting and (self.resting[name] > now or self._in_flight(name)):
            return "rest"
        opens = self._opens(name)
        if opens is None or opens > now:
            return "start_delay" if self._first_start(name) is None else "backoff"
        for cap in self.sources[name].caps:
            if sum(cap in self.sources[a.source].caps for a in self.running) >= self.caps[cap]:
                return cap
        return None

    def _opens(self, name: str) -> float | None:
        """When the next attempt of a source may start; None where that is not known yet."""
        opens = [self.resting.get(name, float("-inf"))]
        of = self._of(name)
        if self.is_ordered or all(each.at is not None for each in of):
            opens += [min((each.at for each in of if each.at is not None), default=opens[0])]
        position, delay = self.order.index(name), self.sources[name].start_delay
        if position and delay and self._first_start(name) is None:
            before = self._first_start(self.order[position - 1])
            if before is None:
                return None
            opens.append(before + delay)
        return max(opens)


def _by_time(waiting: Waiting) -> tuple[float, int, int]:
    return waiting.at or 0.0, _chunk(waiting), waiting.number


def _chunk(waiting: Waiting) -> int:
    return waiting.attempt.task.chunk.index
