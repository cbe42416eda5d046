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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from multiprocessing import parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from stagepipe.errors import StagepipeError, TaskError
from stagepipe.model import (
    EVERYTHING,
    RECORD,
    Failure,
    PartFile,
    Receipt,
    Rows,
    Task,
    Travelling,
    printable,
)
from stagepipe.plan.work import Role, StageWork, Work
from stagepipe.plugins import Plugins
from stagepipe.plugins.no_pandas import put_pandas_off
from stagepipe.record.rejects import write_task_rejects
from stagepipe.record.spool import Spool, file_sha256
from stagepipe.run import WORKER_MODULES, between
from stagepipe.run.applying import Tally, apply_steps, rows_by_step
from stagepipe.run.causes import cause_of
from stagepipe.run.comparing import compared
from stagepipe.run.desk import SUFFIX, at_desk
from stagepipe.run.duplicates import keys_of, without
from stagepipe.run.following import follow_parent
from stagepipe.run.frames import to_arrow
from stagepipe.run.reading import ChunkReading, LateDeath
from stagepipe.run.step_rejects import raw_rejects
from stagepipe.run.writing import PartWriter, pieces_of
from stagepipe.stopwatch import Stopwatch, in_detail, timed

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Order(Travelling):
    """A task for a worker. `inputs` are the files that it reads, in later stages; `dead` are the
    segments of its chunk that it leaves out, and why. Of a probe nothing is kept. Without
    `is_last` an error of the system, which may pass, fails the attempt instead of the file. Where
    it `is_profiled`, what comes back is `Profiled`."""

    task: Task
    attempt: str
    inputs: tuple[PartFile, ...] = ()
    input_sha256: str = ""
    dead: Mapping[int, str] = field(default_factory=dict)
    is_probe: bool = False
    is_last: bool = True
    piece_bytes: int | None = None
    is_profiled: bool = False


@dataclass(frozen=True, slots=True)
class Spent:
    """What an attempt took: from when on (of the monotonic clock), the seconds by kind of work,
    which sum to how long it took, and those in which the `worker` (a process, by its id, or a
    thread) computed. Of one whose worker died nobody knows the last two."""

    worker: int | None
    began: float
    seconds: Mapping[str, float]
    cpu_seconds: float | None


@dataclass(frozen=True, slots=True)
class Profiled:
    """What came of an attempt, and what it took."""

    result: Receipt | Failure
    spent: Spent


Returned: TypeAlias = Receipt | Failure | Profiled


