"""The tracebacks of a run's failed tasks, as text in its folder: those of the first few."""

from __future__ import annotations

from pathlib import Path

from stagepipe.model import Failure

MOST = 3
"""More of them seldom say more."""


def tracebacks_path(state: Path, run: str) -> Path:
    """Where a run's tracebacks lie, if there are any."""
    return state / "runs" / run / "tracebacks.txt"


class Tracebacks:
    """Writes the tracebacks of one run."""

    def __init__(self, state: Path, run: str) -> None:
        self.path = tracebacks_path(state, run)
        self._kept = 0

    def keep(self, failure: Failure) -> None:
        """Write a failure's traceback, unless there are enough. Raises OSError."""
        if not failure.traceback or self._kept == MOST:
            return
        self._kept += 1
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{failure.message}\n\n{failure.traceback}\n\n")
