"""The fan-out: the loop that gives workers one attempt at a time, and sees to those that die.

Never more is submitted than may run: what waits, waits in `Limits`. So when a worker dies, the
suspects are the few attempts in flight. The pool is made anew, and each of them comes back as a
failure that says how far it is under suspicion; what follows is not decided here. Where a worker
can open no more files nothing starts until all that runs is done, and the pool is made anew.

What is done comes in through a queue, so that an attempt costs the same however many others are in
flight. The clock and the queue can be given: so can a simulated time.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Future, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Protocol

from stagepipe.amounts import duration, size
from stagepipe.errors import TaskError
from stagepipe.model import Cause, Failure, Receipt
from stagepipe.plan.work import Work
from stagepipe.record.spool import Spool
from stagepipe.run import desk, memory
from stagepipe.run.attempts import Attempt
from stagepipe.run.deadlines import Deadlines
from stagepipe.run.limits import Limits
from stagepipe.run.orders import Order, Profiled, Returned, Spent, in_words

PATIENCE_SECONDS = 0.5
"""How long the loop waits for a result, and how often it tells listeners what it waits for."""
WATCH_SECONDS = 0.1
"""How often it looks at the workers' memory, where that is limited."""
LAST_WORDS_SECONDS = 2.0
"""How long a worker has to write its traceback before it is ended for good."""
MOST_BROKEN = 3
"""So many pools in a row that break while nothing runs are no accident."""
DEATH_HINT = (
    "it was killed, ran out of memory, or a plugin crashed it; finished parts are kept: run again, "
    "perhaps with fewer jobs or a smaller chunk_size"
)
HANDLES_HINT = (
    "a plugin may not close what it opens, or `ulimit -n` allows too few open files at a time"
)


class Ended(Exception):  # noqa: N818 - on purpose
    """What a future has whose attempt was given up while it goes on: its traceback."""


class Workers(Protocol):
    """What the fan-out needs of a pool: see `Crew` for processes, `Threads` for threads."""

    def await_warm(self) -> None: ...  # noqa: D102
    def submit(self, order: Order) -> Future[Returned]: ...  # noqa: D102
    def end(self, order: Order, pid: int | None) -> None: ...  # noqa: D102
    def kill(self, pid: int) -> None: ...  # noqa: D102
    def bury(self) -> Mapping[int, str]: ...  # noqa: D102
    def renew(self) -> None: ...  # noqa: D102
    def close(self, *, is_at_rest: bool) -> None: ...  # noqa: D102


class Arrivals(Protocol):
    """Where futures that are done come in, from any thread: a `queue.SimpleQueue` of them."""

    def put(self, future: Future[Returned], /) -> None: ...  # noqa: D102
    def get(  # noqa: D102
        self, block: bool = True, timeout: float | None = None
    ) -> Future[Returned]: ...


def _unheard(*_: object) -> None:
    """Nobody profiles."""


@dataclass(frozen=True, slots=True)
class Calls:
    """What the fan-out asks for (orders) and tells (starts, waits) while it runs. Who profiles
    also hears how many are in flight each time when all have started that may, and what an attempt
    took."""

    order: Callable[[Attempt, str], Order]
    started: Callable[[Attempt], None]
    waiting: Callable[[int], None]
    looked: Callable[[int], None] = _unheard
    spent: Callable[[Attempt, Spent], None] = _unheard


@dataclass(slots=True, eq=False)
class Flight:
    """An attempt in flight. `verdict` says why it is being ended, and `insist_at` when that should
    have happened."""

    attempt: Attempt
    order: Order
    verdict: tuple[Cause, str] | None = None
    insist_at: float = 0.0


