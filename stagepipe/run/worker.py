"""What happens in a worker: a name comes in, a part is written, a receipt goes back.

A worker never raises into the pool: an exception that does not unpickle would break it. It never
sleeps to be polite either; the parent's scheduler is the only one that limits. Polars and pyarrow
are imported late, so that the parent can name these functions without loading them.
"""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import import_module
from multiprocessing import connection, parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stagepipe.contracts import DeadSegment
from stagepipe.errors import StagepipeError, TaskError
from stagepipe.model import (
    Failure,
    Receipt,
    Reject,
    Rows,
    Segment,
    SegmentCount,
    Task,
    printable,
)
from stagepipe.plan.work import StageWork, StepWork, Work, file_digest, step_message
from stagepipe.plugins import Plugins, load_step
from stagepipe.record.rejects import write_task_rejects
from stagepipe.record.spool import Spool, file_sha256
from stagepipe.run import WORKER_MODULES, between

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

HEAD_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Order:
    """A task for a worker. `before` is the receipt of the part that it reads, in later stages."""

    task: Task
    attempt: str
    before: Receipt | None = None


class Bench:
    """What a worker keeps between tasks."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.spool = Spool(Path(work.spool))

    @cached_property
    def plugins(self) -> Plugins:
        """The plugins, imported at the first task."""
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
    _follow_parent()
    import pyarrow as pa

    pa.set_cpu_count(1)
    _bench = Bench(work)


def warm_up() -> None:
    """Import what every task needs, so that the first one starts at once."""
    for module in WORKER_MODULES:
        import_module(module)


def run_task(order: Order) -> Receipt | Failure:
    """Do one task. Everything that goes wrong comes back as a Failure."""
    assert _bench is not None, "start() has not run"
    task = order.task
    stage = _bench.work.stages[task.stage]
    try:
        return _run(_bench, order, stage)
    except BaseException as error:  # noqa: BLE001 - not even sys.exit() may reach the pool
        known = isinstance(error, StagepipeError)
        return Failure(
            key=task.key,
            stage=stage.name,
            chunk=task.chunk.index,
            source=task.chunk.source,
            message=str(error)
            if known
            else f"{_where(task, stage)}: {type(error).__name__}: {error}",
            hint=error.hint if isinstance(error, StagepipeError) else None,
            traceback="" if known and error.__cause__ is None else traceback.format_exc(),
        )


def _run(bench: Bench, order: Order, stage: StageWork) -> Receipt:
    task, clock = order.task, Stopwatch()
    if order.before is None:
        table, counts, rejects = _read_chunk(bench, task, stage, clock)
        read = sum(count.records for count in counts)
        input_bytes = task.chunk.size
    else:
        with clock.time("read"):
            table = _read_part(bench, order.before, task)
        counts, rejects, read = [], [], table.num_rows
        input_bytes = order.before.bytes
    tally = Tally()
    if stage.steps:
        with clock.time("steps"):
            table = _apply(stage.steps, table, tally, task, stage)
    part, written = _write_part(bench, order, stage, table, clock)
    rows = Rows(
        read=read,
        added=tally.added.total(),
        written=written,
        rejected=len(rejects),
        dropped=tally.dropped.total(),
    )
    with clock.time("hash"):
        sha256 = file_sha256(part)
    receipt = Receipt(
        key=task.key,
        stage=stage.name,
        chunk=task.chunk.index,
        source=task.chunk.source,
        part=task.key + part.suffix,
        bytes=part.stat().st_size,
        sha256=sha256,
        columns={field.name: str(field.type) for field in table.schema},
        rows=rows,
        dropped=dict(tally.dropped),
        added=dict(tally.added),
        segments=tuple(counts),
        seconds=dict(clock.seconds),
        input_bytes=input_bytes,
        ingredients=task.ingredients,
        input_sha256=order.before.sha256 if order.before else "",
    )
    rejects_file = None
    if rejects:
        rejects_file = bench.spool.temporary(task.key, order.attempt, ".rejects")
        write_task_rejects(rejects_file, rejects)
    bench.spool.keep(receipt, part, rejects_file, order.attempt)
    return receipt


class Stopwatch:
    """Seconds spent, by what was done."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    @contextmanager
    def time(self, what: str) -> Iterator[None]:
        """Count the time spent inside."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[what] += time.perf_counter() - begin  # type: ignore[assignment]


@dataclass(slots=True)
class Tally:
    """Rows that steps took away or brought, by step."""

    dropped: Counter[str]
    added: Counter[str]

    def __init__(self) -> None:
        self.dropped, self.added = Counter(), Counter()


def _read_chunk(
    bench: Bench, task: Task, stage: StageWork, clock: Stopwatch
) -> tuple[pa.Table, list[SegmentCount], list[tuple[int, Reject]]]:
    """The rows of all segments; what became of each; the rejects, each with its segment."""
    import pyarrow as pa

    source = bench.work.sources[task.chunk.source]
    reader = bench.plugins.reader(source.reader)
    spec = bench.work.table
    tables, counts, rejects = [], [], []
    for segment in task.chunk.segments:
        file = segment.file
        try:
            with clock.time("read"):
                data, head = _bytes_of(Path(bench.work.folder), segment)
            with clock.time("hash"):
                sha256 = hashlib.sha256(data).hexdigest()
            with clock.time("parse"):
                result = reader.read(data, head, segment, spec, source.options)
        except (DeadSegment, OSError) as error:
            why = f"cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)
            counts.append(SegmentCount(file, segment.start, segment.end, dead=why))
            continue
        number = len(counts)
        counts.append(
            SegmentCount(
                file=file,
                start=segment.start,
                end=segment.end,
                records=result.records,
                rows=result.table.num_rows,
                rejected=len(result.rejects),
                lines=result.lines,
                sha256=sha256,
            )
        )
        tables.append(result.table)
        for reject in result.rejects:
            offset = None if reject.byte_offset is None else reject.byte_offset + segment.start
            placed = reject._replace(
                source=printable(task.chunk.source),
                file=printable(file.path),
                byte_offset=offset,
                stage=stage.name,
            )
            rejects.append((number, placed))
    if not tables:
        return _empty(spec), counts, rejects
    return pa.concat_tables(tables), counts, rejects


def _empty(spec: Any) -> pa.Table:
    import pyarrow as pa

    return pa.schema([(c.name, c.arrow_type) for c in spec.columns]).empty_table()


def _bytes_of(folder: Path, segment: Segment) -> tuple[bytes, bytes]:
    """A segment's bytes and the beginning of its file; both from the file that was planned."""
    file = segment.file
    with (folder / file.path).open("rb") as stream:
        _check_same(stream.fileno(), segment)
        stream.seek(segment.start)
        data = head = stream.read(segment.size)
        if segment.start:
            stream.seek(0)
            head = stream.read(HEAD_BYTES)
        _check_same(stream.fileno(), segment)
    if len(data) != segment.size:
        raise DeadSegment("it became shorter while it was read: run again when it rests")
    return data, head


