"""What listeners hear of a run, in the order in which it happens. All in the parent.

`now` is a time of the monotonic clock, in seconds: only differences mean something.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from stagepipe.model import Output, Receipt, Rows

Fields = Mapping[str, str | int | float | None]
Tell = Callable[[str, Fields], None]


@dataclass(frozen=True, slots=True)
class Screen:
    """Where a run can be watched. `is_terminal`: stderr is a terminal that redraws, and a person
    looks at it; else `tell` takes lines, each with its figures; None where nobody wants any."""

    is_terminal: bool = False
    tell: Tell | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """The root of all events."""

    now: float


@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    """The plan stands and the work begins. `stages` names each stage; sizes are bytes."""

    run: str
    pipeline: str
    stages: tuple[str, ...]
    jobs: int
    files: int
    input_bytes: int


@dataclass(frozen=True, slots=True)
class StageStarted(Event):
    """The barrier before the stage has fallen. `tasks` counts by source those to be made. A stage
    with an inner barrier starts three times, and `doing` says with what from the second time on;
    else it is empty."""

    stage: str
    tasks: Mapping[str, int]
    taken: int
    bytes_to_read: int
    doing: str = ""


@dataclass(frozen=True, slots=True)
class TaskStarted(Event):
    """A chunk went to a worker. `files` counts the input files that it holds parts of."""

    stage: str
    chunk: int
    source: str
    size: int
    files: int = 0


@dataclass(frozen=True, slots=True)
class TaskFinished(Event):
    """A worker returned. `receipt` is None when the task failed, and `error` says why."""

    stage: str
    chunk: int
    source: str
    size: int
    receipt: Receipt | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class AttemptEnded(Event):
    """An attempt ended that was not its task's last: another one follows after `pause_seconds`.
    `error` says what went wrong; None when a part of the chunk was tried, to find what fails, and
    went well."""

    stage: str
    chunk: int
    source: str
    error: str | None
    pause_seconds: float


@dataclass(frozen=True, slots=True)
class Waiting(Event):
    """What the fan-out waits for, told about twice a second. `reasons` says for each waiting source
    what keeps its next task: `start_delay`, `backoff`, `rest` (its attempts failed in a row),
    `alone` (another one must not be disturbed), `source NAME`, `limit NAME`, `stage` or `jobs`."""

    stage: str
    running: int
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StageFlushing(Event):
    """Every task of the stage is done. What is left: the barrier's checks, and the flush."""

    stage: str


@dataclass(frozen=True, slots=True)
class StageCommitted(Event):
    """The stage's rows are where they belong; the next stage may start."""

    stage: str
    rows: Rows
    outputs: tuple[Output, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class RunFinished(Event):
    """The run ended, one way or another. `status` is as in `run --json`."""

    run: str
    status: str
    rows: Rows
    seconds: float
    error: str | None = None


Listener = Callable[[Event], None]
"""Called with each event of a run. Where it has a method `close`, that is called at its end."""