class FanOut:
    """A pool of workers at work on the stages. Use it as a context: leaving it ends every worker,
    by SIGKILL when something went wrong. `memory_limit` is in bytes, for each worker; `clock` gives
    seconds, by which `arrivals` waits."""

    def __init__(
        self,
        workers: Workers,
        work: Work,
        jobs: int,
        memory_limit: int | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        arrivals: Arrivals | None = None,
    ) -> None:
        self.jobs = jobs
        self._clock = clock
        self._arrivals: Arrivals = SimpleQueue() if arrivals is None else arrivals
        self._workers = workers
        self._work = work
        self._spool = Spool(Path(work.spool))
        self._memory_limit = memory_limit
        self._id = secrets.token_hex(4)
        self._count = 0
        self._is_worn = False
        self._running: dict[Future[Returned], Flight] = {}

    def __enter__(self) -> FanOut:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._workers.close(is_at_rest=kind is None and not self._running)

    def run(
        self, limits: Limits, deadlines: Deadlines, calls: Calls
    ) -> Iterator[tuple[Attempt, Receipt | Failure]]:
        """Make all attempts as their limits allow; each with what became of it, as they finish.
        Who hears of a failure may put another attempt into the limits.

        Raises TaskError when workers die before they are given anything.
        """
        broken = 0
        told = float("-inf")
        while True:
            now = self._clock()
            if self._is_worn and not self._running:
                self._workers.bury()
                self._renew()
            is_sound = self._await_warm() and self._start(limits, deadlines, calls, now)
            if not self._running and limits.is_drained:
                return
            calls.looked(len(self._running))
            done = self._wait(self._patience(limits, deadlines, now)) if is_sound else []
            now = self._clock()
            if not done or now - told >= PATIENCE_SECONDS:
                calls.waiting(len(self._running))
                told = now
            found, is_sound = self._collect(done, is_sound, calls)
            if not is_sound:
                found += self._fallen()
                broken += 1
                if broken == MOST_BROKEN and not found:
                    raise TaskError("worker processes died as they started", DEATH_HINT)
                self._renew()
            if found:
                broken = 0
            for attempt, result in found:
                is_whole = isinstance(result, Receipt) and not attempt.is_probe
                deadlines.ended(attempt, now, is_whole=is_whole)
                limits.finished(attempt)
                yield attempt, result
            self._watch(deadlines, now)

    def _renew(self) -> None:
        self._workers.renew()
        self._is_worn = False

    def _await_warm(self) -> bool:
        """Whether the workers are ready; the first time they are waited for."""
        try:
            self._workers.await_warm()
        except BrokenExecutor:
            return False
        return True

    def _start(self, limits: Limits, deadlines: Deadlines, calls: Calls, now: float) -> bool:
        """Start what may start. Whether the pool took it."""
        while not self._is_worn and (attempt := limits.next_attempt(now)) is not None:
            self._count += 1
            order = calls.order(attempt, f"{self._id}{self._count:x}")
            try:
                future = self._workers.submit(order)
            except BrokenExecutor:  # a worker died that had nothing to do
                limits.finished(attempt)
                limits.again(attempt, now)
                return False
            self._running[future] = Flight(attempt, order)
            future.add_done_callback(self._arrivals.put)
            deadlines.started(attempt, now)
            calls.started(attempt)
        return True

    def _patience(self, limits: Limits, deadlines: Deadlines, now: float) -> float:
        """How long to wait for a result, in seconds."""
        times = [now + PATIENCE_SECONDS, deadlines.next_at()]
        if not self._is_worn:
            times.append(limits.wake_at(now))
        if self._memory_limit is not None:
            times.append(now + WATCH_SECONDS)
        return max(min(at for at in times if at is not None) - now, 0.0)

    def _wait(self, seconds: float) -> list[Future[Returned]]:
        """What finished, in the order of its chunks; nothing when it is time to look again."""
        done: list[Future[Returned]] = []
        with suppress(Empty):
            done.append(self._arrivals.get(timeout=seconds))
            while True:
                done.append(self._arrivals.get(block=False))
        # What comes in late of a pool that is buried is nobody's.
        done = [future for future in done if future in self._running]
        return sorted(done, key=lambda future: self._running[future].attempt.task.chunk.index)

    def _collect(
        self, done: list[Future[Returned]], is_sound: bool, calls: Calls
    ) -> tuple[list[tuple[Attempt, Receipt | Failure]], bool]:
        """What came back, and whether the pool still works. When it does not, all is over."""
        found: list[tuple[Attempt, Receipt | Failure]] = []
        if is_sound:
            is_sound = not any(isinstance(each.exception(), BrokenExecutor) for each in done)
        if not is_sound:
            wait(self._running, timeout=PATIENCE_SECONDS)
            done = [future for future in self._running if future.done()]
        for future in done:
            error = future.exception()
            if isinstance(error, BrokenExecutor):
                continue
            flight = self._running.pop(future)
            if isinstance(error, Ended):
                assert flight.verdict is not None
                found.append((flight.attempt, self._failure(flight, *flight.verdict, str(error))))
            else:
                result = future.result()
                if isinstance(result, Profiled):
                    calls.spent(flight.attempt, result.spent)
                    result = result.result
                if isinstance(result, Failure) and result.cause is Cause.HANDLES:
                    self._is_worn = True
                    result = replace(result, cause=Cause.PASSING, hint=HANDLES_HINT)
                found.append((flight.attempt, result))
        return found, is_sound

    def _fallen(self) -> list[tuple[Attempt, Receipt | Failure]]:
        """What was in flight when the pool broke, each with how far it is under suspicion."""
        flights, self._running = list(self._running.values()), {}
        how = self._workers.bury()
        left = {flight.order.attempt: self._desk_of(flight) for flight in flights}
        is_ended = any(flight.verdict for flight in flights)
        found: list[tuple[Attempt, Receipt | Failure]] = []
        for flight in flights:
            at_desk = left[flight.order.attempt]
            if flight.verdict is not None:
                cause, why = flight.verdict
            elif at_desk.pid is not None and at_desk.pid in how:
                cause = Cause.DEATH if len(flights) == 1 else Cause.COMPANY
                why = f"its worker {how[at_desk.pid]}"
            elif is_ended or (at_desk.pid is not None and how):
                cause, why = Cause.NEIGHBOUR, "its worker was ended with that of another"
            else:  # nobody knows how: it may have been from outside, so it is tried alone first
                cause = Cause.DEATH if flight.attempt.is_alone else Cause.COMPANY
                why = "its worker died"
            found.append((flight.attempt, self._failure(flight, cause, why, at_desk.traceback)))
            self._spool.discard(flight.order.task.key, flight.order.attempt)
        return found

    def _failure(self, flight: Flight, cause: Cause, why: str, traceback: str = "") -> Failure:
        task = flight.attempt.task
        stage = self._work.stages[task.stage]
        where = in_words(task, stage)
        return Failure(
            key=task.key,
            stage=stage.name,
            chunk=task.chunk.index,
            source=task.chunk.source,
            message=f"{where}: {why}",
            hint=DEATH_HINT if cause in (Cause.DEATH, Cause.COMPANY) else None,
            traceback=traceback,
            cause=cause,
            why=why,
        )

    def _watch(self, deadlines: Deadlines, now: float) -> None:
        """End what takes too long, or too much memory."""
        if overdue := deadlines.overdue(now):
            flights = {flight.attempt: flight for flight in self._running.values()}
        for attempt in overdue:
            flight = flights[attempt]
            if flight.verdict is None:
                why = f"it took longer than {duration(deadlines.seconds or 0.0)}"
                self._end(flight, Cause.TIMEOUT, why, now)
            elif now >= flight.insist_at and (pid := self._desk_of(flight).pid) is not None:
                self._workers.kill(pid)
        if self._memory_limit is None:
            return
        for flight in self._running.values():
            pid = self._desk_of(flight).pid
            needs = memory.resident_bytes(pid) if pid is not None else 0
            if pid is not None and needs > self._memory_limit and flight.verdict is None:
                limit = size(self._memory_limit)
                why = f"its worker needed {size(needs)}, and worker_memory is {limit}"
                flight.verdict = Cause.MEMORY, why
                self._workers.kill(pid)

    def _end(self, flight: Flight, cause: Cause, why: str, now: float) -> None:
        flight.verdict, flight.insist_at = (cause, why), now + LAST_WORDS_SECONDS
        self._workers.end(flight.order, self._desk_of(flight).pid)

    def _desk_of(self, flight: Flight) -> desk.Left:
        order = flight.order
        return desk.look_at(self._spool.temporary(order.task.key, order.attempt, desk.SUFFIX))
