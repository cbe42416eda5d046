"""One case, simulated in this process: what it costs, and how well the workers are used."""

from __future__ import annotations

import gc
import logging
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.simulation.work import Case, Work, whale_of, work_of
from benchmarks.simulation.workers import Receipts, SimulatedWorkers, receipt
from stagepipe.builtin.heartbeat import Heartbeat
from stagepipe.model import Receipt
from stagepipe.plan.planner import StagePlan
from stagepipe.record import balance
from stagepipe.record.ledger import Ledger
from stagepipe.run.attempts import Attempt
from stagepipe.run.caps import limits_of
from stagepipe.run.deadlines import Deadlines
from stagepipe.run.fanout import Calls, FanOut
from stagepipe.run.journal import Journal
from stagepipe.run.making import How, Making
from stagepipe.run.orders import Order


@dataclass(frozen=True)
class Measured:
    """What a case came to. `cpu_seconds` are the parent's, without what the workers would have
    used: `deciding` for what starts when, with nothing to note, `making` for the tasks of a run up
    to its barrier. `others_done` is when all but the first two sources were done; `others_bound` is
    when they can be, where one task of the second takes longer than all of them, and else 0. Times
    of the simulation are seconds, too. Bytes are resident memory: `plan_bytes` of the plan alone,
    `peak_bytes` with all that the run adds."""

    attempts: int
    deciding: float
    making: float
    simulated: float
    bound: float
    keeps: str
    others_done: float
    others_bound: float
    plan_bytes: int
    peak_bytes: int


class OneFanOut:
    """The simulated workers, in the place of a run's pools."""

    def __init__(self, work: Work, workers: SimulatedWorkers) -> None:
        jobs, checked = work.case.workers, work.plan.checked.work
        self._fan_out = FanOut(workers, checked, jobs, None, clock=workers.clock, arrivals=workers)

    def of(self, _stage: StagePlan) -> FanOut:
        return self._fan_out


def make(work: Work, workers: SimulatedWorkers, folder: Path) -> dict[str, Receipt]:
    """Make all tasks of a plan as a run makes them up to its barrier, and note the stage in a
    ledger in `folder`."""
    receipts: dict[str, Receipt] = {}
    stage = work.stage
    with Ledger(folder / "ledger.sqlite") as ledger:
        listeners = [Heartbeat(lambda _text, _fields: None)]
        journal = Journal(work.plan, ledger, listeners, work.case.workers, clock=workers.clock)
        journal.begin()
        how = How(work.case.workers, keep_going=False, fail_fast=False)
        making = Making(work.plan, stage, receipts, how, journal)
        for _ in making.run(OneFanOut(work, workers)):  # type: ignore[arg-type]
            pass
        in_order = [receipts[task.key] for task in stage.tasks]
        rows = balance.stage_rows(stage.name, in_order, None)
        journal.stage_ended(stage, "succeeded", rows, in_order, workers.now)
        journal.end("succeeded", None)
    return receipts


def decide(work: Work, workers: SimulatedWorkers) -> None:
    """Have all tasks of a plan started and ended, and nothing noted."""
    attempts = [Attempt(task) for task in work.stage.tasks]
    limits = limits_of(work.plan, work.stage, attempts, work.case.workers)
    calls = Calls(
        order=lambda attempt, name: Order(attempt.task, name),
        started=lambda _attempt: None,
        waiting=lambda _running: limits.waiting_for(workers.now) and None,
    )
    fan_out = OneFanOut(work, workers).of(work.stage)
    for _ in fan_out.run(limits, Deadlines(None), calls):
        pass


def measure(case: Case) -> Measured:
    """Simulate a case. For a fresh process, of which it asks the memory."""
    logging.getLogger("stagepipe").setLevel(logging.ERROR)
    gc.set_threshold(50_000)  # as the program does
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        work_of(Case("warm", tasks=10, sources=2, workers=2), folder)
        before = memory("VmRSS")
        work = work_of(case, folder)
        planned = memory("VmRSS")
        workers = SimulatedWorkers(work.seconds, receipt, case.failing)
        making = timed(workers, lambda: make(work, workers, folder))
        peak = memory("VmHWM")
    deciders = SimulatedWorkers(work.seconds, one_receipt(work))
    deciding = timed(deciders, lambda: decide(work, deciders))
    assert deciders.attempts == case.tasks <= workers.attempts
    bound, keeps = work.bound()
    others = [source.name for source in work.plan.sources[2:]]
    is_kept = case.whale > 0 and keeps == "longest task"
    return Measured(
        attempts=workers.attempts,
        deciding=deciding,
        making=making,
        simulated=workers.now,
        bound=bound,
        keeps=keeps,
        others_done=max(workers.ended[name] for name in others),
        others_bound=work.bound(beside=whale_of(case))[0] if is_kept else 0.0,
        plan_bytes=planned - before,
        peak_bytes=peak - before,
    )


def one_receipt(work: Work) -> Receipts:
    """The same receipt for all tasks."""
    same = receipt(Order(work.stage.tasks[0], ""), 0.0)
    return lambda _order, _takes: same


def timed(workers: SimulatedWorkers, do: Callable[[], object]) -> float:
    """The CPU seconds of this process, without those of the workers."""
    gc.collect()
    began = time.process_time()
    do()
    return time.process_time() - began - workers.own_seconds


def memory(key: str) -> int:
    """Bytes, from Linux's own account of this process."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{key}:")[2].split()[0]) * 1024
