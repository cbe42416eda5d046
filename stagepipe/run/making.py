"""The parts of one stage, made by the workers: tried, tried again, and searched for what fails."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stagepipe import events
from stagepipe.amounts import duration
from stagepipe.errors import BudgetError, RunError
from stagepipe.model import Cause, Failure, PartFile, Receipt, Task, shown_source
from stagepipe.plan.planner import Plan, StagePlan
from stagepipe.plan.tasks import files_of, input_digest
from stagepipe.plan.work import Role
from stagepipe.record import balance
from stagepipe.run import barrier, layers
from stagepipe.run.attempts import Attempt, Attempts, Following, Rules, torn
from stagepipe.run.breaker import Breaker
from stagepipe.run.caps import limits_of
from stagepipe.run.deadlines import Deadlines
from stagepipe.run.disk import HINT, Room
from stagepipe.run.fanout import Calls
from stagepipe.run.journal import Journal
from stagepipe.run.limits import Limits
from stagepipe.run.orders import Order
from stagepipe.run.pools import FanOuts
from stagepipe.run.sharing import Sharing

if TYPE_CHECKING:
    from stagepipe.run.attempt_times import AttemptTimes

log = logging.getLogger("stagepipe")
MOST_SEARCHED = 100
"""With --keep-going so many dead letters are looked for, and more only where `max_dead` is more: a
step that always fails is none of the files' doing."""


@dataclass(frozen=True, slots=True)
class How:
    """How a run is to go about it: see `stagepipe.run`."""

    jobs: int
    keep_going: bool
    fail_fast: bool


