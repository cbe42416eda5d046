"""What goes between the parent and its workers: an order for a task, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from stagepipe.model import EVERYTHING, Failure, PartFile, Receipt, Task, Travelling, printable
from stagepipe.plan.work import StageWork


@dataclass(frozen=True, slots=True)
class Order(Travelling):
    """A task for a worker. `inputs` are the files that it reads, in later stages; `dead` are the
    segments of its chunk that it leaves out, and why. Of a probe nothing is kept. Without
    `is_last` an error of the system, which may pass, fails the attempt instead of the file. Where
    it `is_profiled`, what comes back is `Profiled`."""

    task: Task
    attempt: str
    inputs: tuple[PartFile, ...] = ()
    input_sha256: str = ""
    dead: Mapping[int, str] = field(default_factory=dict)
    is_probe: bool = False
    is_last: bool = True
    piece_bytes: int | None = None
    is_profiled: bool = False


@dataclass(frozen=True, slots=True)
class Spent:
    """What an attempt took: from when on (of the monotonic clock), the seconds by kind of work,
    which sum to how long it took, and those in which the `worker` (a process, by its id, or a
    thread) computed. Of one whose worker died nobody knows the last two."""

    worker: int | None
    began: float
    seconds: Mapping[str, float]
    cpu_seconds: float | None


@dataclass(frozen=True, slots=True)
class Profiled:
    """What came of an attempt, and what it took."""

    result: Receipt | Failure
    spent: Spent


Returned: TypeAlias = Receipt | Failure | Profiled


def in_words(task: Task, stage: StageWork) -> str:
    """Stage, chunk and files, for a message."""
    if task.chunk.source == EVERYTHING:
        return f"stage {stage.name!r}, chunk {task.chunk.index}"
    files = [printable(segment.file.path) for segment in task.chunk.segments]
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return f"stage {stage.name!r}, chunk {task.chunk.index} ({files[0]}{more})"
