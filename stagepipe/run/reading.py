"""What a task reads: segments of its source's files, or what the stage before it made."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from stagepipe.contracts import DeadSegment, Reader, SegmentResult, TableSpec
from stagepipe.errors import TaskError
from stagepipe.model import RECORD, Chunk, PartFile, Reject, Segment, SegmentCount, printable
from stagepipe.plan.work import Work, provenance_type
from stagepipe.plugins import Plugins
from stagepipe.record.spool import Spool
from stagepipe.run import between
from stagepipe.run.applying import StepReject
from stagepipe.run.stopwatch import Stopwatch

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

HEAD_BYTES = 2**20
OFFSET_BITS = 44
"""A file has less than 16 TiB, so that its number in the chunk fits beside a byte offset in it."""


@dataclass(slots=True)
class ChunkRows:
    """The rows of all segments of a chunk; what became of each segment; the rejects, each with the
    number of its segment."""

    table: pa.Table
    counts: list[SegmentCount] = field(default_factory=list)
    rejects: list[tuple[int, Reject]] = field(default_factory=list)


def read_chunk(
    plugins: Plugins, work: Work, chunk: Chunk, clock: Stopwatch, *, with_records: bool
) -> ChunkRows:
    """Read the segments of a chunk. `with_records` adds the column `_record`."""
    import pyarrow as pa

    source = work.sources[chunk.source]
    reader: Reader = plugins.reader(source.reader)
    with_places = with_records or "line" in work.table.provenance
    tables = []
    counts: list[SegmentCount] = []
    rejects = []
    for number, segment in enumerate(chunk.segments):
        try:
            with clock.time("read"):
                data, head = _bytes_of(Path(work.folder), segment)
            with clock.time("hash"):
                sha256 = hashlib.sha256(data).hexdigest()
            with clock.time("parse"):
                result = reader.read(
                    data, head, segment, work.table, source.options, with_places=with_places
                )
        except (DeadSegment, OSError) as error:
            why = f"cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)
            counts.append(SegmentCount(segment.file, segment.start, segment.end, dead=why))
            continue
        counts.append(_count(segment, result, sha256))
        table = with_provenance(result, chunk.source, segment, work.table)
        if with_records:
            table = table.append_column(RECORD, _records(result, number, segment))
        tables.append(table)
        rejects += [(number, _placed(reject, chunk, segment)) for reject in result.rejects]
    if not tables:
        return ChunkRows(no_rows(work.table, with_records=with_records), counts, rejects)
    return ChunkRows(pa.concat_tables(tables), counts, rejects)


def _count(segment: Segment, result: SegmentResult, sha256: str) -> SegmentCount:
    return SegmentCount(
        file=segment.file,
        start=segment.start,
        end=segment.end,
        records=result.records,
        rows=result.table.num_rows,
        rejected=len(result.rejects),
        lines=result.lines,
        sha256=sha256,
    )


def _placed(reject: Reject, chunk: Chunk, segment: Segment) -> Reject:
    offset = None if reject.byte_offset is None else reject.byte_offset + segment.start
    return reject._replace(
        source=printable(chunk.source), file=printable(segment.file.path), byte_offset=offset
    )


def with_provenance(
    result: SegmentResult, source: str, segment: Segment, spec: TableSpec
) -> pa.Table:
    """A reader's rows with the columns that say where they are from, as far as these are wanted."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = result.table
    for name in spec.provenance:
        if name == "line":
            assert result.places is not None
            values = pc.add(result.places["line"], segment.first_line - 1)
        else:
            text = source if name == "source" else segment.file.path
            values = pa.repeat(pa.scalar(printable(text)), table.num_rows)
        table = table.append_column(f"_{name}", values)
    return table


def _records(result: SegmentResult, number: int, segment: Segment) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    assert result.places is not None
    base = pa.scalar((number << OFFSET_BITS) + segment.start, pa.int64())
    return pc.add(result.places["offset"], base)


