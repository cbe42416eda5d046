"""The profile of a run: what each attempt of a task took, and what the parent did, as CSV in the
run's folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stagepipe.model import printable

KINDS = (
    *("start", "plan", "fan_out", "barrier", "flush", "commit", "join"),
    *("import", "read", "unpack", "hash", "detect", "count", "parse", "check", "explain"),
    *("steps", "compare", "encode", "write", "lost"),
)
"""The kinds of work that stagepipe itself names, in the order of their columns: the parent's, then
those of tasks."""
WAITS = ("wait_limit", "wait_delay", "wait_pause", "wait_worker", "wait_flush")
FIRST = (
    *("stage", "doing", "source", "chunk", "attempt", "outcome", "worker", "began", "seconds"),
    *("cpu_seconds", "bytes", "rows"),
)
SUMMARY = {"workers", "worker_seconds", "cpu_seconds", "busy", "work", "waits", "verdict"}


@dataclass(slots=True)
class Row:
    """An attempt of a task; without a chunk, what the parent did up to the end of a stage. `began`
    counts from the run's start, `seconds` by kind of work sum to how long it took, `waits` are what
    came before and after; all of them seconds. What is not known is None."""

    stage: str
    worker: int | None
    began: float
    seconds: Mapping[str, float]
    cpu_seconds: float | None = None
    doing: str = ""
    source: str = ""
    chunk: int | None = None
    attempt: int | None = None
    outcome: str = ""
    bytes: int | None = None
    rows: int | None = None
    waits: dict[str, float] = field(default_factory=dict)

    @property
    def ended(self) -> float:
        """When it was over, from the run's start."""
        return self.began + sum(self.seconds.values())


def profile_path(state: Path, run: str) -> Path:
    """Where a run's profile lies, if there is one."""
    return state / "runs" / run / "profile.csv"


def write_profile(path: Path, rows: Sequence[Row]) -> None:
    """Write the rows, with a column for each kind of work that any of them has. Raises OSError."""
    import csv

    found = dict.fromkeys(kind for row in rows for kind in row.seconds)
    named = sorted(kind for kind in found if kind not in (*KINDS, "other"))
    kinds = [*(kind for kind in KINDS if kind in found), *named, "other"]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(map(printable, (*FIRST, *kinds, *WAITS)))
        writer.writerows(_cells(row, kinds) for row in rows)


def write_summary(path: Path, summary: Mapping[str, Any]) -> None:
    """Write what a profile comes to, beside it. Raises OSError."""
    path.with_suffix(".json").write_text(json.dumps(summary, indent=1), encoding="utf-8")


def read_summary(path: Path) -> Mapping[str, Any] | None:
    """What a profile comes to; None where there is none, or it cannot be read."""
    try:
        found = json.loads(path.with_suffix(".json").read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.keys() >= SUMMARY else None


def _cells(row: Row, kinds: Iterable[str]) -> list[str | int | None]:
    """The row as text; empty where nothing of that kind was done."""
    seconds = {**row.seconds, **row.waits}
    return [
        printable(row.stage),
        row.doing,
        printable(row.source),
        row.chunk,
        row.attempt,
        row.outcome,
        row.worker,
        _in_cell(row.began),
        _in_cell(sum(row.seconds.values())),
        _in_cell(row.cpu_seconds),
        row.bytes,
        row.rows,
        *(_in_cell(seconds.get(name)) for name in (*kinds, *WAITS)),
    ]


def _in_cell(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds:.6f}"
