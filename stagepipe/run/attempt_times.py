"""What the attempts of one fan-out took, and what was waited for meanwhile."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from stagepipe.model import Failure, Receipt, shown
from stagepipe.plan.planner import Plan, StagePlan
from stagepipe.plan.work import Role
from stagepipe.record.profile import Row
from stagepipe.run import layers
from stagepipe.run.attempts import Attempt
from stagepipe.run.fanout import Calls
from stagepipe.run.idling import NO_TASK, WORKERS, Idling
from stagepipe.run.limits import Limits
from stagepipe.run.orders import Spent
from stagepipe.run.workers_time import For, Wait

Result: TypeAlias = Receipt | Failure
LOST = "lost"
"""What the time of an attempt went to that never came back."""
STARTING = "starting"
"""What everything waits for until the workers are ready."""
WAITS = {
    STARTING: Wait(For.WORKERS, "the start of the workers"),
    "start_delay": Wait(For.DELAY, "start_delay"),
    "backoff": Wait(For.PAUSE, "the pause before another attempt (backoff)"),
    "rest": Wait(For.PAUSE, "a source that rests, as its attempts failed in a row"),
    "alone": Wait(For.PAUSE, "an attempt that has to be alone"),
    WORKERS: Wait(For.WORKERS, "a worker"),
}
COLUMNS = {
    For.LIMIT: "wait_limit",
    For.DELAY: "wait_delay",
    For.PAUSE: "wait_pause",
    For.WORKERS: "wait_worker",
}


@dataclass(frozen=True, slots=True)
class Came:
    """An attempt that waits: for how long it has to, and what those of its source had waited for
    before it."""

    pause: float = 0.0
    asked: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Begun:
    """An attempt that was given to a worker: when, and its waits before that, by column."""

    at: float
    waits: Mapping[str, float]


class AttemptTimes:
    """The attempts of one fan-out, which gets `attempts` at first and has so many `slots`. Each
    that ended is a row, with times from `began` on; `numbers` counts the attempts of each task."""

    def __init__(
        self,
        plan: Plan,
        stage: StagePlan,
        attempts: Sequence[Attempt],
        slots: int,
        began: float,
        numbers: Counter[tuple[int, str]],
    ) -> None:
        self.rows: list[Row] = []
        self.idling = Idling(
            slots, Counter(each.source for each in attempts), time.monotonic(), STARTING
        )
        self._plan, self._stage = plan, stage
        self._began = began
        self._numbers = numbers
        self._flying: dict[Attempt, Begun] = {}
        self._spent: dict[Attempt, Spent] = {}
        self._came: dict[Attempt, Came] = {}

    def heard(self, calls: Calls, limits: Limits) -> Calls:
        """The calls of the fan-out, heard here too."""

        def looked(running: int) -> None:
            now, has_idle = time.monotonic(), self.idling.has_idle(running)
            self.idling.look(now, running, limits.waiting_for(now) if has_idle else {})

        def started(attempt: Attempt) -> None:
            self._started(attempt)
            calls.started(attempt)

        return replace(calls, started=started, looked=looked, spent=self._spent.__setitem__)

    def noted(self, found: Iterator[tuple[Attempt, Result]]) -> Iterator[tuple[Attempt, Result]]:
        """What came of the attempts, noted before it is given on."""
        for attempt, result in found:
            outcome = "probed" if attempt.is_probe else "made"
            self._end(attempt, "failed" if isinstance(result, Failure) else outcome, result)
            yield attempt, result

    def again(self, attempt: Attempt, pause: float) -> None:
        """Another attempt of a task is to start after a pause, in seconds."""
        self._came[attempt] = Came(pause, self.idling.ask(attempt.source))
        self.idling.came(attempt.source)

    def close(self) -> None:
        """The fan-out is over; what is in flight still was stopped."""
        self.idling.look(time.monotonic(), 0, {})
        for attempt in list(self._flying):
            self._end(attempt, "stopped", None)

    @property
    def waits(self) -> Iterator[tuple[Wait, float]]:
        """What workers waited for, with the seconds of all of them."""
        for reason, seconds in self.idling.idle.items():
            yield self._wait(reason), seconds
        handed = self.idling.busy - sum(sum(row.seconds.values()) for row in self.rows)
        yield Wait(For.PARENT, "the parent, to give and take tasks"), max(handed, 0.0)

    def _started(self, attempt: Attempt) -> None:
        came = self._came.pop(attempt, Came())
        waits: Counter[str] = Counter()
        for reason, seconds in self.idling.ask(attempt.source).items():
            if column := COLUMNS.get(self._wait(reason).kind):
                waits[column] += seconds - came.asked.get(reason, 0.0)  # type: ignore[assignment]
        # It could not have started sooner, had a worker been idle.
        paused = max(came.pause - waits["wait_pause"], 0.0)
        waits.update({"wait_pause": paused, "wait_worker": -paused})
        self.idling.started(attempt.source)
        self._flying[attempt] = Begun(time.monotonic(), waits)

    def _end(self, attempt: Attempt, outcome: str, result: Result | None) -> None:
        begun, spent = self._flying.pop(attempt), self._spent.pop(attempt, None)
        if spent is None:  # its worker died, or goes on somewhere
            spent = Spent(None, begun.at, {LOST: time.monotonic() - begun.at}, None)
        task, receipt = attempt.task, result if isinstance(result, Receipt) else None
        self._numbers[task.stage, task.key] += 1
        waits = {column: seconds for column, seconds in begun.waits.items() if seconds > 0}
        handed_over = max(spent.began - begun.at, 0.0)
        waits["wait_worker"] = waits.get("wait_worker", 0.0) + handed_over
        self.rows.append(
            Row(
                stage=self._stage.name,
                doing=layers.DOING.get(self._stage.work.role, ""),
                source=task.chunk.source,
                chunk=task.chunk.index,
                attempt=self._numbers[task.stage, task.key],
                outcome=outcome,
                worker=spent.worker,
                began=spent.began - self._began,
                seconds=spent.seconds,
                cpu_seconds=spent.cpu_seconds,
                bytes=receipt.input_bytes if receipt else attempt.chunk.size,
                rows=receipt.rows.read if receipt else None,
                waits=waits,
            )
        )

    def _wait(self, reason: str) -> Wait:
        """What a reason of `Limits.waiting_for` means."""
        if reason in WAITS:
            return WAITS[reason]
        if reason == NO_TASK:
            return Wait(For.LAST_TASKS, self._last_tasks())
        kind, _, name = reason.partition(" ")
        caps = {"stage": self._stage.declared.max_concurrent}
        if kind == "limit":
            caps["limit"] = self._plan.checked.pipeline.limits[name].max_concurrent
        if kind == "source":
            declared = {each.name: each.declared for each in self._plan.sources}
            caps["source"] = declared[name].max_concurrent
        named = f"{kind} {shown(name or self._stage.name)}"
        return Wait(For.LIMIT, f"{named}: max_concurrent = {caps[kind]}")

    def _last_tasks(self) -> str:
        name, work = self._stage.name, self._stage.work
        if work.role is Role.COMPARES:
            return f"stage {name}, which looks for duplicates in one task"
        if work.is_over_all:
            return f"stage {name}, whose step over all rows is one task"
        return f"the last tasks of stage {name}"
