"""What a run tells while it runs: to the ledger, to listeners, and at the end to who called it."""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stagepipe import events
from stagepipe.errors import Interrupted, StagepipeError
from stagepipe.model import Decision, Failure, Output, Receipt, Rows, Task, printable
from stagepipe.plan.detecting import detected_in, detected_lines
from stagepipe.plan.files import left_alone
from stagepipe.plan.mended import lost_mended
from stagepipe.plan.planner import Plan, StagePlan
from stagepipe.plan.work import Role
from stagepipe.record import balance, rejects
from stagepipe.record.ledger import Ledger
from stagepipe.record.mended import Mended
from stagepipe.record.tracebacks import Tracebacks
from stagepipe.run.barrier import changed
from stagepipe.run.descriptors import hold_lowest
from stagepipe.run.drifting import Noted, SourceDrift, drift
from stagepipe.run.holding import signals_held_back
from stagepipe.run.notes import TaskNotes, history
from stagepipe.run.result import RunResult, StageResult

if TYPE_CHECKING:
    from stagepipe.run.profile import Profile, ProfileResult

log = logging.getLogger("stagepipe")


class Journal:
    """The notes of one run. `dead` are the files that ended as dead letters, with the reason;
    `plan` grows when stages can be planned only after others have run. `profile` takes the times of
    a run that is profiled, `clock` gives seconds."""

    def __init__(
        self,
        plan: Plan,
        ledger: Ledger,
        listeners: Sequence[events.Listener],
        jobs: int,
        replay_of: str | None = None,
        profile: Profile | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.run = new_run_id()
        self.clock = clock
        self.replay_of = replay_of
        self.profile = profile
        self.dead: dict[str, str] = {}
        self.plan = plan
        self._pipeline = plan.checked.pipeline
        self._ledger = ledger
        # The last of them mends what the others may have closed.
        self._listeners = (*listeners, plan.checked.plugins.tell, hold_lowest)
        self._jobs = jobs
        self._begin = clock()
        self._files = list(plan.input_files)
        self._stages: list[StageResult] = []
        self._outputs: list[Output] = []
        self._tasks = TaskNotes(ledger, self.run)
        self._read: set[str] = set()
        self._rejects: Path | None = None
        self._drift: list[Noted] = []
        self._retries: Counter[str] = Counter()
        self._tracebacks = Tracebacks(self._pipeline.state_path, self.run)

    @property
    def rows_before(self) -> int | None:
        """The rows that the last committed stage wrote; None before the first."""
        return self._stages[-1].rows.written if self._stages else None

    @property
    def rejects_path(self) -> Path:
        """Where the run's rejects go."""
        return self._pipeline.state_path / "runs" / self.run / "rejects.parquet"

    def has_noted(self, stage: StagePlan) -> bool:
        """Whether it is noted how the stage ended."""
        return any(result.name == stage.name for result in self._stages)

    def tell(self, kind: type[events.Event], **what: Any) -> None:
        """Tell all listeners. What one of them raises is logged and changes nothing."""
        event = kind(now=self.clock(), **what)
        for listener in self._listeners:
            try:
                listener(event)
            except Interrupted:  # a signal came while the listener was at work
                raise
            except (KeyboardInterrupt, GeneratorExit):
                raise
            except BaseException:  # not even a plugin's sys.exit() ends a run
                log.exception("a listener failed at %s", kind.__name__)

    def begin(self) -> None:
        """The run begins."""
        # Absolute: who looks at the ledger later stands elsewhere, and its paths start there.
        file = self._pipeline.file
        path = str(self._pipeline.folder / file.name) if file else None
        name, files = self._pipeline.name, len(self._files)
        for lost in lost_mended(self._pipeline, self._ledger.mended_files(name)):
            log.warning("%s", lost)
        self._ledger.begin_run(self.run, name, path, self._jobs, files, self.replay_of)
        if log.isEnabledFor(logging.INFO):
            found = detected_in(self.plan.checked, self.plan.sources)
            for line in detected_lines(found):
                log.info("%s", line)
        for note in self.plan.mended.notes:
            log.warning("%s", note)
        for source in self.plan.sources:
            if source.unsettled:
                log.warning("%s", left_alone(source))
        self.tell(
            events.RunStarted,
            run=self.run,
            pipeline=self._pipeline.name,
            stages=tuple(stage.name for stage in self._pipeline.stages),
            jobs=self._jobs,
            files=len(self._files),
            input_bytes=sum(file.size for file in self._files),
        )

    def start_over(self, plan: Plan, why: str) -> None:
        """The run has another plan, and begins again with its first stage."""
        log.info("%s: planning again", why)
        self.plan = plan
        self.dead.clear()
        self._stages.clear()
        self._outputs.clear()
        self._drift.clear()
        self._tasks.clear()
        self._read.clear()
        self._rejects = None
        with history():
            self._ledger.start_over(self.run)

    def task_started(self, stage: StagePlan, task: Task, size: int) -> None:
        """A chunk goes to a worker."""
        files = len({segment.file.path for segment in task.chunk.segments})
        self.tell(events.TaskStarted, files=files, **_about(stage, task, size))

    def task_finished(
        self, stage: StagePlan, task: Task, size: int, result: Receipt | Failure
    ) -> None:
        """A worker returned. A chunk that was only read is noted when its stage ends."""
        result = result if isinstance(result, Failure) else self._as_noted(result)
        if isinstance(result, Failure) or stage.work.role in (Role.WHOLE, Role.COMPARES):
            self._tasks.add(stage.name, task, result)
        receipt, error = (result, None) if isinstance(result, Receipt) else (None, result.message)
        if isinstance(result, Failure):
            source = printable(task.chunk.source)
            places = {"stage": stage.name, "chunk": task.chunk.index, "source": source}
            log.info("%s", result.message, extra=places)  # the run's own error tells it at the end
            if result.traceback:
                log.debug("its traceback", extra={**places, "traceback": result.traceback})
        about = _about(stage, task, size)
        self.tell(events.TaskFinished, receipt=receipt, error=error, **about)

    def keep_traceback(self, failure: Failure) -> None:
        """Keep where an attempt failed."""
        with suppress(OSError):  # the failure itself is told in any case
            self._tracebacks.keep(failure)

    def forget_task(self, stage: StagePlan, task: Task) -> None:
        """A task that is done is done once more, and what becomes of it then is what counts."""
        self._tasks.forget(stage.name, task)

    def note_retry(self, stage: StagePlan) -> None:
        """A task of a stage is tried again."""
        self._retries[stage.name] += 1

    def note_dead(self, receipt: Receipt) -> None:
        """Keep the files of which nothing could be made."""
        for segment in self._as_noted(receipt).segments:
            if segment.dead is not None and segment.file.path not in self.dead:
                self.dead[segment.file.path] = segment.dead
                path = printable(segment.file.path)
                log.warning("dead letter: %s: %s", path, segment.dead, extra={"file": path})

    def _as_noted(self, receipt: Receipt) -> Receipt:
        """The receipt without files that could not be read because they changed. They are no dead
        letters: the barrier fails for them, and the next run reads them as they are then."""
        dead = [segment.file for segment in receipt.segments if segment.dead is not None]
        moved = {file for file in dead if any(changed(self._pipeline.folder, [file]))}
        if not moved:
            return receipt
        left = tuple(segment for segment in receipt.segments if segment.file not in moved)
        return replace(receipt, segments=left)

    def note_drift(self, receipts: Sequence[Receipt]) -> list[SourceDrift]:
        """See and tell what is new about the files that the first stage read. A ledger that cannot
        be read knows of nothing before them."""
        found: list[SourceDrift] = []
        with history():
            found = drift(self.plan, self._ledger, receipts)
            self._drift = [noted for each in found for noted in each.noted]
            self._ledger.add_drift(self.run, [(n.change, n.on_drift) for n in self._drift])
        for noted in self._drift:
            if noted.on_drift != "accept":
                message, source = noted.change.message, noted.change.source
                log.warning("drift: %s", message, extra={"source": source})
        return found

    def note_profiles(self, found: Sequence[SourceDrift]) -> None:
        """All is committed: the next run's files are compared with those of this one."""
        with history():
            for each in found:
                name, pipeline = each.source.name, self._pipeline.name
                self._ledger.add_profile(self.run, pipeline, name, each.profile, each.files)

    def collected_rejects(self, path: Path) -> None:
        """The rejects of a stage stand in this file."""
        self._rejects = path

    @property
    def collected(self) -> Path | None:
        """Where the rejects stand; None when there are none."""
        return self._rejects

    def stage_ended(
        self,
        stage: StagePlan,
        status: str,
        rows: Rows,
        receipts: Sequence[Receipt],
        seconds: float,
        outputs: tuple[Output, ...] = (),
    ) -> None:
        """A stage is committed, or failed. `receipts` are those that there are."""
        receipts = list(map(self._as_noted, receipts))
        by_key = {receipt.key: receipt for receipt in receipts}
        segments = (s for receipt in receipts for s in receipt.segments)
        self._read.update(s.file.path for s in segments if not s.file.is_mended)
        taken = [task for task in stage.tasks if task.decision is Decision.TAKEN]
        for task in stage.tasks:
            if task.key in by_key:
                self._tasks.add(stage.name, task, by_key[task.key])
        self._tasks.write()
        result = StageResult(
            name=stage.name,
            status=status,
            rows=rows,
            made=len(receipts) - len(taken),
            taken=len(taken),
            dead=sum(not receipt.is_whole for receipt in receipts),
            retried=self._retries[stage.name],
            seconds=seconds,
        )
        self._stages.append(result)
        self._outputs += outputs
        counts = rejects.count(self._rejects, stage.name) if self._rejects else {}
        position, columns = len(self._stages) - 1, _ledger_stage(result, receipts)
        with history():
            self._ledger.add_stage(self.run, position, columns, rows, outputs, counts)
        if self.profile is not None:
            self.profile.stage_ended(stage.name)
        if status == "succeeded":
            self.tell(
                events.StageCommitted,
                stage=stage.name,
                rows=rows,
                outputs=outputs,
                seconds=seconds,
            )

    def end(
        self, status: str, error: StagepipeError | None, settled: Sequence[Mended] = ()
    ) -> RunResult:
        """The run ended; the result. `settled` are the mended records that went through."""
        with signals_held_back(is_last=True):
            if settled:
                with history():
                    self._ledger.settle(self.run, (each.origin for each in settled))
            return self._end(status, error, len(settled))

    def _end(self, status: str, error: StagepipeError | None, mended: int) -> RunResult:
        self._tasks.write()
        rows = self._total()
        not_started = [
            StageResult(stage.name, "not started")
            for stage in self._pipeline.stages[len(self._stages) :]
        ]
        result = RunResult(
            run=self.run,
            pipeline=self._pipeline.name,
            status=status,
            rows=rows,
            files_read=len(self._read - self.dead.keys()),
            files_skipped=len(self.plan.skipped),
            files_dead=len(self.dead),
            stages=(*self._stages, *not_started),
            outputs=tuple(self._outputs),
            rejects=self._relative(self._rejects) if self._rejects else None,
            unsettled=tuple(file.path for file in self.plan.unsettled),
            drift=tuple(noted for noted in self._drift if noted.on_drift != "accept"),
            seconds=self.clock() - self._begin,
            error=error,
            profile=self._end_profile(),
        )
        with history():
            self._ledger.end_run(
                self.run,
                status,
                rows,
                result.seconds,
                dead=result.files_dead,
                files=result.files_read + result.files_dead,
                skipped=result.files_skipped,
                mended=mended,
                rejects=result.rejects,
                error=(error.message, error.hint) if error else None,
            )
        self.tell(
            events.RunFinished,
            run=self.run,
            status=status,
            rows=rows,
            seconds=result.seconds,
            error=error.message if error else None,
        )
        return result

    def _end_profile(self) -> ProfileResult | None:
        if self.profile is None:
            return None
        from stagepipe.record.profile import profile_path

        path = profile_path(self._pipeline.state_path, self.run)
        return self.profile.end(self._jobs, path, self._relative(path))

    def _total(self) -> Rows:
        """The run's rows; of a run that failed, those that its stages came to, none of them
        written by the last."""
        rows = [stage.rows for stage in self._stages]
        is_whole = len(rows) == len(self._pipeline.stages) and all(
            stage.status == "succeeded" for stage in self._stages
        )
        if is_whole:
            return balance.run_rows(rows)
        return replace(sum(rows, Rows()), read=rows[0].read if rows else 0, written=0)

    def _relative(self, path: Path) -> str:
        folder = self._pipeline.folder
        return str(path.relative_to(folder) if path.is_relative_to(folder) else path)


def new_run_id() -> str:
    """An id that sorts by time where clocks are honest, and is unique where they are not."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def _about(stage: StagePlan, task: Task, size: int) -> dict[str, Any]:
    return {
        "stage": stage.name,
        "chunk": task.chunk.index,
        "source": task.chunk.source,
        "size": size,
    }


def _ledger_stage(result: StageResult, receipts: Sequence[Receipt]) -> dict[str, Any]:
    dropped: Counter[str] = Counter()
    added: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    for receipt in receipts:
        dropped.update(receipt.dropped)
        added.update(receipt.added)
        rejected.update(receipt.rejected_by)
    return {
        "name": result.name,
        "status": result.status,
        "made": result.made,
        "taken": result.taken,
        "dead": result.dead,
        "retried": result.retried,
        "dropped_by": json.dumps(dropped, sort_keys=True),
        "added_by": json.dumps(added, sort_keys=True),
        "rejected_by": json.dumps(rejected, sort_keys=True),
        "seconds": result.seconds,
    }
