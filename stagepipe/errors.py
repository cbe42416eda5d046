"""The errors of stagepipe, and the exit code that each one ends a command with.

    StagepipeError                1
    ├── UsageError                2    a command or a call was used wrongly
    ├── PipelineError             2    the pipeline file is wrong; holds every fault at once
    ├── PluginError               2    a plugin or a step does not import, or is declared wrongly
    ├── InputError                2    no file matches, or what matches is no file
    ├── OutputError               2    a sink's place is taken or cannot be written
    ├── RunError                  1    the run failed; what was committed stays
    │   ├── TaskError             1    a task failed where no dead letter can stand for it
    │   ├── BudgetError           1    more rejects or dead letters than the pipeline allows
    │   ├── DriftError            1    files are not like those before, and on_drift is "fail"
    │   └── BalanceError          1    the sum does not come out: a defect of stagepipe or of a step
    ├── LockedError              75    another run holds the lock
    └── Interrupted        130, 143    SIGINT or SIGTERM

An error says *what* and *where* in its message and *what to do next* in its hint. Every class
survives pickling, because errors cross process borders.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


class StagepipeError(Exception):
    """The root of all errors that stagepipe raises on purpose."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class UsageError(StagepipeError):
    """A command or a call was used wrongly."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong in a pipeline file: where it stands (from 1) and what to do."""

    message: str
    file: str | None = None
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        place = [str(part) for part in (self.file, self.line, self.column) if part is not None]
        return ":".join(place) + ": " + self.message if place else self.message


class PipelineError(StagepipeError):
    """A pipeline is declared wrongly. `faults` holds all that was found, in file order."""

    exit_code = 2

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = tuple(faults)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.faults,)


class PluginError(StagepipeError):
    """A plugin or a step does not import, does not exist, or is declared wrongly."""

    exit_code = 2


class InputError(StagepipeError):
    """No file matches, or what matches is not a file. `faults` holds all that was found, where
    the message tells it one a line."""

    exit_code = 2

    def __init__(self, message: str, hint: str | None = None, faults: Sequence[Fault] = ()) -> None:
        super().__init__(message, hint)
        self.faults = tuple(faults)


class OutputError(StagepipeError):
    """A sink's place is taken, or cannot be written."""

    exit_code = 2


class RunError(StagepipeError):
    """The run failed. What was committed stays, and finished parts are kept."""


class TaskError(RunError):
    """A task failed where no dead letter can stand for it. Where several failed, `faults` holds
    the first few, for those who see no message of theirs but this one."""

    def __init__(self, message: str, hint: str | None = None, faults: Sequence[Fault] = ()) -> None:
        super().__init__(message, hint)
        self.faults = tuple(faults)


class BudgetError(RunError):
    """More rejects or dead letters than the pipeline allows."""


class DriftError(RunError):
    """New files are not like those of the run before, and the pipeline wants that to fail."""


class BalanceError(RunError):
    """The sum does not come out: a defect of stagepipe or of a step, never of the data."""


class LockedError(StagepipeError):
    """Another run holds the lock."""

    exit_code = 75


class Interrupted(StagepipeError):  # noqa: N818 - not an error of anything
    """A signal ended the run; finished parts are kept."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(signum).name}")
        self.signum = signum
        self.hint = "finished parts are kept: run the same command again to go on"

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        """128 plus the signal's number, as shells have it."""
        return 128 + self.signum

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.signum,)
