"""Progress where there is no terminal: a plain line every few seconds, and one per barrier."""

from __future__ import annotations

from collections import Counter

from stagepipe import events
from stagepipe.amounts import duration, roughly, short, size, ticking
from stagepipe.builtin.pace import Pace, limit_in_words, named

EVERY_SECONDS = 5.0


class Heartbeat:
    """A listener that tells a line every `every_seconds`, and one when a stage begins or ends."""

    def __init__(self, tell: events.Tell, every_seconds: float = EVERY_SECONDS) -> None:
        self._tell = tell
        self._every = every_seconds
        self._last = 0.0
        self._pace = Pace()

    def __call__(self, event: events.Event) -> None:
        """Hear an event."""
        self._pace.hear(event)
        match event:
            case events.StageStarted():
                self._say(f"{event.stage}: {_beginning(self._pace)}", event.now)
            case events.StageCommitted():
                self._say(f"{event.stage}: {committed(event)}", event.now)
            case events.TaskFinished() | events.Waiting():
                if event.now - self._last >= self._every:
                    self._say(f"{event.stage}: {beat(self._pace)}", event.now)
            case _:
                pass

    def _say(self, text: str, now: float) -> None:
        self._last = now
        self._tell(text, self._pace.fields())


def beat(pace: Pace) -> str:
    """`12/40 tasks, 1.2 M rows, 85 MB/s, 3 rejected, about 20 s left`."""
    speed, left = pace.per_second(pace.bytes_done), pace.seconds_left
    waiting = Counter() if pace.in_flight else Counter(map(limit_in_words, pace.waiting.values()))
    pieces = [
        f"{pace.done.total()}/{pace.tasks.total()} tasks",
        f"{short(pace.rows)} rows",
        f"{size(speed)}/s" if speed else "",
        f"{pace.rejected.total():,} rejected" if pace.rejected.total() else "",
        f"{pace.dead:,} dead" if pace.dead else "",
        f"{pace.failed} failed" if pace.failed else "",
        f"waiting for {waiting.most_common(1)[0][0]}" if waiting else "",
        f"about {roughly(left)} left" if left else "",
        slowest(pace),
    ]
    return ", ".join(piece for piece in pieces if piece)


def slowest(pace: Pace) -> str:
    """`chunk 12 of acme: 48 s, others 6.1 s`; empty when no task is slow."""
    slow = pace.slow()
    if not slow:
        return ""
    others = len(slow) - 1
    more = f"; {others} more {'is' if others == 1 else 'are'} slow" if others else ""
    usual = duration(pace.usual_seconds or 0)
    takes = ticking(pace.now - slow[0].begin)
    return f"{named(slow[0])}: {takes}, others {usual}{more}"


def _beginning(pace: Pace) -> str:
    total = pace.tasks.total()
    taken = f"{_tasks(pace.taken)} taken from before" if pace.taken else ""
    todo = f"{_tasks(total)} to make, {size(pace.bytes_total)} to read" if total else ""
    pieces = ", ".join(piece for piece in (todo, taken) if piece) or "nothing to do"
    return f"{pace.doing or 'begins'}, {pieces}"


def committed(event: events.StageCommitted) -> str:
    """`done in 12 s, 1,234 rows written, 3 rejected`."""
    pieces = [f"done in {duration(event.seconds)}", _rows(event.rows.written)]
    if event.rows.rejected:
        pieces.append(f"{event.rows.rejected:,} rejected")
    if event.rows.dropped:
        pieces.append(f"{event.rows.dropped:,} dropped")
    return ", ".join(pieces)


def _rows(written: int) -> str:
    return f"{written:,} row{'s' * (written != 1)} written"


def _tasks(number: int) -> str:
    return f"{number:,} task" + "s" * (number != 1)
