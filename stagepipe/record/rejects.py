"""Rejects on their way: from a worker's file beside its part to the run's one file.

A worker knows a record's line only from its segment's start. The parent, which has the receipts of
all segments, adds the lines of those before it, and writes what was rejected, in chunk order, to
`rejects.parquet` in the run's folder. Beside the fixed columns that file has `mended`, which mended
file a record came back in, and `by_step`, whether it was a step that rejected it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from stagepipe.errors import TaskError
from stagepipe.model import Receipt, Reject, SegmentCount, printable
from stagepipe.record.spool import Spool, file_sha256

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = Reject._fields
PLACES = ("line", "byte_offset", "raw")
"""The columns that have another value in each row."""
BATCH_ROWS = 10_000
LONE_RETURN = re.compile(r'^[^\n",]*\r[^\n",]*$')


class Noted(NamedTuple):
    """A reject with what is known of it beside the fixed columns."""

    reject: Reject
    mended: str | None
    by_step: bool


def write_task_rejects(path: Path, stage: str, rejects: Sequence[tuple[int, Reject]]) -> None:
    """Write the rejects of a task in a stage, each with the number of its segment in the chunk."""
    import pyarrow as pa

    schema = _schema().insert(0, pa.field("segment", pa.int32()))
    columns = list(zip(*((segment, *reject) for segment, reject in rejects), strict=True))
    columns[schema.get_field_index("stage")] = (stage,) * len(rejects)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def collect(spool: Spool, receipts: Iterable[Receipt], path: Path) -> int:
    """Write the rejects of these tasks to one file; how many there are. `receipts` are those of the
    stages that ran, stage after stage and each in chunk order: the first stage's know the lines.

    No file is written when there are none. Raises TaskError when what a task kept is damaged.
    """
    import pyarrow.parquet as pq

    receipts = list(receipts)
    written, writer = 0, None
    temporary = _unfinished(path.parent.parent, spool.folder.name)
    try:
        for table in _tables(spool, receipts):
            if writer is None:
                temporary.parent.mkdir(parents=True, exist_ok=True)
                often_alike = [name for name in table.column_names if name not in PLACES]
                writer = pq.ParquetWriter(
                    temporary, table.schema, compression="zstd", use_dictionary=often_alike
                )
            writer.write_table(table)
            written += table.num_rows
    finally:
        if writer is not None:
            writer.close()
    if writer is not None:
        _put_in_place(temporary, path)
    return written


def clean(runs: Path, pipeline: str) -> None:
    """Remove what a dead run left half-written. Only for who holds the pipeline's lock."""
    shutil.rmtree(_unfinished(runs, pipeline).parent, ignore_errors=True)


def _unfinished(runs: Path, pipeline: str) -> Path:
    """Where a pipeline's rejects lie while they are being written, in the folder of the runs. It
    has one name, so that the next run finds what a dead one left, and nothing of another's."""
    return runs / f".{pipeline}.new" / "rejects.parquet"


def _put_in_place(new: Path, path: Path) -> None:
    """Have the file with its folder, or in it where that is there, so that no folder is empty."""
    if not path.parent.exists():
        new.parent.rename(path.parent)
    else:
        new.replace(path)
        new.parent.rmdir()


def read(path: Path, source: str | None = None) -> Iterator[Reject]:
    """The rejects of a run, in order, perhaps of one source only. Bounded memory."""
    return (noted.reject for noted in read_noted(path, source))


def read_noted(path: Path, source: str | None = None) -> Iterator[Noted]:
    """The same, with what is known of each beside the fixed columns."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH_ROWS):
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                reject = Reject(*row[: len(COLUMNS)])
                mended, by_step = row[len(COLUMNS) :] or (None, True)  # as older versions wrote it
                if source is None or reject.source == source:
                    yield Noted(reject, mended, by_step)


def count(path: Path, stage: str) -> dict[tuple[str, str | None, str], int]:
    """How many records of a stage were rejected, by (source, column, reason)."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=["stage", "source", "column", "reason"])
    table = table.filter(pc.equal(table["stage"], stage))
    grouped = table.group_by(["source", "column", "reason"]).aggregate([([], "count_all")])
    return {
        (row["source"], row["column"], row["reason"]): row["count_all"]
        for row in grouped.to_pylist()
    }


