"""A run, from the plan to the last commit. `Run.stages` is DESIGN's picture as code:

plan ──► for each stage: fan out ─► receipts ─► barrier ─► flush ──► tables, rejects
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain

from stagepipe import events
from stagepipe.errors import BudgetError, Interrupted, RunError, StagepipeError
from stagepipe.model import Output, Receipt, Rows
from stagepipe.plan.places import spool_of
from stagepipe.plan.planner import Plan, StagePlan, go_on, make_plan
from stagepipe.record import balance, rejects
from stagepipe.run import barrier, layers
from stagepipe.run.commit import Commit, part_of
from stagepipe.run.disk import HINT, is_full
from stagepipe.run.drifting import SourceDrift, failure
from stagepipe.run.flusher import Flusher, flusher
from stagepipe.run.holding import signals_held_back
from stagepipe.run.journal import Journal
from stagepipe.run.making import How, Making
from stagepipe.run.mending import Mending, PlanAgain
from stagepipe.run.pools import FanOuts
from stagepipe.run.result import RunResult
from stagepipe.stopwatch import timed

MOST_PLANS = 5
BUDGET_HINT = (
    "look at the rejects and dead letters; nothing of this stage was committed, finished parts are "
    "kept, and --keep-going commits all the same"
)


class Run:
    """One execution of one plan; `since_ns` is when it was begun to be made, before the files were
    looked at (nanoseconds since 1970)."""

    def __init__(self, plan: Plan, how: How, journal: Journal, since_ns: int) -> None:
        self.plan = plan
        self.how = how
        self.since_ns = since_ns
        self.journal = journal
        self.pipeline = plan.checked.pipeline
        self.spool = spool_of(self.pipeline)
        self.receipts = dict(plan.receipts)
        self.mending = Mending(plan)
        self.exceeded: list[str] = []
        self.drift: Sequence[SourceDrift] = ()
        self.commit: Commit | None = None

    def to_the_end(self) -> RunResult:
        """Run, and note how it ended, whatever happens."""
        self.journal.begin()
        try:
            self.spool.folder.mkdir(parents=True, exist_ok=True)
            self.spool.clean()
            rejects.clean(self.pipeline.state_path / "runs", self.pipeline.name)
            self.stages_until_settled()
            self.journal.note_profiles(self.drift)
            current = {task.key for layer in self.plan.layers for task in layer.tasks}
            self.spool.forget(self.spool.keys() - current)
        except Interrupted as interruption:
            return self.journal.end("interrupted", interruption)
        except StagepipeError as error:
            return self.journal.end("failed", error)
        except OSError as error:
            hint = HINT if is_full(error) else None
            trouble = RunError(f"{error.filename or 'a file'}: {error}", hint)
            return self.journal.end("failed", trouble)
        except BaseException as error:
            self.journal.end("failed", RunError(f"{type(error).__name__}: {error}"))
            raise
        if self.exceeded:
            return self.journal.end("failed", BudgetError("; ".join(self.exceeded)))
        return self.journal.end("succeeded", None, self.mending.settled)

    def stages_until_settled(self) -> None:
        """All stages; from the beginning again where it turns out that the plan does not hold.
        Nothing was committed then, and what was made is taken."""
        for _ in range(MOST_PLANS):
            try:
                return self.stages()
            except PlanAgain as reason:
                checked, is_fresh = self.plan.checked, self.plan.is_fresh
                with timed("plan"):
                    self.plan = make_plan(checked, fresh=is_fresh, made=self.receipts)
                self.receipts = dict(self.plan.receipts)
                self.mending = Mending(self.plan)
                self.exceeded = []
                self.journal.start_over(self.plan, str(reason))
        raise RunError(
            f"what is to be done differs from plan to plan ({MOST_PLANS} times)",
            "nothing was committed; please report this, with the pipeline file",
        )

    def stages(self) -> None:
        """The loop: one stage after the other, and a barrier after each. A stage with an inner
        barrier comes round for each of its layers, and is one stage all the same."""
        with self._fan_outs() as fan_outs, flusher() as to_disk:
            begin = time.monotonic()
            for stage in self._stage_plans():
                self.commit = None
                with self._failure_noted(stage, begin):
                    with timed("fan_out"):
                        self._fan_out(stage, fan_outs, to_disk)
                    if stage.work.is_inner:
                        continue
                    self.journal.tell(events.StageFlushing, stage=stage.name)
                    receipts = self._receipts_of(stage)
                    with timed("barrier"):
                        rows = self._barrier(stage, receipts)
                    outputs = self._flush(stage, receipts, to_disk)
                    balance.check_outputs(stage.name, rows, outputs)
                    self._note_committed(stage, begin, rows, receipts, outputs)
                begin = time.monotonic()

    def _stage_plans(self) -> Iterator[StagePlan]:
        """The layers in order; those after a task over all rows are planned when that has run."""
        done = 0
        while True:
            for layer in self.plan.layers[done:]:
                yield layer
                done += 1
            if not self.plan.is_open:
                return
            with timed("plan"):
                self.plan = self.journal.plan = go_on(self.plan, self.receipts)
            self.receipts.update(self.plan.receipts)

    def _fan_out(self, stage: StagePlan, fan_outs: FanOuts, to_disk: Flusher) -> None:
        """Make the parts that are not taken, and keep their receipts. Raises what `Making` does."""
        making = Making(self.plan, stage, self.receipts, self.how, self.journal)
        for receipt in making.run(fan_outs):
            if stage.sink is not None:
                to_disk.add(*part_of(receipt, self.spool).paths)
        if layers.has_stale(self.plan, self.receipts):
            raise PlanAgain("a part that was to be taken was made from files that are dead now")

    def _barrier(self, stage: StagePlan, receipts: Sequence[Receipt]) -> Rows:
        """Collect the rejects, check the sum, the budgets, and what is new about the files.

        Raises BalanceError, BudgetError, DriftError, or TaskError when the parts do not fit
        together.
        """
        for receipt in receipts:
            balance.check_receipt(receipt)
            self.journal.note_dead(receipt)
        self._collect_rejects()
        added = sum(
            receipt.rows.added
            for layer in self.plan.layers
            if layer.work.position <= stage.work.position
            for receipt in self._receipts_of(layer)
        )
        replaced = self.mending.at_barrier(stage.name, added, self.journal.collected)
        rows = balance.stage_rows(stage.name, receipts, self.journal.rows_before)
        if any(receipt.segments for receipt in receipts):
            files = self.plan.input_files
            barrier.check_at_rest(self.pipeline.folder, files, receipts, self.since_ns)
        barrier.check_whole_files(receipts)
        barrier.check_columns(stage.work, receipts, self.plan.chunks)
        if stage.name == self.plan.stages[0].name:
            self.drift = self.journal.note_drift(receipts)
        dead = dict(_dead_letters(receipts))
        errors = self.pipeline.errors_of(stage.declared)
        if exceeded := barrier.over_budget(errors, receipts, dead, replaced):
            if not self.how.keep_going:
                raise BudgetError(exceeded, BUDGET_HINT)
            self.exceeded.append(exceeded)
        if drifted := failure(self.drift):
            raise drifted
        return rows

    def _flush(
        self, stage: StagePlan, receipts: Sequence[Receipt], to_disk: Flusher
    ) -> tuple[Output, ...]:
        """The one writer: parts in chunk order to the stage's sink."""
        if stage.sink is None:
            return ()
        read = [s for r in self._receipts_of(self.plan.layers[0]) for s in r.segments]
        values = layers.values_to_keep(self.plan, self.receipts)
        extra = [column.name for column in self.plan.checked.work.table.columns if column.is_extra]
        commit = Commit(self.pipeline, stage, receipts, read, self.spool, values, extra)
        if stage.sink.is_current and (current := commit.current()) is not None:
            return (current,)
        if not receipts:
            return ()
        for receipt in receipts:
            if receipt.key in self.plan.receipts:
                to_disk.add(*part_of(receipt, self.spool).paths)
        with timed("flush"):
            to_disk.finish()
        if stage.declared.sink is not None and stage.declared.sink.on_existing == "append":
            self.mending.note_outcomes()
        self.commit = commit
        with timed("commit"):
            return (commit.do(self.plan.checked.plugins),)

    @contextmanager
    def _fan_outs(self) -> Iterator[FanOuts]:
        """The workers of all stages: one pool of processes, made ready before the first stage that
        needs it, and one of threads for stages that wait."""
        stages = [stage for stage in self.plan.layers if stage.to_make]
        with FanOuts(self.plan, self.how.jobs) as fan_outs:
            if stages:
                fan_outs.of(stages[0])
            yield fan_outs

    def _note_committed(
        self,
        stage: StagePlan,
        begin: float,
        rows: Rows,
        receipts: Sequence[Receipt],
        outputs: tuple[Output, ...],
    ) -> None:
        with signals_held_back():
            seconds = time.monotonic() - begin
            shown = layers.as_declared(self.plan, stage)
            self.journal.stage_ended(shown, "succeeded", rows, receipts, seconds, outputs)

    @contextmanager
    def _failure_noted(self, stage: StagePlan, begin: float) -> Iterator[None]:
        """Have a stage that fails in the ledger, with its rejects and what it had reached.

        What interrupts a flush may come when the new table stands already: then the stage is
        committed, whatever happened after that.
        """
        try:
            yield
        except PlanAgain:
            raise
        except BaseException:
            if self.journal.has_noted(stage):
                raise
            done = self._receipts_of(stage)
            rows = sum((receipt.rows for receipt in done), Rows())
            output = self.commit.output_if_done() if self.commit else None
            if output is not None:
                self._note_committed(stage, begin, rows, done, (output,))
                raise
            with suppress(RunError, OSError):  # what ended the stage is to be told
                self._collect_rejects()
            with signals_held_back():
                seconds = time.monotonic() - begin
                shown = layers.as_declared(self.plan, stage)
                self.journal.stage_ended(shown, "failed", rows, done, seconds)
            raise

    def _collect_rejects(self) -> None:
        """Write the rejects of all stages up to this one into one file."""
        own = (layers.own_receipts(layer, self.receipts) for layer in self.plan.layers)
        receipts = list(chain.from_iterable(own))
        if any(receipt.rows.rejected for receipt in receipts):
            rejects.collect(self.spool, receipts, self.journal.rejects_path)
            self.journal.collected_rejects(self.journal.rejects_path)

    def _receipts_of(self, stage: StagePlan) -> list[Receipt]:
        return layers.stage_receipts(self.plan, stage, self.receipts)


def _dead_letters(receipts: Sequence[Receipt]) -> Iterator[tuple[str, str]]:
    for receipt in receipts:
        for segment in receipt.segments:
            if segment.dead is not None:
                yield segment.file.path, segment.dead
