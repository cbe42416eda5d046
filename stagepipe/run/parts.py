"""How a worker makes the part of a task: what it reads goes through the stage's steps into files,
and all of it is counted in a receipt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stagepipe.errors import TaskError
from stagepipe.model import RECORD, PartFile, Receipt, Reject, Rows
from stagepipe.plan.work import Role, StageWork, Work
from stagepipe.plugins import Plugins
from stagepipe.record.rejects import write_task_rejects
from stagepipe.record.spool import Spool, file_sha256
from stagepipe.run import between
from stagepipe.run.applying import Tally, apply_steps, rows_by_step
from stagepipe.run.duplicates import keys_of, without
from stagepipe.run.frames import to_arrow
from stagepipe.run.orders import Order, in_words
from stagepipe.run.reading import ChunkReading, LateDeath
from stagepipe.run.step_rejects import raw_rejects
from stagepipe.run.writing import PartWriter, Written, pieces_of
from stagepipe.stopwatch import Stopwatch, timed

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa


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


def make_part(bench: Bench, order: Order, stage: StageWork, clock: Stopwatch) -> Receipt:
    """Make the part of a task, and keep it unless that is a probe. Raises what makes it fail."""
    dead, where = dict(order.dead), in_words(order.task, stage)
    while True:
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
    columns = _write(bench, order, stage, writer, tables, tally, clock)
    rejects = reading.rejects if reading else []
    with timed("explain"):
        rejects += raw_rejects(bench.plugins, work, task.chunk, tally.rejects)
    receipt = _receipt(order, stage, reading, tally, len(rejects), writer.written, columns, clock)
    if order.is_probe:
        writer.discard()
        return receipt
    if order.attempt in bench.given_up:
        writer.discard()
        raise TaskError(f"{in_words(task, stage)}: it came back after it was given up")
    return _kept(bench, order, stage, receipt, rejects, writer.written)


def _write(
    bench: Bench,
    order: Order,
    stage: StageWork,
    writer: PartWriter,
    tables: Iterable[tuple[pa.Table | pl.LazyFrame, int]],
    tally: Tally,
    clock: Stopwatch,
) -> dict[str, str]:
    """Take the tables, each with its number of rows, through the steps and write what comes of
    them. The columns of that, with their types. Raises TaskError."""
    where, work = in_words(order.task, stage), bench.work
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
    return columns


def _receipt(
    order: Order,
    stage: StageWork,
    reading: ChunkReading | None,
    tally: Tally,
    rejected: int,
    written: Written,
    columns: Mapping[str, str],
    clock: Stopwatch,
) -> Receipt:
    """What is counted: the rows that came in, those that the steps took away or brought, those that
    are rejects now, and those that the written files say they hold."""
    task = order.task
    counts = reading.counts if reading else []
    read = sum(count.records for count in counts)
    read += sum(file.rows for file in _rows_of(order, stage))
    return Receipt(
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
            rejected=rejected,
            dropped=tally.dropped.total(),
        ),
        dropped=dict(tally.dropped),
        added=dict(tally.added),
        rejected_by=dict(rows_by_step(tally.rejects)),
        segments=tuple(counts),
        seconds=clock.seconds,
        input_bytes=sum(file.bytes for file in order.inputs) or task.chunk.size,
        ingredients=task.ingredients,
        input_sha256=order.input_sha256,
        duplicates=sum(reject.is_duplicate for reject in tally.rejects),
        headers=reading.headers if reading else (),
    )


def _kept(
    bench: Bench,
    order: Order,
    stage: StageWork,
    receipt: Receipt,
    rejects: Sequence[tuple[int, Reject]],
    written: Written,
) -> Receipt:
    """The receipt, with its part and its rejects in the spool."""
    with timed("write"):
        rejects_file = None
        if rejects:
            rejects_file = bench.spool.temporary(order.task.key, order.attempt, ".rejects")
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