class Making:
    """Makes the parts of a stage that are not taken. `receipts` are those of all tasks so far; what
    is made is added to them."""

    def __init__(
        self,
        plan: Plan,
        stage: StagePlan,
        receipts: MutableMapping[str, Receipt],
        how: How,
        journal: Journal,
    ) -> None:
        self._plan = plan
        self._stage = stage
        self._receipts = receipts
        self._how = how
        self._journal = journal
        self._errors = plan.checked.pipeline.errors_of(stage.declared)
        errors = self._errors
        budget = errors.retry_budget
        rules = Rules(errors.attempts, errors.backoff, budget, self._may_die, self._held_bytes)
        self._attempts = Attempts(rules, stage.to_make)
        self._breaker = Breaker(self._errors.backoff)
        self._failures: list[Failure] = []
        self._sharing = Sharing()
        self._room = Room(plan.checked.pipeline)

    def run(self, fan_outs: FanOuts) -> Iterator[Receipt]:
        """Make them; each receipt as it comes. A task that fails does not keep the others from
        finishing.

        Raises TaskError after that, RunError when there is no room for what is written, BudgetError
        at the first dead letter where the run is to stop at one.
        """
        to_make = self._stage.to_make
        self._journal.tell(
            events.StageStarted,
            stage=self._stage.name,
            tasks=Counter(task.chunk.source for task in to_make),
            taken=len(self._stage.tasks) - len(to_make),
            bytes_to_read=sum(map(self._size, to_make)),
            doing=layers.DOING.get(self._stage.work.role, ""),
        )
        self._room.check()
        again = [self._attempts.first(task) for task in to_make]
        while again and not self._failures:
            yield from self._make(again, fan_outs)
            again = self._torn()
        if self._failures:
            raise barrier.task_error(self._failures)

    def _make(self, attempts: Sequence[Attempt], fan_outs: FanOuts) -> Iterator[Receipt]:
        fan_out = fan_outs.of(self._stage)
        limits = limits_of(self._plan, self._stage, attempts, fan_out.jobs)
        calls = Calls(self._order, self._started, lambda running: self._waiting(limits, running))
        times = self._times(attempts, fan_out.jobs)
        if times is not None:
            calls = times.heard(calls, limits)
        results = fan_out.run(limits, Deadlines(self._errors.timeout), calls)
        for attempt, result in results if times is None else times.noted(results):
            now = self._journal.clock()
            if isinstance(result, Failure):
                following = self._attempts.after_failure(attempt, result, now)
                self._journal.keep_traceback(result)
                if following is None:
                    self._fail(attempt.task, result)
                self._rest(limits, attempt, result, now)
            else:
                if self._breaker.after_success(attempt.source):
                    limits.wake_up(attempt.source)
                following = self._attempts.after_success(attempt, now)
                if not attempt.is_probe:
                    yield self._kept(attempt.task, result)
            if following is not None:
                self._tell(attempt, result, following, now)
                limits.again(following.attempt, following.at)
                if times is not None:
                    times.again(following.attempt, following.at - now)
            if self._failures and self._how.fail_fast:
                return

    def _times(self, attempts: Sequence[Attempt], jobs: int) -> AttemptTimes | None:
        """What takes the times of the attempts, in a run that is profiled."""
        profile = self._journal.profile
        if profile is None:
            return None
        return profile.fan_out(self._plan, self._stage, attempts, max(jobs, self._how.jobs))

    def _kept(self, task: Task, receipt: Receipt) -> Receipt:
        receipt = self._sharing.receipt(task, receipt)
        self._journal.task_finished(self._stage, task, self._size(task), receipt)
        balance.check_receipt(receipt)
        self._journal.note_dead(receipt)
        if self._how.fail_fast and not receipt.is_whole:
            dead = {s.file: s.dead for s in receipt.segments if s.dead is not None}
            barrier.check_unchanged(self._plan.checked.pipeline.folder, dead)
            words = barrier.dead_in_words({file.path: why for file, why in dead.items()})
            raise BudgetError(f"stopped at the first: {words}")
        self._receipts[task.key] = receipt
        return receipt

    def _fail(self, task: Task, failure: Failure) -> None:
        """A task has failed for good. Raises RunError where all others would, too."""
        if failure.cause is Cause.DISK_FULL:
            raise RunError(f"the disk is full: {failure.message}", HINT)
        self._journal.task_finished(self._stage, task, self._size(task), failure)
        self._failures.append(failure)

    def _rest(self, limits: Limits, attempt: Attempt, failure: Failure, now: float) -> None:
        """Let the source rest if its attempts fail in a row. It is given up when it rested often
        enough, or a task of it has failed for good: that fails the run, whatever comes later."""
        source = attempt.source
        until = self._breaker.after_failure(source, failure.cause, now)
        if until is None:
            return
        name, pause = shown_source(source), duration(until - now)
        has_failed = any(each.source == source for each in self._failures)
        if not (has_failed or self._breaker.is_hopeless(source)):
            limits.rest(source, until)
            words = "%s rests for %s: its attempts failed in a row, the last with: %s"
            log.warning(words, name, pause, failure.why, extra={"source": source})
            return
        dropped = [each.task for each in limits.drop(source)]
        if not dropped:
            return
        words = "%s is given up, its attempts failed in a row: %d of its tasks are not tried"
        log.warning(words, name, len(dropped), extra={"source": source})
        why = f"not tried, as {name} is given up; the last failure was: {failure.why}"
        for task in dropped:
            key, chunk = task.key, task.chunk.index
            self._fail(task, replace(failure, key=key, chunk=chunk, message=why, why=why))

    def _tell(
        self, attempt: Attempt, result: Receipt | Failure, following: Following, now: float
    ) -> None:
        """Tell of an attempt that was not its task's last."""
        error = result.why if isinstance(result, Failure) else None
        pause = max(following.at - now, 0.0)
        if isinstance(result, Failure) and not attempt.is_probe:
            if following.is_retry:
                self._journal.note_retry(self._stage)
            what = self._in_words(attempt, result, following, pause)
            level = logging.INFO if result.cause is Cause.NEIGHBOUR else logging.WARNING
            log.log(level, "%s; %s", result.message, what, extra={"source": attempt.source})
        self._journal.tell(
            events.AttemptEnded,
            stage=self._stage.name,
            chunk=attempt.task.chunk.index,
            source=attempt.source,
            error=error,
            pause_seconds=pause,
        )

    def _in_words(
        self, attempt: Attempt, failure: Failure, following: Following, pause: float
    ) -> str:
        """What follows a failure of a whole chunk."""
        if following.is_retry:
            number, most = following.attempt.number, self._errors.attempts
            return f"tried again in {duration(pause)}, attempt {number} of {most}"
        if failure.cause in (Cause.COMPANY, Cause.NEIGHBOUR):
            return "tried again"
        if following.attempt.is_probe:
            return "its files are tried in halves, to find what fails"
        if following.attempt.piece_bytes != attempt.piece_bytes:
            return "tried again with half of its rows at a time"
        return "made without it" if following.attempt.dead != attempt.dead else "read once more"

    def _torn(self) -> list[Attempt]:
        """The tasks that are to be made once more, without files that are dead in other chunks."""
        dead = {
            task.key: {n: s.dead for n, s in enumerate(receipt.segments) if s.dead is not None}
            for task in self._stage.tasks
            if (receipt := self._receipts.get(task.key)) is not None and not receipt.is_whole
        }
        tasks = {task.key: task for task in self._stage.tasks if not task.inputs}
        again = []
        for key, numbers in torn(list(tasks.values()), dead).items():
            self._journal.forget_task(self._stage, tasks[key])
            again.append(Attempt(tasks[key], dead={**dead.get(key, {}), **numbers}, is_last=True))
        return again

    def _may_die(self, cause: Cause) -> bool:
        """Whether a failure can end as dead letters. What may be the files' doing is always looked
        into; what is most often a step's, only where a dead letter more does not fail the run."""
        dead, most = len(self._journal.dead), self._errors.max_dead
        if self._how.keep_going:
            return dead < max(most, MOST_SEARCHED)
        if cause in (Cause.DEATH, Cause.TIMEOUT, Cause.MEMORY):
            return dead <= most
        return dead < most

    def _order(self, attempt: Attempt, attempt_id: str) -> Order:
        task = attempt.task
        return Order(
            task=replace(task, chunk=attempt.chunk),
            attempt=attempt_id,
            inputs=tuple(self._inputs(task)),
            input_sha256=input_digest(task.inputs, self._receipts) or "",
            dead={} if attempt.is_probe else attempt.dead,
            is_probe=attempt.is_probe,
            is_last=attempt.is_last,
            piece_bytes=attempt.piece_bytes,
            is_profiled=self._journal.profile is not None,
        )

    def _started(self, attempt: Attempt) -> None:
        self._journal.task_started(self._stage, attempt.task, self._size(attempt.task))

    def _waiting(self, limits: Limits, running: int) -> None:
        self._room.check()
        reasons = limits.waiting_for(self._journal.clock())
        self._journal.tell(events.Waiting, stage=self._stage.name, running=running, reasons=reasons)

    def _size(self, task: Task) -> int:
        """Bytes that the task reads."""
        if not task.inputs:
            return task.chunk.size
        return sum(file.bytes for file in self._inputs(task))

    def _held_bytes(self, task: Task) -> int:
        """The largest piece that a task of a later stage reads; 0 where it needs all at once."""
        work = self._stage.work
        if not task.inputs or work.is_over_all or work.role is Role.COMPARES:
            return 0
        return max(file.bytes for file in self._inputs(task))

    def _inputs(self, task: Task) -> Iterator[PartFile]:
        """The files that a task of a later stage reads."""
        return (file for piece in task.inputs for file in files_of(piece, self._receipts))