def _check_same(descriptor: int, segment: Segment) -> None:
    status, file = os.fstat(descriptor), segment.file
    if (status.st_size, status.st_mtime_ns, status.st_ino) != (
        file.size,
        file.mtime_ns,
        file.inode,
    ):
        raise DeadSegment("it changed after the run was planned: run again when it rests")


def _read_part(bench: Bench, before: Receipt, task: Task) -> pa.Table:
    path = bench.spool.part(before)
    if not bench.spool.is_sound(before):
        bench.spool.forget([before.key])
        raise TaskError(
            f"the finished part of stage {before.stage!r}, chunk {task.chunk.index} was damaged "
            "on disk",
            "run again: the part is made anew",
        )
    if path.suffix == between.SUFFIX:
        return between.read(path)
    names = {stage.name: stage for stage in bench.work.stages}
    sink = bench.plugins.sink(names[before.stage].sink or "")
    return _arrow(sink.decode(path))


def _apply(
    steps: Sequence[StepWork], table: pa.Table, tally: Tally, task: Task, stage: StageWork
) -> pa.Table:
    import polars as pl

    frame = pl.DataFrame(pl.from_arrow(table))
    for step in steps:
        name, height = step.where.name, frame.height
        _check_reads(step)
        try:
            result = load_step(step.where)(frame, **step.options)
        except BaseException as error:  # a panic of polars and sys.exit() are no Exceptions
            raise TaskError(f"{_where(task, stage)}: {step_message(step, error, frame)}") from error
        if not isinstance(result, pl.DataFrame):
            raise TaskError(
                f"{_where(task, stage)}: step {name!r} returned a {type(result).__name__}, "
                "not a polars DataFrame"
            )
        if odd := [column for column, kind in result.schema.items() if kind == pl.Object]:
            raise TaskError(
                f"{_where(task, stage)}: step {name!r} made column {odd[0]!r} of Python objects, "
                "which cannot be stored",
                "give it a type of polars, such as pl.String",
            )
        if step.reshapes:
            tally.dropped[name] += height
            tally.added[name] += result.height
        elif result.height > height:
            raise TaskError(
                f"{_where(task, stage)}: step {name!r} made {result.height} rows of {height}",
                "mark it with @step(reshapes=True) if that is its nature",
            )
        elif result.height < height:
            tally.dropped[name] += height - result.height
        frame = result
    return _arrow(frame)


def _check_reads(step: StepWork) -> None:
    """The files that the step reads are those that were planned. Raises TaskError."""
    for option, digest in step.reads.items():
        path: Path = step.options[option]
        status = path.stat()
        now = _digest_of(path, (status.st_size, status.st_mtime_ns, status.st_ino))
        if now != digest:
            raise TaskError(
                f"{path} changed after the run was planned",
                "nothing of this stage was committed: run again",
            )


@lru_cache(maxsize=64)
def _digest_of(path: Path, _identity: tuple[int, int, int]) -> str:
    return file_digest(path)


def _where(task: Task, stage: StageWork) -> str:
    """Stage, chunk and files, for a message."""
    files = [printable(segment.file.path) for segment in task.chunk.segments]
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return f"stage {stage.name!r}, chunk {task.chunk.index} ({files[0]}{more})"


def _arrow(frame: pl.DataFrame) -> pa.Table:
    """The frame as Arrow, in types that do not depend on how polars laid its memory out."""
    import polars as pl
    import pyarrow as pa

    table = frame.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    plain = {pa.large_string(): pa.string(), pa.large_binary(): pa.binary()}
    fields = [field.with_type(plain.get(field.type, field.type)) for field in table.schema]
    return table.cast(pa.schema(fields))


def _write_part(
    bench: Bench, order: Order, stage: StageWork, table: pa.Table, clock: Stopwatch
) -> tuple[Path, int]:
    """Write the part under its temporary name; where, and the rows that the file itself counts."""
    key = order.task.key
    with clock.time("encode"):
        if stage.sink is None:
            path = bench.spool.temporary(key, order.attempt, between.SUFFIX)
            return path, between.write(table, path)
        sink = bench.plugins.sink(stage.sink)
        path = bench.spool.temporary(key, order.attempt, sink.suffix)
        return path, sink.encode(table, path, stage.sink_options)


def _follow_parent() -> None:
    """End this process when its parent is gone, however that went."""
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, name="stagepipe-follow-parent", daemon=True).start()
