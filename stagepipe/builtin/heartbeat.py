"""Progress where there is no terminal: a plain line every few seconds, and one per barrier.

`Pace` is the arithmetic, without a clock or a stream of its own; the display on a terminal uses it
too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from stagepipe import events
from stagepipe.amounts import duration, short, size

EVERY_SECONDS = 5.0


@dataclass(slots=True)
class Pace:
    """How far a stage is, and how fast it goes. Sizes are bytes, times seconds."""

    stages: tuple[str, ...] = ()
    stage: str = ""
    begin: float = 0.0
    now: float = 0.0
    tasks: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    running: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    waiting: Mapping[str, str] = field(default_factory=dict)
    taken: int = 0
    failed: int = 0
    rows: int = 0
    bytes_done: int = 0
    bytes_total: int = 0

    def hear(self, event: events.Event) -> None:
        """Take an event into account."""
        self.now = event.now
        match event:
            case events.RunStarted():
                self.stages = event.stages
            case events.StageStarted():
                self.stage, self.begin, self.taken = event.stage, event.now, event.taken
                self.tasks, self.bytes_total = Counter(event.tasks), event.bytes_to_read
                self.done, self.running, self.rejected = Counter(), Counter(), Counter()
                self.waiting, self.failed, self.rows, self.bytes_done = {}, 0, 0, 0
            case events.TaskStarted():
                self.running[event.source] += 1
            case events.TaskFinished():
                self._finish(event)
            case events.Waiting():
                self.waiting = event.reasons
            case _:
                pass

    def _finish(self, event: events.TaskFinished) -> None:
        self.running[event.source] -= 1
        self.done[event.source] += 1
        self.bytes_done += event.size
        if event.receipt is None:
            self.failed += 1
        else:
            self.rows += event.receipt.rows.read
            self.rejected[event.source] += event.receipt.rows.rejected

    @property
    def number(self) -> int:
        """The stage's number, from 1."""
        return self.stages.index(self.stage) + 1 if self.stage in self.stages else 0

    @property
    def seconds(self) -> float:
        """Since the stage began."""
        return max(self.now - self.begin, 0.0)

    @property
    def share(self) -> float:
        """How much of the stage is done, from 0 to 1: by bytes, or else by tasks."""
        if self.bytes_total:
            return min(self.bytes_done / self.bytes_total, 1.0)
        total = self.tasks.total()
        return self.done.total() / total if total else 1.0

    @property
    def seconds_left(self) -> float | None:
        """About how long the stage will take from now; None before anything is known."""
        if self.share <= 0 or self.seconds <= 0:
            return None
        return self.seconds * (1 - self.share) / self.share

    def per_second(self, amount: int) -> float | None:
        """A rate over the whole stage; None before anything finished."""
        return amount / self.seconds if amount and self.seconds > 0 else None

    def fields(self) -> dict[str, str | int | float | None]:
        """All of it as values, for logs that machines read."""
        left, speed = self.seconds_left, self.per_second(self.bytes_done)
        return {
            "stage": self.stage,
            "tasks_done": self.done.total(),
            "tasks": self.tasks.total(),
            "rows": self.rows,
            "bytes": self.bytes_done,
            "bytes_per_second": None if speed is None else round(speed),
            "rejected": self.rejected.total(),
            "seconds": round(self.seconds, 3),
            "seconds_left": None if left is None else round(left, 1),
        }


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
    waiting = Counter(pace.waiting.values()) if not pace.running.total() else Counter()
    pieces = [
        f"{pace.done.total()}/{pace.tasks.total()} tasks",
        f"{short(pace.rows)} rows",
        f"{size(speed)}/s" if speed else "",
        f"{pace.rejected.total():,} rejected" if pace.rejected.total() else "",
        f"{pace.failed} failed" if pace.failed else "",
        f"waiting for {waiting.most_common(1)[0][0]}" if waiting else "",
        f"about {duration(left)} left" if left is not None else "",
    ]
    return ", ".join(piece for piece in pieces if piece)


def _beginning(pace: Pace) -> str:
    total = pace.tasks.total()
    taken = f"{_tasks(pace.taken)} taken from before" if pace.taken else ""
    todo = f"{_tasks(total)} to make, {size(pace.bytes_total)} to read" if total else ""
    return "begins, " + ", ".join(piece for piece in (todo, taken) if piece)


def committed(event: events.StageCommitted) -> str:
    """`done in 12 s, 1,234 rows written, 3 rejected`."""
    pieces = [f"done in {duration(event.seconds)}", f"{event.rows.written:,} rows written"]
    if event.rows.rejected:
        pieces.append(f"{event.rows.rejected:,} rejected")
    if event.rows.dropped:
        pieces.append(f"{event.rows.dropped:,} dropped")
    return ", ".join(pieces)


def _tasks(number: int) -> str:
    return f"{number:,} task" + "s" * (number != 1)
