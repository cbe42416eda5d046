"""Workers that only take their time, and the time that they take."""

from __future__ import annotations

import hashlib
import pickle
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from heapq import heappop, heappush
from queue import Empty

from benchmarks.lineitem import COLUMNS
from stagepipe.model import Cause, Failure, PartFile, Receipt, Rows, Segment, SegmentCount
from stagepipe.run.orders import Order

Result = Receipt | Failure
Receipts = Callable[[Order, float], Receipt]
TIMED = ("read", "hash", "parse", "check", "encode")
"""Where the time of a task goes, by its receipt."""


class SimulatedWorkers:
    """The workers, the queue on which their results arrive, and the clock, as the fan-out asks for
    them. An attempt at chunk `n` takes `seconds[n]` and comes to what `make` makes of its order; a
    share `failing` of all fails instead. `in_flight` counts those of each source, `ended` says when
    its last one was over.

    What a process would do is counted apart, in `own_seconds` of CPU: making a receipt and pickling
    it. Pickling the order and unpickling the receipt are the parent's work, as with real processes.
    """

    def __init__(self, seconds: Sequence[float], make: Receipts, failing: float = 0.0) -> None:
        self.now = 0.0
        self.own_seconds = 0.0
        self.attempts = 0
        self.in_flight: Counter[str] = Counter()
        self.ended: dict[str, float] = {}
        self._seconds = seconds
        self._make = make
        self._failing = failing
        self._chance = random.Random(0)
        self._flights: list[tuple[float, int, str, Future[Result], bytes]] = []
        self._done: deque[Future[Result]] = deque()

    def clock(self) -> float:
        return self.now

    def put(self, future: Future[Result], /) -> None:
        self._done.append(future)

    def get(self, block: bool = True, timeout: float | None = None) -> Future[Result]:
        """The next result; time passes until it is there, or by `timeout`."""
        until = self.now if not block or timeout is None else self.now + timeout
        if not self._done and self._flights and self._flights[0][0] <= until:
            self.now, _, source, future, pickled = heappop(self._flights)
            self.in_flight[source] -= 1
            self.ended[source] = self.now
            future.set_result(pickle.loads(pickled))
        if self._done:
            return self._done.popleft()
        self.now = until
        raise Empty

    def submit(self, order: Order) -> Future[Result]:
        pickle.dumps(order)
        future: Future[Result] = Future()
        began = time.process_time()
        takes = self._seconds[order.task.chunk.index]
        is_failing = self._failing > 0 and self._chance.random() < self._failing
        result = failure(order) if is_failing else self._make(order, takes)
        pickled = pickle.dumps(result, pickle.HIGHEST_PROTOCOL)
        self.attempts += 1
        self.in_flight[order.task.chunk.source] += 1
        flight = (self.now + takes, self.attempts, order.task.chunk.source, future, pickled)
        heappush(self._flights, flight)
        self.own_seconds += time.process_time() - began
        return future

    def await_warm(self) -> None:
        pass

    def end(self, _order: Order, _pid: int | None) -> None:
        raise AssertionError("nothing here takes too long")

    def kill(self, _pid: int) -> None:
        raise AssertionError("nobody has a process")

    def bury(self) -> Mapping[int, str]:
        raise AssertionError("nobody dies")

    def renew(self) -> None:
        pass

    def close(self, *, is_at_rest: bool) -> None:
        assert is_at_rest
        assert not self._flights


def receipt(order: Order, takes: float) -> Receipt:
    """What a worker gives back for one file of 100 bytes a row, of which 1 in 1,000 is rejected."""
    task = order.task
    counts = tuple(count(segment) for segment in task.chunk.segments)
    read, rejected = (sum(getattr(c, name) for c in counts) for name in ("records", "rejected"))
    size = task.chunk.size // 4
    part = PartFile(f"{task.key}.0.parquet", read - rejected, size, digest(task.key))
    return Receipt(
        key=task.key,
        stage="convert",
        chunk=task.chunk.index,
        source=task.chunk.source,
        pieces=(),
        files=(part,),
        columns=dict(COLUMNS),
        rows=Rows(read=read, written=part.rows, rejected=rejected),
        segments=counts,
        seconds={name: takes / len(TIMED) for name in TIMED},
        input_bytes=task.chunk.size,
        ingredients=task.ingredients,
        headers=(tuple(COLUMNS),),
    )


def count(segment: Segment) -> SegmentCount:
    records = segment.size // 100
    return SegmentCount(
        file=segment.file,
        start=segment.start,
        end=segment.end,
        records=records,
        rows=records - records // 1000,
        rejected=records // 1000,
        lines=records + 1,
        sha256=digest(segment.file.path),
        nulls=(0,) * len(COLUMNS),
        header=0,
    )


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def failure(order: Order) -> Failure:
    """An error that may pass."""
    chunk = order.task.chunk
    where, why = f"stage 'convert', chunk {chunk.index}", "OSError: the share does not answer"
    return Failure(
        order.task.key, "convert", chunk.index, chunk.source, f"{where}: {why}",
        traceback="", cause=Cause.PASSING, why=why,
    )  # fmt: skip
