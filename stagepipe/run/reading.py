"""What a task of the first stage reads: segments of its source's files."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from stagepipe.contracts import DeadSegment, Reader, SegmentResult, TableSpec
from stagepipe.model import RECORD, Cause, Chunk, Reject, Segment, SegmentCount, printable
from stagepipe.plan.work import Work, provenance_type
from stagepipe.plugins import Plugins
from stagepipe.record.mended import Origins, origins_of
from stagepipe.run.causes import cause_of, may_pass
from stagepipe.run.portions import Portion, is_streamed, portions, streamed_sha256
from stagepipe.run.stopwatch import Stopwatch

if TYPE_CHECKING:
    import pyarrow as pa

OFFSET_BITS = 44
"""A file has less than 16 TiB, so that its number in the chunk fits beside a byte offset in it."""

UNFIT = ("type", "encoding")
"""Reasons of rejects which say that a value is none of its column."""


class LateDeath(Exception):  # noqa: N818 - of a segment: see DeadSegment
    """A segment died when some of its rows had been given away already."""

    def __init__(self, number: int, why: str) -> None:
        super().__init__(number, why)
        self.number = number
        self.why = why


class ChunkReading:
    """The segments of a chunk on their way to tables. `counts` says what became of each, `rejects`
    has the bad records with the numbers of their segments; both are whole when all tables were
    given. `dead` are segments that are known to be dead, and why; while it is not the `is_last`
    attempt, errors of the system that may pass are no reason for a segment to die. About
    `piece_bytes` are held at a time."""

    def __init__(
        self,
        plugins: Plugins,
        work: Work,
        chunk: Chunk,
        clock: Stopwatch,
        *,
        with_records: bool,
        dead: Mapping[int, str],
        is_last: bool,
        piece_bytes: int,
    ) -> None:
        self.counts: list[SegmentCount] = []
        self.rejects: list[tuple[int, Reject]] = []
        self._headers: dict[tuple[str, ...], int] = {}
        self._work, self._chunk, self._clock = work, chunk, clock
        self._how = work.sources[chunk.source]
        self._reader: Reader = plugins.reader(self._how.reader)
        self._with_records = with_records
        self._dead = dead
        self._is_last = is_last
        self._piece_bytes = piece_bytes
        self._held: list[pa.Table] = []
        self._size = 0

    @property
    def headers(self) -> tuple[tuple[str, ...], ...]:
        """The headers that the counts speak of."""
        return tuple(self._headers)

    def tables(self) -> Iterator[pa.Table]:
        """The rows, in tables of about `piece_bytes`; one, empty perhaps, at least.

        Raises LateDeath.
        """
        is_first = True
        for number, segment in enumerate(self._chunk.segments):
            for table in self._rows_of(number, segment):
                yield table
                is_first = False
        if self._held or is_first:
            yield self._taken()

    def _rows_of(self, number: int, segment: Segment) -> Iterator[pa.Table]:
        """Read a segment. Its rows are held back until there are enough for a table."""
        count = SegmentCount(segment.file, segment.start, segment.end)
        if number in self._dead:
            self.counts.append(replace(count, dead=self._dead[number]))
            return
        before, rejects_before, size_before = len(self._held), len(self.rejects), self._size
        is_begun = is_given = False
        try:
            for portion in self._portions(segment):
                if self._held and self._size + len(portion.data) > self._piece_bytes:
                    yield self._taken()
                    before = size_before = 0
                    is_given = is_begun
                count = self._keep(number, segment, portion, count)
                is_begun = True
            if is_streamed(segment, self._work.chunk_size):
                with self._clock.time("hash"):
                    sha256 = streamed_sha256(Path(self._work.folder), segment)
                count = replace(count, sha256=sha256)
        except (DeadSegment, OSError) as error:
            if cause_of(error) is Cause.DISK_FULL or (may_pass(error) and not self._is_last):
                raise
            why = f"cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)
            if is_given:
                raise LateDeath(number, why) from error
            del self._held[before:], self.rejects[rejects_before:]
            self._size = size_before
            count = SegmentCount(segment.file, segment.start, segment.end, dead=why)
        self.counts.append(count)

    def _portions(self, segment: Segment) -> Iterator[Portion]:
        folder, size = Path(self._work.folder), self._work.chunk_size
        found = portions(folder, segment, self._reader, self._how, size, self._work.table)
        while True:
            with self._clock.time("read"):
                portion = next(found, None)
            if portion is None:
                return
            yield portion

    def _keep(
        self, number: int, segment: Segment, portion: Portion, count: SegmentCount
    ) -> SegmentCount:
        """Read one portion, and add it to what the segment has come to."""
        spec, data = self._work.table, portion.data
        origins = None
        if segment.file.is_mended:
            origins = origins_of(Path(self._work.folder) / segment.file.path)
        with_places = self._with_records or needs_places(spec, origins)
        with self._clock.time("hash"):
            sha256 = "" if portion.is_streamed else hashlib.sha256(data).hexdigest()
        inside = portion.within(segment.file, segment.first_line + count.lines)
        with self._clock.time("parse"):
            result = self._reader.read(
                data,
                portion.head,
                inside,
                spec,
                portion.options,
                with_places=with_places,
                is_last=portion.is_last,
            )
        table = with_provenance(result, self._chunk.source, inside, spec, origins)
        if self._with_records:
            table = table.append_column(RECORD, _records(result, number, inside))
        self._held.append(table)
        self._size += len(data)
        source, file = printable(self._chunk.source), printable(segment.file.path)
        for reject in result.rejects:
            placed = moved(reject, inside.start, count.lines)._replace(source=source, file=file)
            self.rejects.append((number, placed if origins is None else at_origin(placed, origins)))
        return replace(
            count,
            records=count.records + result.records,
            rows=count.rows + result.table.num_rows,
            rejected=count.rejected + len(result.rejects),
            lines=count.lines + result.lines,
            sha256=sha256,
            nulls=_added(count.nulls, [column.null_count for column in result.table.columns]),
            unfit=_unfit(count.unfit, result.rejects),
            header=self._number(result.header),
            other_tables=count.other_tables + result.other_tables,
        )

    def _number(self, header: tuple[str, ...] | None) -> int | None:
        return None if header is None else self._headers.setdefault(header, len(self._headers))

    def _taken(self) -> pa.Table:
        """What is held back, as one table."""
        import pyarrow as pa

        held, self._held, self._size = self._held, [], 0
        if held:
            return pa.concat_tables(held)
        return no_rows(self._work.table, with_records=self._with_records)


def _added(before: Sequence[int], now: Sequence[int]) -> tuple[int, ...]:
    return tuple(map(sum, zip(before, now, strict=True))) if before else tuple(now)


def _unfit(before: Mapping[str, int], rejects: Sequence[Reject]) -> Mapping[str, int]:
    """How many rejects each column has whose value was none of its type, with those before."""
    if not rejects:
        return before
    found = Counter(before)
    for reject in rejects:
        if reject.column is not None and reject.reason in UNFIT:
            found[reject.column] += 1
        for word in (reject.also or "").split(", "):
            column, _, reason = word.rpartition(":")
            if column and reason in UNFIT:
                found[column] += 1
    return dict(found)


def moved(reject: Reject, offset: int, lines: int) -> Reject:
    """A portion's reject, with its offset in the file and its line in the segment."""
    assert reject.line is not None
    assert reject.byte_offset is not None
    return reject._replace(line=reject.line + lines, byte_offset=reject.byte_offset + offset)


