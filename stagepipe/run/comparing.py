"""The task of an inner barrier: it compares the unique columns of all that the run has read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from stagepipe.errors import TaskError
from stagepipe.model import PartFile, Receipt, Rows
from stagepipe.plan.work import KeptValues, Work
from stagepipe.record.spool import Spool, file_sha256
from stagepipe.run import between
from stagepipe.run.duplicates import duplicates
from stagepipe.run.frames import to_arrow
from stagepipe.run.kept_values import values_that_stay
from stagepipe.run.writing import PartWriter
from stagepipe.stopwatch import Stopwatch, timed

if TYPE_CHECKING:
    import polars as pl

    from stagepipe.run.orders import Order


def compared(
    spool: Spool, work: Work, order: Order, writer: PartWriter, clock: Stopwatch
) -> Receipt:
    """Write for each chunk which of its rows are duplicates, a piece for each. Raises TaskError."""
    import polars as pl
    from pyarrow import concat_tables

    task = order.task
    with clock.time("compare"):
        chunks = list(_by_chunk(order))
        parts = [
            between.scan([between.sound(spool, work, task.stage, file) for file in files])
            for files in chunks
        ]
        before = [_before(work, kept) for kept in work.kept_values or ()]
        found = duplicates([*before, *parts], len(work.table.unique))[len(before) :]
        nothing: PartFile | None = None
        for frame in found:
            if frame.is_empty() and nothing is not None:
                writer.written.pieces.append(nothing)
                continue
            file = writer.write_piece(to_arrow(frame))
            nothing = file if frame.is_empty() else nothing
        if work.kept_values is not None:
            tables = (concat_tables(map(between.read, map(spool.path, files))) for files in chunks)
            names = work.table.unique
            writer.write_values(values_that_stay(zip(tables, found, strict=True), names))
    read = sum(file.rows for file in order.inputs)
    repeating = sum(map(pl.DataFrame.__len__, found))
    receipt = Receipt(
        key=task.key,
        stage=work.stages[task.stage].name,
        chunk=task.chunk.index,
        source=task.chunk.source,
        pieces=tuple(writer.written.pieces),
        files=tuple(writer.written.files),
        columns={},
        rows=Rows(read=read, written=repeating, dropped=read - repeating),
        seconds=clock.seconds,
        input_bytes=sum(file.bytes for file in order.inputs),
        ingredients=task.ingredients,
        input_sha256=order.input_sha256,
    )
    with timed("write"):
        spool.keep(receipt, writer.written.paths, None, order.attempt)
    return receipt


def _before(work: Work, kept: KeptValues) -> pl.LazyFrame:
    """Values that the table to append to holds. Raises TaskError."""
    import polars as pl
    import pyarrow as pa

    path = Path(kept.path)
    try:
        is_sound = file_sha256(path) == kept.sha256
    except OSError:
        is_sound = False
    if not is_sound:
        raise TaskError(
            f"{path}, which holds values of unique columns, is not as stagepipe left it",
            "move the table that it belongs to away, and it is made anew from all files",
        )
    with pa.memory_map(str(path)) as file:
        names = pa.ipc.open_file(file).schema.names
    places = [names.index(name) for name in work.table.unique]
    numbered = [pl.nth(place).alias(str(number)) for number, place in enumerate(places)]
    return between.scan([path]).select(numbered)


def _by_chunk(order: Order) -> Iterator[Sequence[PartFile]]:
    """The files of each chunk, whose names begin with the keys of its part."""
    for _, files in groupby(order.inputs, lambda file: file.name.partition(".")[0]):
        yield list(files)
