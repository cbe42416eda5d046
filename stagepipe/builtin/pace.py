"""How far a stage is, how fast it goes, and what in it is slow. Arithmetic on events, without a
clock or a stream of its own; the display on a terminal and the plain lines both tell it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from stagepipe import events
from stagepipe.median import Median
from stagepipe.model import shown, shown_source

SLOW_TIMES = 3.0
SLOW_SECONDS = 3.0
SLOW_SAMPLE = 3
"""A task is slow when it takes so many times the stage's median so far, so many seconds at least,
and so many others have finished."""


@dataclass(frozen=True, slots=True)
class Running:
    """A task in flight. `size` is bytes, `begin` a time of the events' clock."""

    chunk: int
    source: str
    size: int
    files: int
    begin: float


@dataclass(slots=True)
class Pace:
    """What the events of a stage come to. Sizes are bytes, times seconds; `is_ending` when every
    task is done and the flush is at work. Behind a stage's inner barrier `doing` says what goes on,
    and what was rejected or is dead counts on."""

    stages: tuple[str, ...] = ()
    jobs: int = 0
    stage: str = ""
    doing: str = ""
    begin: float = 0.0
    now: float = 0.0
    tasks: Counter[str] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    in_flight: dict[int, Running] = field(default_factory=dict)
    rejected: Counter[str] = field(default_factory=Counter)
    waiting: Mapping[str, str] = field(default_factory=dict)
    taken: int = 0
    failed: int = 0
    failed_attempts: int = 0
    dead: int = 0
    rows: int = 0
    bytes_done: int = 0
    bytes_total: int = 0
    is_ending: bool = False
    _bytes_in_flight: int = 0
    _took: Median = field(default_factory=Median)
    _ends_at: float | None = None

    def hear(self, event: events.Event) -> None:
        """Take an event into account."""
        self.now = event.now
        match event:
            case events.RunStarted():
                self.stages, self.jobs = event.stages, event.jobs
            case events.StageStarted():
                self._begin(event)
            case events.TaskStarted():
                self._landed(event.chunk)
                self._bytes_in_flight += event.size
                self.in_flight[event.chunk] = Running(
                    event.chunk, event.source, event.size, event.files, event.now
                )
            case events.TaskFinished():
                self._finish(event)
            case events.AttemptEnded():
                self._landed(event.chunk)
                self.failed_attempts += event.error is not None
            case events.Waiting():
                self.waiting = event.reasons
            case events.StageFlushing():
                self.is_ending, self.waiting = True, {}
            case _:
                pass

    def _begin(self, event: events.StageStarted) -> None:
        self.stage, self.begin, self.taken = event.stage, event.now, event.taken
        self.tasks, self.bytes_total = Counter(event.tasks), event.bytes_to_read
        self.done, self.in_flight, self.doing = Counter(), {}, event.doing
        self.waiting, self._took, self._ends_at = {}, Median(), None
        self._bytes_in_flight = 0
        self.rows = self.bytes_done = 0
        if not event.doing:
            self.rejected, self.failed, self.dead = Counter(), 0, 0
            self.failed_attempts = 0
        self.is_ending = False

    def _finish(self, event: events.TaskFinished) -> None:
        if (task := self._landed(event.chunk)) is not None:
            self._took.add(event.now - task.begin)
        self.done[event.source] += 1
        self.bytes_done += event.size
        if event.receipt is None:
            self.failed += 1
        else:
            self.rows += event.receipt.rows.read
            self.rejected[event.source] += event.receipt.rows.rejected
            self.dead += sum(segment.dead is not None for segment in event.receipt.segments)
        self._ends_at = self._foreseen()

    def _landed(self, chunk: int) -> Running | None:
        """What was in flight of a chunk, which it is no more."""
        if (task := self.in_flight.pop(chunk, None)) is not None:
            self._bytes_in_flight -= task.size
        return task

    def _foreseen(self) -> float | None:
        """When the stage will end, if all goes on as before; what is in flight is half done."""
        if self.bytes_total:
            share = (self.bytes_done + self._bytes_in_flight / 2) / self.bytes_total
        else:
            share = (self.done.total() + len(self.in_flight) / 2) / max(self.tasks.total(), 1)
        return self.now + self.seconds * (1 - share) / share if share > 0 else None

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
        """About how long the stage will take from now; None before anything is known. Worked out
        when a task ends, and counted down until the next one does."""
        return None if self._ends_at is None else max(self._ends_at - self.now, 0.0)

    @property
    def usual_seconds(self) -> float | None:
        """The median of what the stage's tasks took, as far as they are done."""
        return self._took.value if self._took.count else None

    def per_second(self, amount: int) -> float | None:
        """A rate over the whole stage; None before anything finished."""
        return amount / self.seconds if amount and self.seconds > 0 else None

    def running(self) -> Counter[str]:
        """How many tasks of each source are in flight."""
        return Counter(task.source for task in self.in_flight.values())

    def oldest(self) -> dict[str, Running]:
        """The task of each source that is in flight for longest."""
        return {task.source: task for task in sorted(self.in_flight.values(), key=_begun)[::-1]}

    def is_slow(self, task: Running) -> bool:
        """Whether a task takes much longer than the others of its stage did."""
        usual, takes = self.usual_seconds, self.now - task.begin
        if usual is None or self._took.count < SLOW_SAMPLE:
            return False
        return takes >= SLOW_SECONDS and takes > SLOW_TIMES * usual

    def slow(self) -> list[Running]:
        """The tasks in flight that are slow, the slowest first."""
        return sorted(filter(self.is_slow, self.in_flight.values()), key=_begun)

    def fields(self) -> dict[str, str | int | float | None]:
        """All of it as values, for logs that machines read."""
        left, speed = self.seconds_left, self.per_second(self.bytes_done)
        return {
            "stage": self.stage,
            "tasks_done": self.done.total(),
            "tasks": self.tasks.total(),
            "tasks_running": len(self.in_flight),
            "rows": self.rows,
            "bytes": self.bytes_done,
            "bytes_per_second": None if speed is None else round(speed),
            "rejected": self.rejected.total(),
            "seconds": round(self.seconds, 3),
            "seconds_left": None if left is None else round(left, 1),
        }


def _begun(task: Running) -> float:
    return task.begin


def named(task: Running) -> str:
    """`chunk 12 of acme`."""
    return f"chunk {task.chunk} of {shown_source(task.source)}"


def limit_in_words(cap: str) -> str:
    """What a source waits for."""
    if cap.startswith("source "):
        return "max_concurrent"
    return {"jobs": "a worker", "stage": "the stage's max_concurrent"}.get(cap, shown(cap))