def at_origin(reject: Reject, origins: Origins) -> Reject:
    """A reject of a mended file, with the place of the record that was mended."""
    assert reject.byte_offset is not None
    file, line, byte_offset = origins.at(reject.byte_offset)
    return reject._replace(file=file, line=line, byte_offset=byte_offset)


def needs_places(spec: TableSpec, origins: Origins | None = None) -> bool:
    """Whether it has to be known of each row where its record stands."""
    return "line" in spec.provenance or (origins is not None and "file" in spec.provenance)


def _records(result: SegmentResult, number: int, inside: Segment) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    assert result.places is not None
    base = pa.scalar((number << OFFSET_BITS) + inside.start, pa.int64())
    return pc.add(result.places["offset"], base)


def with_provenance(
    result: SegmentResult,
    source: str,
    segment: Segment,
    spec: TableSpec,
    origins: Origins | None = None,
) -> pa.Table:
    """A reader's rows with the columns that say where they are from, as far as these are wanted."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = result.table
    came_back = []
    if origins is not None and needs_places(spec, origins):
        assert result.places is not None
        offsets = result.places["offset"].to_pylist()
        came_back = origins.of(offset + segment.start for offset in offsets)
    for name in spec.provenance:
        if origins is not None and name != "source":
            values = pa.array(
                [line if name == "line" else file for file, line, _ in came_back],
                provenance_type(name),
            )
        elif name == "line":
            assert result.places is not None
            values = pc.add(result.places["line"], segment.first_line - 1)
        else:
            text = source if name == "source" else segment.file.path
            values = pa.repeat(pa.scalar(printable(text)), table.num_rows)
        table = table.append_column(f"_{name}", values)
    return table


def no_rows(spec: TableSpec, *, with_records: bool = False) -> pa.Table:
    """A table like those of segments, without rows."""
    import pyarrow as pa

    fields = [(c.name, c.arrow_type) for c in spec.columns]
    fields += [(f"_{name}", provenance_type(name)) for name in spec.provenance]
    return pa.schema([*fields, (RECORD, pa.int64())] if with_records else fields).empty_table()