def write_csv(rejects: Iterable[Reject], out: IO[str]) -> None:
    """The fixed columns as CSV. Bytes that are no UTF-8 stand as `\\xNN`."""
    import csv

    writer = csv.writer(out, lineterminator="\n")
    # A CR ends a line for many who read this; older Pythons put nothing in quotes for it alone.
    all_quoted = csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    for reject in rejects:
        row = [_in_csv(value) for value in reject]
        has_return = any(isinstance(value, str) and LONE_RETURN.search(value) for value in row)
        (all_quoted if has_return else writer).writerow(row)


def _in_csv(value: str | int | bytes | None) -> str | int | None:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return printable(value) if isinstance(value, str) else value


def _schema() -> pa.Schema:
    import pyarrow as pa

    types = {"line": pa.int64(), "byte_offset": pa.int64(), "raw": pa.binary()}
    return pa.schema([(name, types.get(name, pa.string())) for name in COLUMNS])


def _first_lines(receipts: Sequence[Receipt]) -> dict[tuple[str, int], int | None]:
    """How many lines of its file stand before each segment, by (path, start); None when a segment
    before it is missing or dead, so that nobody counted them."""
    by_file: dict[str, list[SegmentCount]] = {}
    for receipt in receipts:
        for segment in receipt.segments:
            by_file.setdefault(segment.file.path, []).append(segment)
    bases: dict[tuple[str, int], int | None] = {}
    for path, segments in by_file.items():
        segments.sort(key=lambda segment: segment.start)
        if segments[0].file.is_mended:  # its rejects have the lines of the records themselves
            bases.update({(path, segment.start): 0 for segment in segments})
            continue
        lines: int | None = 0 if segments[0].start == 0 else None
        bases[path, segments[0].start] = lines
        for before, after in pairwise(segments):
            if lines is None or before.dead is not None or before.end != after.start:
                lines = None
            else:
                lines += before.lines
            bases[path, after.start] = lines
    return bases


def _tables(spool: Spool, receipts: Sequence[Receipt]) -> Iterator[pa.Table]:
    """The rejects of each task that has any. Raises TaskError."""
    bases = _first_lines(receipts)
    segments = {receipt.chunk: receipt.segments for receipt in receipts if receipt.segments}
    for receipt in receipts:
        if receipt.rows.rejected:
            inside = segments.get(receipt.chunk, ())
            starts = [bases[s.file.path, s.start] for s in inside]
            mended = [Path(s.file.path).stem if s.file.is_mended else None for s in inside]
            yield _placed(_read_task(spool, receipt), receipt, starts, mended)


def _read_task(spool: Spool, receipt: Receipt) -> pa.Table:
    import pyarrow as pa

    path, table = spool.rejects(receipt.key), None
    with suppress(OSError, pa.ArrowException):
        if file_sha256(path) == receipt.rejects_sha256:
            with pa.OSFile(str(path)) as file:
                table = pa.ipc.open_file(file).read_all()
    if table is None:
        spool.forget([receipt.key])
        raise TaskError(
            f"the rejects of stage {receipt.stage!r}, chunk {receipt.chunk} were damaged on disk",
            "run again: its part and its rejects are made anew",
        )
    return table


def _placed(
    table: pa.Table,
    receipt: Receipt,
    starts: Sequence[int | None],
    mended: Sequence[str | None],
) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    def of_segments(values: Sequence[Any], known: str, kind: pa.DataType) -> pa.ChunkedArray:
        """What each reject's segment has, where the reject is known to have its own `known`."""
        nowhere = pa.scalar(None, pa.int32())
        segments = pc.if_else(table[known].is_valid(), table["segment"], nowhere)
        return pa.array(values, kind).take(segments)

    rows = table.num_rows
    # Those of the steps stand last, with duplicates among them perhaps.
    by_steps = sum(receipt.rejected_by.values())
    by_reader = rows - (by_steps and by_steps + receipt.duplicates)
    placed = {name: table[name] for name in COLUMNS}
    placed["line"] = pc.add(table["line"], of_segments(starts, "line", pa.int64()))
    # The stage may have had another name when the part was made.
    placed["stage"] = pa.repeat(pa.scalar(receipt.stage), rows)
    placed["mended"] = of_segments(mended, "byte_offset", pa.string())
    placed["by_step"] = pa.array([row >= by_reader for row in range(rows)], pa.bool_())
    return pa.table(placed)
