"""A worker's desk: a file that says which process is at an attempt, and takes its last words.

The parent has to know whom to end when an attempt takes too long, and who was at what when a worker
is gone. The tracebacks are written by `faulthandler`, which needs no GIL, when the process dies of
a signal: of its own fault, or of the SIGABRT by which the parent ends what takes too long.
"""

from __future__ import annotations

import faulthandler
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

SUFFIX = ".desk"
MOST_TEXT = 20_000


@contextmanager
def at_desk(path: Path) -> Iterator[None]:
    """Be at work in this process. The desk stays when the process dies. Raises OSError."""
    with path.open("w", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\n")
        file.flush()
        faulthandler.enable(file)
        try:
            yield
        finally:
            faulthandler.disable()
            path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Left:
    """What is found at a desk: the process, None where nobody has come yet, and its traceback."""

    pid: int | None = None
    traceback: str = ""


def look_at(path: Path) -> Left:
    """See who is, or was, at a desk."""
    try:
        text = path.read_text(encoding="utf-8", errors="backslashreplace")[:MOST_TEXT]
    except OSError:
        return Left()
    pid, _, traceback = text.partition("\n")
    return Left(int(pid) if pid.isdecimal() else None, traceback.strip())


def clear(path: Path) -> None:
    """Take away what a dead worker left."""
    with suppress(OSError):
        path.unlink(missing_ok=True)
