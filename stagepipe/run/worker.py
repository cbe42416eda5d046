"""What happens in a worker: a name comes in, a part is written, a receipt goes back.

A worker never raises into the pool: an exception that does not unpickle would break it. It never
sleeps to be polite either; the parent's scheduler is the only one that limits. Polars and pyarrow
are imported late, so that the parent can name these functions without loading them.
"""

from __future__ import annotations

import os
import resource
import signal
import threading
import time
import traceback
from contextlib import AbstractContextManager, nullcontext, suppress
from importlib import import_module
from multiprocessing import parent_process

from stagepipe.errors import StagepipeError
from stagepipe.model import Failure, Receipt
from stagepipe.plan.work import Role, StageWork, Work
from stagepipe.plugins.no_pandas import put_pandas_off
from stagepipe.record.spool import Spool
from stagepipe.run import WORKER_MODULES
from stagepipe.run.causes import cause_of
from stagepipe.run.comparing import compared
from stagepipe.run.desk import SUFFIX, at_desk
from stagepipe.run.following import follow_parent
from stagepipe.run.orders import Order, Profiled, Returned, Spent, in_words
from stagepipe.run.parts import Bench, make_part
from stagepipe.run.writing import PartWriter
from stagepipe.stopwatch import Stopwatch, in_detail

_bench: Bench | None = None


def start(work: Work) -> None:
    """Make this process a worker. Called once, before its first task."""
    global _bench
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)  # the parent decides; it ends workers by SIGKILL
    # Results go to the parent's stdout only: what a plugin prints belongs beside the logs.
    os.dup2(2, 1)
    # A traceback is kept of what dies of a signal; gigabytes of memory beside it help nobody.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    follow_parent()
    import pyarrow as pa

    pa.set_cpu_count(1)
    if not work.plugin_files:
        put_pandas_off()
    _bench = Bench(work)


def lend(work: Work) -> None:
    """Let threads of this process do tasks."""
    global _bench
    _bench = Bench(work)


def give_up(attempt: str) -> None:
    """Have nothing come of an attempt in a thread, which cannot be ended."""
    assert _bench is not None
    _bench.given_up.add(attempt)


def warm_up() -> None:
    """Import what every task needs, so that the first one starts at once."""
    for module in WORKER_MODULES:
        import_module(module)


def run_task(order: Order) -> Returned:
    """Do one task. Everything that goes wrong comes back as a Failure."""
    if not order.is_profiled:
        return _result(order, Stopwatch())
    cpu_seconds = time.thread_time if parent_process() is None else time.process_time
    began, computed = time.monotonic(), cpu_seconds()
    clock = Stopwatch(began)
    with in_detail(clock):
        result = _result(order, clock)
    computed = cpu_seconds() - computed
    spent = Spent(threading.get_native_id(), began, clock.details(), computed)
    return Profiled(result, spent)


def _result(order: Order, clock: Stopwatch) -> Receipt | Failure:
    assert _bench is not None, "start() has not run"
    task = order.task
    stage = _bench.work.stages[task.stage]
    try:
        with _at_desk(_bench.spool, order):
            if stage.role is Role.COMPARES:
                writer = PartWriter(_bench.spool, task.key, order.attempt, in_words(task, stage))
                return compared(_bench.spool, _bench.work, order, writer, clock)
            return make_part(_bench, order, stage, clock)
    except BaseException as error:  # noqa: BLE001 - not even sys.exit() may reach the pool
        with suppress(OSError):  # the next run finds what cannot be removed now
            _bench.spool.discard(task.key, order.attempt)
        return _failure(order, stage, error)


def _at_desk(spool: Spool, order: Order) -> AbstractContextManager[None]:
    """Be found at the attempt. A thread of the parent needs not be."""
    if parent_process() is None:
        return nullcontext()
    return at_desk(spool.temporary(order.task.key, order.attempt, SUFFIX))


def _failure(order: Order, stage: StageWork, error: BaseException) -> Failure:
    task, where = order.task, in_words(order.task, stage)
    known = isinstance(error, StagepipeError)
    why = str(error) if known else f"{type(error).__name__}: {error}"
    why = why.removeprefix(f"{where}: ")
    return Failure(
        key=task.key,
        stage=stage.name,
        chunk=task.chunk.index,
        source=task.chunk.source,
        message=why if known and str(error) == why else f"{where}: {why}",
        hint=error.hint if isinstance(error, StagepipeError) else None,
        traceback="" if known and error.__cause__ is None else traceback.format_exc(),
        cause=cause_of(error),
        why=why,
    )
