"""What the time of a run's workers went to, in shares that sum to one, and what that says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from stagepipe.stopwatch import OTHER

MUCH = 0.25
"""What the workers waited for that share of their time is worth a sentence."""
BUSY = 0.75
"""With that share of their time at work, the workers are what limits the run."""
FEW_COMPUTED = 0.6
"""Who works and computes for less of that time waits for something outside."""


class For(StrEnum):
    """What a worker without a task waits for."""

    LIMIT = "limit"
    DELAY = "delay"
    PAUSE = "pause"
    LAST_TASKS = "last tasks"
    WORKERS = "workers"
    PARENT = "parent"


@dataclass(frozen=True, slots=True)
class Wait:
    """Something that is waited for, and what that is in words."""

    kind: For
    what: str


@dataclass(frozen=True, slots=True)
class WorkersTime:
    """The time of all workers of a run, from its start to its end, in seconds: that of `work` by
    kind, and that of `waits`. The run took `seconds` and had at most so many `workers` at once, on
    so many `cores`; `cpu_seconds` of the work were computing."""

    seconds: float
    workers: int
    cores: int
    work: Mapping[str, float]
    waits: Mapping[Wait, float]
    cpu_seconds: float

    @property
    def total(self) -> float:
        """All of it."""
        return sum(self.work.values()) + sum(self.waits.values())

    @property
    def busy(self) -> float:
        """The share of it in which they had a task."""
        return self.share(sum(self.work.values()))

    def share(self, seconds: float) -> float:
        """These seconds as a share of all."""
        return seconds / self.total if self.total else 0.0

    def verdict(self) -> str | None:
        """One sentence on what limited the run; None where that is not clear."""
        if not self.total:
            return None
        if not sum(self.work.values()):
            return "no task was to be made"
        wait, waited = max(self.waits.items(), key=lambda item: item[1], default=(None, 0.0))
        if wait is not None and self.share(waited) >= MUCH:
            return f"the workers waited {self.share(waited):.0%} of the time for {wait.what}" + (
                ": a smaller chunk_size makes more tasks" if wait.kind is For.LAST_TASKS else ""
            )
        if self.busy < BUSY:
            return None
        told = f"the workers were busy {self.busy:.0%} of the time"
        named = {kind: seconds for kind, seconds in self.work.items() if kind != OTHER}
        if named:
            kind = max(named, key=named.__getitem__)
            told += f", and {kind} took {self.share(named[kind]):.0%} of it"
        worked = sum(self.work.values())
        if self.cpu_seconds < FEW_COMPUTED * worked:
            return (
                f"{told}; but they computed in {self.cpu_seconds / worked:.0%} of that only, and "
                "waited for a disk, a network or another program in the rest"
            )
        if self.workers < self.cores:
            return f"{told}; there were {self.workers} of them on {self.cores} cores"
        return told

    def to_plain(self) -> dict[str, Any]:
        """It as `run --json` prints it."""
        return {
            "workers": self.workers,
            "seconds": self.seconds,
            "worker_seconds": self.total,
            "cpu_seconds": self.cpu_seconds,
            "busy": self.busy,
            "work": [
                {"kind": kind, "seconds": seconds, "share": self.share(seconds)}
                for kind, seconds in _most_first(self.work)
            ],
            "waits": [
                {"for": wait.what, "kind": wait.kind, "seconds": s, "share": self.share(s)}
                for wait, s in _most_first(self.waits)
            ],
            "verdict": self.verdict(),
        }


def _most_first(found: Mapping[Any, float]) -> list[tuple[Any, float]]:
    return sorted(found.items(), key=lambda item: -item[1])
