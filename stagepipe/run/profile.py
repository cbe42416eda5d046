"""The profile of a run: what its attempts took, and what its parent did meanwhile.

The time of the workers is that of the fan-outs, and that in which they wait for what the parent
does between them; so what they did and what they waited for is all of the run.
"""

from __future__ import annotations

import logging
import os
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stagepipe.plan.planner import Plan, StagePlan
from stagepipe.record.profile import Row, write_profile, write_summary
from stagepipe.run.attempt_times import AttemptTimes
from stagepipe.run.attempts import Attempt
from stagepipe.run.caps import usable_cores
from stagepipe.run.workers_time import For, Wait, WorkersTime
from stagepipe.stopwatch import OTHER, Stopwatch, in_detail

log = logging.getLogger("stagepipe")
FAN_OUT = "fan_out"
OF_PARENT = {
    "start": "the start of the run",
    "plan": "the plan",
    "barrier": "the checks at the barrier",
    "flush": "the flush",
    "commit": "the commit",
    "join": "the commit, which joins parts to one file",
}


@dataclass(frozen=True, slots=True)
class ProfileResult:
    """Where a run's profile lies, and what it comes to. `path` is relative to the pipeline's folder
    where it lies inside it."""

    path: str
    time: WorkersTime

    def to_plain(self) -> dict[str, Any]:
        """It as `run --json` prints it."""
        return {"path": self.path, **self.time.to_plain()}


class Profile:
    """Takes the times of one run. It begins when it is made; `began` is for a process that does
    nothing else, and says when that was (a time of the monotonic clock)."""

    def __init__(self, began: float | None = None) -> None:
        self.began = time.monotonic() if began is None else began
        self._computed = time.process_time() if began is None else 0.0
        self._watch = Stopwatch(self.began, rest="start")
        self._lap = self.began
        self._rows: list[Row] = []
        self._fan_out: AttemptTimes | None = None
        self._numbers: Counter[tuple[int, str]] = Counter()
        self._work: Counter[str] = Counter()
        self._waits: Counter[Wait] = Counter()
        self._of_parent: Counter[str] = Counter()
        self._cpu_seconds = 0.0
        self._workers = 0

    def counting(self) -> AbstractContextManager[None]:
        """Have what this thread does counted for the parent."""
        return in_detail(self._watch)

    def fan_out(
        self, plan: Plan, stage: StagePlan, attempts: Sequence[Attempt], slots: int
    ) -> AttemptTimes:
        """A stage, or a layer of it, fans out to so many workers."""
        self._close()
        self._watch.rest_is(OTHER)
        self._workers = max(self._workers, slots)
        self._fan_out = AttemptTimes(plan, stage, attempts, slots, self.began, self._numbers)
        return self._fan_out

    def stage_ended(self, name: str) -> None:
        """A stage is over, and its rows are in the table if they are to be."""
        self._close()
        self._row_of_parent(name)
        self._watch.rest_is(OTHER)
        ended = time.monotonic() - self.began
        for row in reversed(self._rows):
            if row.stage == name and row.outcome == "made":
                row.waits.setdefault("wait_flush", ended - row.ended)

    def end(self, jobs: int, path: Path, shown_path: str) -> ProfileResult | None:
        """The run is over, with so many workers. Its profile is written to `path`; None where that
        cannot be."""
        self._close()
        self._row_of_parent("")
        result = ProfileResult(shown_path, self._workers_time(jobs))
        try:
            write_profile(path, self._rows)
            write_summary(path, result.to_plain())
        except OSError as error:
            log.warning("the profile cannot be written to %s: %s", path, error.strerror)
            return None
        return result

    def _workers_time(self, jobs: int) -> WorkersTime:
        waits = Counter(self._waits)
        for kind, seconds in self._of_parent.items():
            waits[Wait(For.PARENT, OF_PARENT.get(kind, "other work of the parent"))] += (
                seconds * jobs
            )
        return WorkersTime(
            seconds=self._lap - self.began,
            workers=max(self._workers, jobs),
            cores=usable_cores(),
            work=dict(self._work),
            waits={wait: seconds for wait, seconds in waits.items() if seconds > 0},
            cpu_seconds=self._cpu_seconds,
        )

    def _close(self) -> None:
        """Take what the last fan-out came to."""
        fan_out, self._fan_out = self._fan_out, None
        if fan_out is None:
            return
        fan_out.close()
        self._rows += fan_out.rows
        for row in fan_out.rows:
            self._work.update(row.seconds)
            self._cpu_seconds += row.cpu_seconds or 0.0
        self._waits.update(dict(fan_out.waits))
        self._of_parent.update({FAN_OUT: -fan_out.idling.wall})

    def _row_of_parent(self, stage: str) -> None:
        """What the parent did since the last of its rows."""
        computed = time.process_time()
        seconds = self._watch.details()
        self._rows.append(
            Row(
                stage=stage,
                worker=os.getpid(),
                began=self._lap - self.began,
                seconds=seconds,
                cpu_seconds=computed - self._computed,
            )
        )
        self._of_parent.update(seconds)
        self._lap += sum(seconds.values())
        self._computed = computed