def no_rows(spec: TableSpec, *, with_records: bool = False) -> pa.Table:
    """A table like those of segments, without rows."""
    import pyarrow as pa

    fields = [(c.name, c.arrow_type) for c in spec.columns]
    fields += [(f"_{name}", provenance_type(name)) for name in spec.provenance]
    return pa.schema([*fields, (RECORD, pa.int64())] if with_records else fields).empty_table()


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


def raw_rejects(
    plugins: Plugins, work: Work, chunk: Chunk, found: Sequence[StepReject]
) -> Iterator[tuple[int, Reject]]:
    """Rejects of steps with their files, lines (from the segment's first) and bytes, as far as the
    way back is known; each with the number of its segment. Raises TaskError."""
    known = {each.record for each in found if each.record is not None}
    places = _places_of(plugins, work, chunk, known) if chunk.source in work.sources else {}
    for each in found:
        plain = Reject(
            source=printable(chunk.source),
            file=None,
            line=None,
            byte_offset=None,
            stage="",
            column=None,
            value=None,
            reason=each.reason,
            also=None,
            raw=None,
        )
        if each.record is None or each.record not in places:
            yield 0, plain
            continue
        file, line, byte_offset, raw = places[each.record]
        placed = plain._replace(file=file, line=line, byte_offset=byte_offset, raw=raw)
        yield each.record >> OFFSET_BITS, placed


def _places_of(
    plugins: Plugins, work: Work, chunk: Chunk, records: Iterable[int]
) -> dict[int, tuple[str, int, int, bytes]]:
    """File, line, byte offset and raw bytes of these records. Each segment is read once again."""
    by_segment: dict[int, list[int]] = {}
    for record in sorted(records):
        by_segment.setdefault(record >> OFFSET_BITS, []).append(record)
    source = work.sources[chunk.source]
    reader: Reader = plugins.reader(source.reader)
    found = {}
    for number, inside in by_segment.items():
        segment = chunk.segments[number]
        file = printable(segment.file.path)
        try:
            data, _ = _bytes_of(Path(work.folder), segment)
        except (DeadSegment, OSError) as error:
            raise TaskError(
                f"{file} cannot be read again for a rejected row: {error}",
                "run again when the file rests",
            ) from error
        offsets = [record & ((1 << OFFSET_BITS) - 1) for record in inside]
        placed = reader.records_at(data, [o - segment.start for o in offsets], source.options)
        for record, offset, (line, raw) in zip(inside, offsets, placed, strict=True):
            found[record] = (file, line, offset, raw)
    return found


def read_piece(plugins: Plugins, spool: Spool, work: Work, stage: int, file: PartFile) -> pa.Table:
    """The rows of a piece that the stage before `stage` made. Raises TaskError."""
    path = _sound(spool, work, stage, file)
    if path.suffix == between.SUFFIX:
        return between.read(path)
    from stagepipe.run.frames import to_arrow

    sink = plugins.sink(work.stages[stage - 1].sink or "")
    return to_arrow(sink.decode(path))


def scan_pieces(
    plugins: Plugins, spool: Spool, work: Work, stage: int, files: Sequence[PartFile]
) -> pl.LazyFrame:
    """The rows of all pieces that the stage before `stage` made, in order. Raises TaskError."""
    paths = [_sound(spool, work, stage, file) for file in files]
    if paths[0].suffix == between.SUFFIX:
        return between.scan(paths)
    found: pl.LazyFrame = plugins.sink(work.stages[stage - 1].sink or "").scan(paths)
    return found


def _sound(spool: Spool, work: Work, stage: int, file: PartFile) -> Path:
    if not spool.is_sound(file):
        spool.forget([file.name.partition(".")[0]])
        raise TaskError(
            f"a finished part of stage {work.stages[stage - 1].name!r} was damaged on disk "
            f"({spool.path(file)})",
            "run again: the part is made anew",
        )
    return spool.path(file)
