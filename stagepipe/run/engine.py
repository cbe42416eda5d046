"""A run, from the plan to the last commit. `_Run.stages` is the picture in DESIGN as code.

    plan ──► for each stage: fan out ─► receipts ─► flush ─► barrier ──► tables, rejects
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from stagepipe import events
from stagepipe.declare import Pipeline
from stagepipe.errors import (
    BudgetError,
    Interrupted,
    LockedError,
    RunError,
    StagepipeError,
    TaskError,
    UsageError,
)
from stagepipe.model import (
    Decision,
    Failure,
    Output,
    Part,
    Receipt,
    Rows,
    Task,
    printable,
)
from stagepipe.plan.planner import Plan, StagePlan, check, make_plan, spool_of
from stagepipe.record import balance, rejects
from stagepipe.record.ledger import Ledger
from stagepipe.run.fanout import FanOut
from stagepipe.run.flush import TablePlace
from stagepipe.run.limits import Limits, SourceLimits
from stagepipe.run.result import RunResult, StageResult
from stagepipe.run.worker import Order

log = logging.getLogger("stagepipe")
Listener = Callable[[events.Event], None]


@dataclass(slots=True)
class Progress:
    """What a run has reached so far."""

    stages: list[StageResult] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)
    dead: dict[str, str] = field(default_factory=dict)
    over_budget: list[str] = field(default_factory=list)
    rejects: str | None = None


def run(
    pipeline: Pipeline,
    *,
    jobs: int | None = None,
    fresh: bool = False,
    keep_going: bool = False,
    fail_fast: bool = False,
    listeners: Sequence[Listener] = (),
) -> RunResult:
    """Run a pipeline, and say how it went.

    Args:
        pipeline: what to run.
        jobs: worker processes; the pipeline's own number when left out, 0 for one per core.
        fresh: take no finished part.
        keep_going: commit although a budget is exceeded; the run fails all the same.
        fail_fast: stop at the first dead letter or failed task.
        listeners: called with each event of the run (`stagepipe.events`).

    Returns:
        The result, also of a run that failed: `result.error` says why.

    Raises:
        PipelineError, PluginError, InputError, OutputError, LockedError: nothing was read or
            written.
    """
    if multiprocessing.parent_process() is not None:
        raise UsageError(
            "stagepipe.run() was called in a worker process that was importing your script",
            "put the call under `if __name__ == '__main__':`",
        )
    checked = check(pipeline)
    with _lock(pipeline):
        for position, stage in enumerate(pipeline.stages):
            if stage.sink is not None:
                _place(pipeline, position).prepare()
        plan = make_plan(checked, fresh=fresh)
        with Ledger(pipeline.state_path / "ledger.sqlite") as ledger:
            workers = jobs if jobs is not None else pipeline.jobs
            policy = Policy(workers or usable_cores(), keep_going, fail_fast)
            return _Run(plan, ledger, policy, listeners).to_the_end()


@dataclass(frozen=True, slots=True)
class Policy:
    """How a run is to go about it."""

    jobs: int
    keep_going: bool
    fail_fast: bool


class _Run:
    """One execution of one plan."""

    def __init__(
        self, plan: Plan, ledger: Ledger, policy: Policy, listeners: Sequence[Listener]
    ) -> None:
        self.id = new_run_id()
        self.plan = plan
        self.pipeline = plan.checked.pipeline
        self.ledger = ledger
        self.policy = policy
        self.listeners = (*listeners, _hook(plan))
        self.spool = spool_of(self.pipeline)
        self.receipts = dict(plan.receipts)
        self.reached = Progress()
        self.begin = time.monotonic()

    def to_the_end(self) -> RunResult:
        """Run, and note how it ended, whatever happens."""
        files = list(self.plan.input_files)
        file = str(self.pipeline.file) if self.pipeline.file else None
        self.ledger.begin_run(
            self.id, self.pipeline.name, file, self.policy.jobs, len(files)
        )
        self._tell(
            events.RunStarted,
            run=self.id,
            pipeline=self.pipeline.name,
            stages=tuple(stage.name for stage in self.plan.stages),
            jobs=self.policy.jobs,
            files=len(files),
            input_bytes=sum(file.size for file in files),
        )
        try:
            self.spool.folder.mkdir(parents=True, exist_ok=True)
            self.spool.clean()
            self.stages()
        except Interrupted as interruption:
            return self._finish("interrupted", interruption)
        except OSError as error:
            return self._finish("failed", RunError(f"{error.filename or 'a file'}: {error}"))
        except StagepipeError as error:
            return self._finish("failed", error)
        if self.reached.over_budget:
            return self._finish("failed", BudgetError("; ".join(self.reached.over_budget)))
        self.spool.forget(self.spool.receipts().keys() - self._keys())
        return self._finish("succeeded", None)

    def stages(self) -> None:
        """The loop: one stage after the other, and a barrier after each."""
        with self._workers() as fan_out:
            for position, stage in enumerate(self.plan.stages):
                clock = Clock()
                with self._noting_failure(position, stage, clock):
                    self._fan_out(position, stage, fan_out)
                    receipts = [self.receipts[task.key] for task in stage.tasks]
                    rows = self._barrier(position, stage, receipts)
                    outputs = self._flush(position, stage, receipts)
                self._commit(position, stage, rows, outputs, clock)

    # -- fan out ---------------------------------------------------------------------------------

    @contextmanager
    def _workers(self) -> Iterator[FanOut | None]:
        """The pool for all stages; none when there is nothing to make."""
        if not any(stage.to_make for stage in self.plan.stages):
            yield None
            return
        most = max(len(stage.to_make) for stage in self.plan.stages)
        make_pool = self.plan.checked.plugins.executor(self.pipeline.executor)
        jobs = min(self.policy.jobs, most)
        with FanOut(make_pool, jobs, self.plan.checked.work) as fan_out:
            yield fan_out

    def _fan_out(self, position: int, stage: StagePlan, fan_out: FanOut | None) -> None:
        """Make the parts that are not taken. Raises TaskError for the first that failed, after
        all others have finished."""
        to_make = stage.to_make
        self._tell(
            events.StageStarted,
            stage=stage.name,
            tasks=Counter(task.chunk.source for task in to_make),
            taken=len(stage.tasks) - len(to_make),
            bytes_to_read=sum(self._size(task) for task in to_make),
        )
        if fan_out is None or not to_make:
            return
        limits = self._limits(position, to_make, fan_out.jobs)
        failures: list[Failure] = []
        finished: list[dict[str, Any]] = []

        def waiting(running: int) -> None:
            reasons = limits.waiting_for(time.monotonic())
            self._tell(events.Waiting, stage=stage.name, running=running, reasons=reasons)

        def started(task: Task) -> None:
            self._tell(events.TaskStarted, stage=stage.name, **self._about(task))

        def order(task: Task) -> Order:
            before = self.receipts[task.input_key] if task.input_key else None
            return Order(task, fan_out.attempt, before)

        try:
            for task, result in fan_out.run(limits, order, started, waiting):
                finished.append(_ledger_task(stage.name, task, result))
                if isinstance(result, Failure):
                    failures.append(result)
                    log.error("%s", result.message, extra=_places(task, stage))
                    if result.traceback:
                        log.debug("%s", result.traceback)
                    self._tell_finished(stage, task, None, result.message)
                    if self.policy.fail_fast:
                        break
                    continue
                balance.check_receipt(result)
                self.receipts[result.key] = result
                self._note_dead(result)
                self._tell_finished(stage, task, result, None)
                if self.policy.fail_fast and not result.is_whole:
                    raise BudgetError(f"stopped at the first dead letter: {self._dead_text()}")
        finally:
            self.ledger.add_tasks(self.id, finished)
        if failures:
            raise _task_error(failures)

    def _limits(self, position: int, tasks: Sequence[Task], jobs: int) -> Limits:
        """The caps of a stage. Those of a source hold in the stage that reads its files: later
        stages read the spool, and no source is troubled."""
        caps = {"jobs": jobs}
        shared = ["jobs"]
        cap = self.pipeline.stages[position].max_concurrent
        if cap is not None:
            caps["stage"] = cap
            shared.append("stage")
        if position:
            sources = {task.chunk.source: SourceLimits(tuple(shared)) for task in tasks}
            return Limits(tasks, sources, caps)
        caps |= {f"limit {name}": cap.max_concurrent for name, cap in self.pipeline.limits.items()}
        sources = {}
        for source in self.plan.sources:
            declared = source.declared
            own = [f"limit {name}" for name in declared.limits]
            if declared.max_concurrent is not None:
                caps[f"source {source.name}"] = declared.max_concurrent
                own.append(f"source {source.name}")
            sources[source.name] = SourceLimits((*shared, *own), declared.start_delay)
        return Limits(tasks, sources, caps)

    # -- barrier, flush, commit ------------------------------------------------------------------

    def _barrier(self, position: int, stage: StagePlan, receipts: Sequence[Receipt]) -> Rows:
        """Collect the rejects, check the sum and the budgets. Raises BalanceError, BudgetError."""
        for receipt in receipts:
            if self.receipts_are_old(receipt):
                balance.check_receipt(receipt)
                self._note_dead(receipt)
        self._collect_rejects(receipts)
        before = self.reached.stages[-1].rows.written if position else None
        rows = balance.stage_rows(stage.name, receipts, before)
        _check_columns(stage.name, receipts)
        if problem := self._over_budget(position, receipts):
            if not self.policy.keep_going:
                raise BudgetError(
                    problem,
                    "see `stagepipe rejects` and `stagepipe show`; nothing of this stage was "
                    "committed, finished parts are kept, and --keep-going commits all the same",
                )
            self.reached.over_budget.append(problem)
        return rows

    def receipts_are_old(self, receipt: Receipt) -> bool:
        """Whether the receipt was taken from an earlier run."""
        return receipt.key in self.plan.receipts

    def _over_budget(self, position: int, receipts: Sequence[Receipt]) -> str | None:
        errors = self.pipeline.errors_of(self.pipeline.stages[position])
        for source, rows in sorted(balance.by_source(receipts).items()):
            if not errors.max_rejected.allows(rows.rejected, rows.read):
                return (
                    f"{rows.rejected} of {rows.read} records of source {printable(source)!r} were "
                    f"rejected, and max_rejected is {errors.max_rejected}"
                )
        if position == 0 and len(self.reached.dead) > errors.max_dead:
            return f"{self._dead_text()}; max_dead is {errors.max_dead}"
        return None

    def _flush(
        self, position: int, stage: StagePlan, receipts: Sequence[Receipt]
    ) -> tuple[Output, ...]:
        """The one writer: parts in chunk order to the stage's sink."""
        if stage.sink is None:
            return ()
        place = _place(self.pipeline, position)
        if stage.sink.is_current and (current := place.current()) is not None:
            return (current,)
        for receipt in receipts:
            if self.receipts_are_old(receipt) and not self.spool.is_sound(receipt):
                self.spool.forget([receipt.key])
                raise TaskError(
                    f"the finished part of stage {stage.name!r}, chunk {receipt.chunk} was "
                    "damaged on disk",
                    "run again: the part is made anew",
                )
        parts = [
            Part(
                chunk=receipt.chunk,
                path=str(self.spool.part(receipt)),
                rows=receipt.rows.written,
                bytes=receipt.bytes,
                sha256=receipt.sha256,
                key=receipt.key,
            )
            for receipt in receipts
        ]
        return (self.plan.checked.plugins.sink(stage.sink.use).commit(parts, place),)

    def _commit(
        self,
        position: int,
        stage: StagePlan,
        rows: Rows,
        outputs: tuple[Output, ...],
        clock: Clock,
    ) -> None:
        """Note that the stage is done: from here on the next one may start."""
        self.reached.outputs += outputs
        self._add_stage(position, stage, "succeeded", rows, clock, outputs)
        self._tell(
            events.StageCommitted,
            stage=stage.name,
            rows=rows,
            outputs=outputs,
            seconds=clock.seconds,
        )

    # -- notes -----------------------------------------------------------------------------------

    @contextmanager
    def _noting_failure(self, position: int, stage: StagePlan, clock: Clock) -> Iterator[None]:
        """Have a stage that fails in the ledger, with what it had reached."""
        try:
            yield
        except BaseException:
            done = [self.receipts[t.key] for t in stage.tasks if t.key in self.receipts]
            if self.reached.rejects is None:
                self._collect_rejects(done)
            rows = sum((receipt.rows for receipt in done), Rows())
            self._add_stage(position, stage, "failed", rows, clock)
            for later in self.plan.stages[position + 1 :]:
                self.reached.stages.append(StageResult(later.name, "not started"))
            raise

    def _add_stage(
        self,
        position: int,
        stage: StagePlan,
        status: str,
        rows: Rows,
        clock: Clock,
        outputs: Sequence[Output] = (),
    ) -> None:
        done = [self.receipts[task.key] for task in stage.tasks if task.key in self.receipts]
        taken = [task for task in stage.tasks if task.decision is Decision.TAKEN]
        made = len(done) - len(taken)
        result = StageResult(
            name=stage.name,
            status=status,
            rows=rows,
            made=made,
            taken=len(taken),
            dead=sum(not receipt.is_whole for receipt in done),
            seconds=clock.seconds,
        )
        self.reached.stages.append(result)
        dropped: Counter[str] = Counter()
        added: Counter[str] = Counter()
        for receipt in done:
            dropped.update(receipt.dropped)
            added.update(receipt.added)
        self.ledger.add_tasks(
            self.id, (_ledger_task(stage.name, task, self.receipts[task.key]) for task in taken)
        )
        self.ledger.add_stage(
            self.id,
            position,
            {
                "name": stage.name,
                "status": status,
                "made": made,
                "taken": len(taken),
                "dead": result.dead,
                "retried": 0,
                "dropped_by": _json(dropped),
                "added_by": _json(added),
                "seconds": clock.seconds,
            },
            rows,
            outputs,
            self._reject_counts(stage.name),
        )

    def _collect_rejects(self, receipts: Sequence[Receipt]) -> None:
        path = self.pipeline.state_path / "runs" / self.id / "rejects.parquet"
        if any(receipt.rows.rejected for receipt in receipts):
            rejects.collect(self.spool, receipts, path)
            self.reached.rejects = _relative(path, self.pipeline)

    def _reject_counts(self, stage: str) -> Mapping[tuple[str, str | None, str], int]:
        if self.reached.rejects is None:
            return {}
        found = rejects.read(self.pipeline.folder / self.reached.rejects)
        return Counter((r.source, r.column, r.reason) for r in found if r.stage == stage)

    def _note_dead(self, receipt: Receipt) -> None:
        for segment in receipt.segments:
            if segment.dead is not None and segment.file.path not in self.reached.dead:
                self.reached.dead[segment.file.path] = segment.dead
                path = printable(segment.file.path)
                log.warning("dead letter: %s: %s", path, segment.dead, extra={"file": path})

    def _dead_text(self) -> str:
        dead = self.reached.dead
        path, why = next(iter(dead.items()))
        more = f" (and {len(dead) - 1} more)" if len(dead) > 1 else ""
        count = "1 file is a dead letter" if len(dead) == 1 else f"{len(dead)} files are dead letters"
        return f"{count}: {printable(path)}: {why}{more}"

    def _finish(self, status: str, error: StagepipeError | None) -> RunResult:
        done = [stage for stage in self.reached.stages if stage.status == "succeeded"]
        is_whole = len(done) == len(self.plan.stages)
        if is_whole:
            rows = balance.run_rows([stage.rows for stage in done])
        else:
            first = self.reached.stages[0].rows if self.reached.stages else Rows()
            rows = replace(first, written=0)
        seconds = time.monotonic() - self.begin
        files = {file.path for file in self.plan.input_files}
        dead = len(self.reached.dead)
        result = RunResult(
            run=self.id,
            pipeline=self.pipeline.name,
            status=status,
            rows=rows,
            files_read=len(files) - dead,
            files_skipped=0,
            files_dead=dead,
            stages=tuple(self.reached.stages),
            outputs=tuple(self.reached.outputs),
            rejects=self.reached.rejects,
            seconds=seconds,
            error=error,
        )
        self.ledger.end_run(
            self.id,
            status,
            rows,
            seconds,
            dead=dead,
            rejects=self.reached.rejects,
            error=(error.message, error.hint) if error else None,
        )
        self._tell(
            events.RunFinished,
            run=self.id,
            status=status,
            rows=rows,
            seconds=seconds,
            error=error.message if error else None,
        )
        return result

    def _keys(self) -> set[str]:
        return {task.key for stage in self.plan.stages for task in stage.tasks}

    def _size(self, task: Task) -> int:
        """Bytes that the task reads."""
        if task.input_key is None:
            return task.chunk.size
        before = self.receipts.get(task.input_key)
        return before.bytes if before else 0

    def _about(self, task: Task) -> dict[str, Any]:
        return {
            "chunk": task.chunk.index,
            "source": task.chunk.source,
            "size": self._size(task),
        }

    def _tell_finished(
        self, stage: StagePlan, task: Task, receipt: Receipt | None, error: str | None
    ) -> None:
        about = self._about(task)
        self._tell(
            events.TaskFinished, stage=stage.name, receipt=receipt, error=error, **about
        )

    def _tell(self, kind: type[events.Event], **what: Any) -> None:
        event = kind(now=time.monotonic(), **what)
        for listener in self.listeners:
            try:
                listener(event)
            except Exception:  # a listener must not be able to spoil a run
                log.exception("a listener failed at %s", kind.__name__)


