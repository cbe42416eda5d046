"""The scheduler as a whole, with workers and a clock that are simulated: what starts, and that all
of it is done once."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from limits_reference import PlainLimits

from benchmarks.simulation.measure import OneFanOut, make
from benchmarks.simulation.work import Case, Work, work_of
from benchmarks.simulation.workers import SimulatedWorkers, receipt
from stagepipe.model import Receipt
from stagepipe.record.ledger import Ledger
from stagepipe.run import caps
from stagepipe.run.attempts import Attempt
from stagepipe.run.deadlines import Deadlines
from stagepipe.run.fanout import Calls
from stagepipe.run.orders import Order

SMALL = {"sources": 20, "workers": 12, "limit_cap": 3}


class WatchedWorkers(SimulatedWorkers):
    """Simulated workers that refuse an order beyond what is allowed."""

    def __init__(self, work: Work) -> None:
        super().__init__(work.seconds, receipt, work.case.failing)
        self.work = work

    def submit(self, order: Order) -> Future[Any]:
        future = super().submit(order)
        assert self.in_flight.total() <= self.work.case.workers
        held: Counter[str] = Counter()
        for source in self.work.plan.sources:
            here = self.in_flight[source.name]
            assert here <= (source.declared.max_concurrent or here)
            held.update(dict.fromkeys(source.declared.limits, here))
        limits = self.work.plan.checked.pipeline.limits
        assert all(held[name] <= limit.max_concurrent for name, limit in limits.items())
        return future


@pytest.mark.parametrize(
    "shape",
    [
        {"source_cap": 2},
        {"giant": 0.3, "giant_cap": 4, "source_cap": 2},
        {"failing": 0.02},
    ],
)
def test_all_work_is_done_once_and_no_cap_is_exceeded(
    tmp_path: Path, shape: dict[str, Any]
) -> None:
    """Also where attempts fail and are tried again; the ledger has each task once."""
    work = work_of(Case("small", tasks=400, **SMALL, **shape), tmp_path)
    workers = WatchedWorkers(work)
    receipts = make(work, workers, tmp_path)
    keys = [task.key for task in work.stage.tasks]
    assert sorted(receipts) == sorted(keys)
    assert len(set(keys)) == 400
    bytes_read = sum(one.input_bytes for one in receipts.values())
    assert bytes_read == sum(file.size for file in work.plan.input_files)
    assert workers.attempts == 400 if not work.case.failing else workers.attempts > 400
    assert workers.in_flight.total() == 0
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        (run,) = ledger.runs()
        assert sorted(task["key"] for task in ledger.tasks(run["run"])) == sorted(keys)


@pytest.mark.parametrize(
    ("shape", "share"),
    [
        ({"giant": 0.5, "source_cap": 3}, 0.95),
        ({"giant": 0.3, "giant_cap": 4, "source_cap": 2}, 0.95),
        ({"whale": 4000.0, "source_cap": 3}, 0.9),
    ],
)
def test_workers_are_used_as_the_caps_allow(
    tmp_path: Path, shape: dict[str, Any], share: float
) -> None:
    """One giant file in one source idles no other source, and is not begun last."""
    work = work_of(Case("small", tasks=800, **{**SMALL, "limit_cap": 12}, **shape), tmp_path)
    workers = SimulatedWorkers(work.seconds, receipt)
    make(work, workers, tmp_path)
    bound, _ = work.bound()
    assert bound <= workers.now <= bound / share


def started(work: Work) -> list[tuple[float, int]]:
    """When each chunk is started."""
    workers = SimulatedWorkers(work.seconds, receipt)
    starts: list[tuple[float, int]] = []
    calls = Calls(
        order=lambda attempt, name: Order(attempt.task, name),
        started=lambda attempt: starts.append((workers.now, attempt.chunk.index)),
        waiting=lambda _: None,
    )
    attempts = [Attempt(task) for task in work.stage.tasks]
    limits = caps.limits_of(work.plan, work.stage, attempts, work.case.workers)
    list(OneFanOut(work, workers).of(work.stage).run(limits, Deadlines(None), calls))
    return starts


def test_the_fan_out_starts_what_looking_at_everything_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the same instants, with the plain limits in the place of those that run."""
    work = work_of(Case("small", tasks=200, giant=0.2, giant_cap=3, **SMALL), tmp_path)
    found = started(work)
    assert len(found) == 200
    monkeypatch.setattr(caps, "Limits", PlainLimits)
    assert started(work) == found


def test_receipts_hold_one_copy_of_what_all_of_them_say(tmp_path: Path) -> None:
    """What comes out of another process is compared with what is there already; the receipts are
    equal to those that the workers gave."""
    work = work_of(Case("small", tasks=40, **SMALL), tmp_path)
    made: dict[str, Receipt] = {}

    def noted(order: Order, takes: float) -> Receipt:
        made[order.task.key] = receipt(order, takes)
        return made[order.task.key]

    receipts = make(work, SimulatedWorkers(work.seconds, noted), tmp_path)
    assert receipts == made
    one, other = list(receipts.values())[:2]
    assert one.columns is other.columns
    assert one.headers is other.headers
    files = {id(file) for file in work.plan.input_files}
    assert all(id(s.file) in files for each in receipts.values() for s in each.segments)