class Bench:
    """What a worker keeps between tasks. `given_up` are attempts that nobody waits for any more."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.spool = Spool(Path(work.spool))
        self.given_up: set[str] = set()

    @cached_property
    def plugins(self) -> Plugins:
        """The plugins, imported at the first task."""
        with timed("import"):
            plugins = Plugins()
            for path in self.work.plugin_files:
                plugins.add_file(Path(path))
            return plugins


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
            return _run(_bench, order, stage, clock)
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


def _run(bench: Bench, order: Order, stage: StageWork, clock: Stopwatch) -> Receipt:
    dead = dict(order.dead)
    while True:
        where = in_words(order.task, stage)
        writer = PartWriter(bench.spool, order.task.key, order.attempt, where)
        try:
            return _made(bench, order, stage, writer, dead, clock)
        except LateDeath as late:
            # Some rows of the file were written: all is made again, without it.
            writer.discard()
            dead[late.number] = late.why


def _made(
    bench: Bench,
    order: Order,
    stage: StageWork,
    writer: PartWriter,
    dead: Mapping[int, str],
    clock: Stopwatch,
) -> Receipt:
    task, work, tally = order.task, bench.work, Tally()
    where = in_words(task, stage)
    reading = None
    if task.inputs:
        tables = _inputs(bench, order, stage, clock, tally)
    else:
        reading = ChunkReading(
            bench.plugins,
            work,
            task.chunk,
            clock,
            with_records=stage.reads_records,
            dead=dead,
            is_last=order.is_last,
            piece_bytes=order.piece_bytes or work.chunk_size,
        )
        tables = ((table, table.num_rows) for table in reading.tables())
    columns: dict[str, str] = {}
    cuts = _cuts(order, stage)
    for rows, height in tables:
        stepped = []
        for piece, its_height in _in_hand(rows, height, cuts):
            stepped.append(_stepped(piece, stage, its_height, tally, where, clock))
            columns = _columns(stepped[-1], columns, where)
        table = between.joined(stepped)
        with clock.time("encode"):
            cut = pieces_of(table, work.chunk_size) if stage.is_over_all else (table,)
            for piece in cut:
                writer.write(piece, stage, bench.plugins)
            if stage.role is Role.READS:
                writer.write_keys(keys_of(table, work.table))
    counts = reading.counts if reading else []
    rejects = reading.rejects if reading else []
    read = sum(count.records for count in counts)
    read += sum(file.rows for file in _rows_of(order, stage))
    by_steps = rows_by_step(tally.rejects)
    with timed("explain"):
        rejects += raw_rejects(bench.plugins, work, task.chunk, tally.rejects)
    written = writer.written
    receipt = Receipt(
        key=task.key,
        stage=stage.name,
        chunk=task.chunk.index,
        source=task.chunk.source,
        pieces=tuple(written.pieces),
        files=tuple(written.files),
        columns=columns,
        rows=Rows(
            read=read,
            added=tally.added.total(),
            written=written.rows,
            rejected=len(rejects),
            dropped=tally.dropped.total(),
        ),
        dropped=dict(tally.dropped),
        added=dict(tally.added),
        rejected_by=dict(by_steps),
        segments=tuple(counts),
        seconds=clock.seconds,
        input_bytes=sum(file.bytes for file in order.inputs) or task.chunk.size,
        ingredients=task.ingredients,
        input_sha256=order.input_sha256,
        duplicates=sum(reject.is_duplicate for reject in tally.rejects),
        headers=reading.headers if reading else (),
    )
    if order.is_probe:
        writer.discard()
        return receipt
    if order.attempt in bench.given_up:
        writer.discard()
        raise TaskError(f"{where}: it came back after it was given up")
    with timed("write"):
        rejects_file = None
        if rejects:
            rejects_file = bench.spool.temporary(task.key, order.attempt, ".rejects")
            write_task_rejects(rejects_file, stage.name, rejects)
            receipt = replace(receipt, rejects_sha256=file_sha256(rejects_file))
        bench.spool.keep(receipt, written.paths, rejects_file, order.attempt)
    return receipt


def _inputs(
    bench: Bench, order: Order, stage: StageWork, clock: Stopwatch, tally: Tally
) -> Iterator[tuple[pa.Table | pl.LazyFrame, int]]:
    """What the stage before made for this task, with the numbers of rows: one piece after the
    other, or all of them in one plan. Duplicates are not among them, but in the tally."""
    spool, work, index = bench.spool, bench.work, order.task.stage
    if stage.is_over_all:
        with clock.time("read"):
            plan = between.scan_pieces(bench.plugins, spool, work, index, order.inputs)
        yield plan, sum(file.rows for file in order.inputs)
        return
    pieces = _pieces(bench, order, stage, clock)
    if stage.role is Role.GOES_ON:
        found = between.read_sound(spool, work, index, order.inputs[-1])
        pieces = without(pieces, found, work.table, tally)
    yield from pieces


def _pieces(
    bench: Bench, order: Order, stage: StageWork, clock: Stopwatch
) -> Iterator[tuple[pa.Table, int]]:
    spool, work, index = bench.spool, bench.work, order.task.stage
    for file in _rows_of(order, stage):
        with clock.time("read"):
            piece = between.read_piece(bench.plugins, spool, work, index, file)
        yield piece, file.rows


def _cuts(order: Order, stage: StageWork) -> int:
    """Into how many pieces what is read of the stage before is cut for the steps, so that they have
    less in hand. What they give is put together again: the part is the same."""
    if not order.inputs or order.piece_bytes is None or not stage.steps:
        return 1
    return -(-max(file.bytes for file in _rows_of(order, stage)) // order.piece_bytes)


def _in_hand(rows: Any, height: int, cuts: int) -> Iterator[tuple[Any, int]]:
    """What the steps are given at a time, each with its number of rows."""
    if cuts == 1:
        yield rows, height
        return
    for piece in between.cut(rows, cuts):
        yield piece, piece.num_rows


def _rows_of(order: Order, stage: StageWork) -> Sequence[PartFile]:
    """The files of rows that a task reads; behind an inner barrier the last of its files says which
    of them are duplicates."""
    return order.inputs[:-1] if stage.role is Role.GOES_ON else order.inputs


def _columns(table: pa.Table, before: dict[str, str], where: str) -> dict[str, str]:
    """The table's columns with their types. Raises TaskError where the rows before had others."""
    columns = {field.name: str(field.type) for field in table.schema}
    if before and list(columns.items()) != list(before.items()):
        differing = [
            name for name in {**before, **columns} if columns.get(name) != before.get(name)
        ]
        raise TaskError(
            f"{where}: its later rows have other columns than its first: "
            f"{', '.join(differing) or 'in another order'}",
            "a step must give the same columns and types for all rows",
        )
    return columns


def _stepped(
    rows: pa.Table | pl.LazyFrame,
    stage: StageWork,
    height: int,
    tally: Tally,
    where: str,
    clock: Stopwatch,
) -> pa.Table:
    """The rows after the stage's steps, without the column that only a step here needed."""
    if not stage.steps:
        table: Any = rows
        is_spare = RECORD in table.column_names and not stage.keeps_records
        return table.drop_columns([RECORD]) if is_spare else table
    import polars as pl

    with clock.time("steps"):
        frame = rows if isinstance(rows, pl.LazyFrame) else pl.DataFrame(pl.from_arrow(rows))
        result = apply_steps(stage.steps, frame, height, tally, where)
        if RECORD in result.columns and not stage.keeps_records:
            result = result.drop(RECORD)
        return to_arrow(result)


def in_words(task: Task, stage: StageWork) -> str:
    """Stage, chunk and files, for a message."""
    if task.chunk.source == EVERYTHING:
        return f"stage {stage.name!r}, chunk {task.chunk.index}"
    files = [printable(segment.file.path) for segment in task.chunk.segments]
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return f"stage {stage.name!r}, chunk {task.chunk.index} ({files[0]}{more})"