class Clock:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._begin = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long ago."""
        return time.monotonic() - self._begin


def usable_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def new_run_id() -> str:
    """An id that sorts by time where clocks are honest, and is unique where they are not."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def lock_path(pipeline: Pipeline) -> Path:
    """The file whose kernel lock a run of the pipeline holds."""
    return pipeline.state_path / f"{pipeline.name}.lock"


@contextmanager
def _lock(pipeline: Pipeline) -> Iterator[None]:
    path = lock_path(pipeline)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"the state folder {path.parent} cannot be made: {error.strerror}",
            "set 'state' in [pipeline] to a folder that can be written",
        ) from error
    lock = FileLock(path, blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise LockedError(
            f"another run of pipeline {pipeline.name!r} is at work (it holds {path})",
            "wait for it, or look at it with `stagepipe runs`",
        ) from None
    except OSError as error:
        raise UsageError(
            f"the state folder {path.parent} cannot be written: {error.strerror}",
            "set 'state' in [pipeline] to a folder that can be written",
        ) from error
    with lock:
        yield


def _place(pipeline: Pipeline, position: int) -> TablePlace:
    stage = pipeline.stages[position]
    assert stage.sink is not None
    table = pipeline.output_path / stage.sink.path
    return TablePlace(table, pipeline.name, stage.name, pipeline.folder)


def _hook(plan: Plan) -> Listener:
    hook = plan.checked.plugins.hook

    def tell(event: events.Event) -> None:
        hook.stagepipe_event(event=event)

    return tell


def _check_columns(stage: str, receipts: Sequence[Receipt]) -> None:
    """All parts of a stage have one schema. Raises TaskError."""
    first = receipts[0]
    for receipt in receipts:
        if dict(receipt.columns) != dict(first.columns):
            differing = [
                f"{name} is {receipt.columns.get(name, 'missing')} and was "
                f"{first.columns.get(name, 'missing')}"
                for name in {**first.columns, **receipt.columns}
                if receipt.columns.get(name) != first.columns.get(name)
            ]
            raise TaskError(
                f"stage {stage!r} made chunk {receipt.chunk} with other columns than chunk "
                f"{first.chunk}: {', '.join(differing) or 'in another order'}",
                "a step must give the same columns and types for every chunk",
            )


def _task_error(failures: Sequence[Failure]) -> TaskError:
    first = min(failures, key=lambda failure: failure.chunk)
    more = f" (and {len(failures) - 1} more tasks failed)" if len(failures) > 1 else ""
    return TaskError(
        first.message + more, first.hint or "finished parts are kept: mend it and run again"
    )


def _ledger_task(stage: str, task: Task, result: Receipt | Failure) -> dict[str, Any]:
    is_receipt = isinstance(result, Receipt)
    return {
        "stage": stage,
        "chunk": task.chunk.index,
        "source": task.chunk.source,
        "key": task.key,
        "decision": str(task.decision) if is_receipt else "failed",
        "reason": task.reason,
        "receipt": result if is_receipt else None,
        "error": None if is_receipt else result.message,  # type: ignore[union-attr]
    }


def _places(task: Task, stage: StagePlan) -> dict[str, Any]:
    return {"stage": stage.name, "chunk": task.chunk.index, "source": printable(task.chunk.source)}


def _relative(path: Path, pipeline: Pipeline) -> str:
    is_inside = path.is_relative_to(pipeline.folder)
    return str(path.relative_to(pipeline.folder) if is_inside else path)


def _json(counter: Mapping[str, int]) -> str:
    import json

    return json.dumps(dict(counter), sort_keys=True)

