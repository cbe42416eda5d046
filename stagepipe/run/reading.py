"""What a task of the first stage reads: segments of its source's files."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from stagepipe.contracts import DeadSegment, Reader, SegmentBytes, SegmentResult
from stagepipe.model import RECORD, Cause, Chunk, Reject, Segment, SegmentCount, printable
from stagepipe.packing import is_packed
from stagepipe.plan.work import Work
from stagepipe.plugins import Plugins
from stagepipe.record.mended import Origins, origins_of
from stagepipe.run.causes import cause_of, may_pass
from stagepipe.run.places import (
    at_origin,
    in_its_file,
    needs_places,
    no_rows,
    record_numbers,
    with_provenance,
)
from stagepipe.run.portions import Portion, is_streamed, portions, streamed_sha256
from stagepipe.stopwatch import Stopwatch

if TYPE_CHECKING:
    import pyarrow as pa

CRUMBS_BELOW = 4096
"""So few rows to a piece, and putting pieces together is less work than encoding each by itself."""

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
        for several in self._at_once():
            rows = self._rows_of(*several[0]) if len(several) == 1 else self._rows_of_all(several)
            for table in rows:
                yield table
                is_first = False
        if self._held or is_first:
            yield self._taken()

    def _at_once(self) -> Iterator[list[tuple[int, Segment]]]:
        """The chunk's segments, in their order and with their numbers, as they are to be read:
        together, where the reader can do that and no more than `piece_bytes` are held."""
        several: list[tuple[int, Segment]] = []
        size = 0
        for number, segment in enumerate(self._chunk.segments):
            is_alone = (
                not hasattr(self._reader, "read_all")
                or number in self._dead
                or segment.file.is_mended
                or is_streamed(segment, self._work.chunk_size)
            )
            if several and (is_alone or size + segment.size > self._piece_bytes):
                yield several
                several, size = [], 0
            if is_alone:
                yield [(number, segment)]
                continue
            several.append((number, segment))
            size += segment.size
        if several:
            yield several

    def _rows_of_all(self, several: Sequence[tuple[int, Segment]]) -> Iterator[pa.Table]:
        """Read some segments together, as `_rows_of` reads each."""
        given: dict[int, SegmentBytes] = {}
        found: dict[int, SegmentCount] = {}
        for number, segment in several:
            count = SegmentCount(segment.file, segment.start, segment.end)
            try:
                given[number] = self._bytes_of(segment)
            except (DeadSegment, OSError) as error:
                found[number] = replace(count, dead=self._why_dead(error))
                continue
            found[number] = replace(count, sha256=self._sha256(given[number].data))
        size = sum(each.segment.size for each in given.values())
        if self._held and self._size + size > self._piece_bytes:
            yield self._taken()
        with self._clock.time("parse"):
            results = self._reader.read_all(
                list(given.values()), self._work.table, with_places=self._needs_places(None)
            )
        for (number, each), result in zip(given.items(), results, strict=True):
            if isinstance(result, DeadSegment):
                count = SegmentCount(each.segment.file, each.segment.start, each.segment.end)
                found[number] = replace(count, dead=str(result))
            else:
                found[number] = self._keep(number, each.segment, result, found[number], None)
        self.counts += found.values()

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
                count = self._read(number, segment, portion, count)
                is_begun = True
            if is_streamed(segment, self._work.chunk_size):
                with self._clock.time("hash"):
                    sha256 = streamed_sha256(Path(self._work.folder), segment)
                count = replace(count, sha256=sha256)
        except (DeadSegment, OSError) as error:
            why = self._why_dead(error)
            if is_given:
                raise LateDeath(number, why) from error
            del self._held[before:], self.rejects[rejects_before:]
            self._size = size_before
            count = SegmentCount(segment.file, segment.start, segment.end, dead=why)
        self.counts.append(count)

    def _portions(self, segment: Segment) -> Iterator[Portion]:
        folder, size = Path(self._work.folder), self._work.chunk_size
        found = portions(folder, segment, self._reader, self._how, size, self._work.table)
        kind = "unpack" if is_packed(segment.file) else "read"
        while True:
            with self._clock.time(kind):
                portion = next(found, None)
            if portion is None:
                return
            yield portion

    def _why_dead(self, error: DeadSegment | OSError) -> str:
        """Why a segment cannot be read. Raises the error where another attempt may read it."""
        is_ours = cause_of(error) in (Cause.DISK_FULL, Cause.HANDLES)
        if is_ours or (may_pass(error) and not self._is_last):
            raise error
        return f"cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)

    def _bytes_of(self, segment: Segment) -> SegmentBytes:
        """A segment that is one portion. Raises DeadSegment and OSError."""
        (portion,) = self._portions(segment)
        inside = portion.within(segment.file, segment.first_line)
        return SegmentBytes(portion.data, portion.head, inside, portion.options, portion.is_last)

    def _sha256(self, data: bytes) -> str:
        with self._clock.time("hash"):
            return hashlib.sha256(data).hexdigest()

    def _needs_places(self, origins: Origins | None) -> bool:
        return self._with_records or needs_places(self._work.table, origins)

    def _read(
        self, number: int, segment: Segment, portion: Portion, count: SegmentCount
    ) -> SegmentCount:
        """Read one portion, and add it to what the segment has come to."""
        origins = None
        if segment.file.is_mended:
            origins = origins_of(Path(self._work.folder) / segment.file.path)
        if not portion.is_streamed:
            count = replace(count, sha256=self._sha256(portion.data))
        inside = portion.within(segment.file, segment.first_line + count.lines)
        with self._clock.time("parse"):
            result = self._reader.read(
                portion.data,
                portion.head,
                inside,
                self._work.table,
                portion.options,
                with_places=self._needs_places(origins),
                is_last=portion.is_last,
            )
        return self._keep(number, inside, result, count, origins)

    def _keep(
        self,
        number: int,
        inside: Segment,
        result: SegmentResult,
        count: SegmentCount,
        origins: Origins | None,
    ) -> SegmentCount:
        """Hold what was read, and add it to what the segment has come to."""
        spec = self._work.table
        table = with_provenance(result, self._chunk.source, inside, spec, origins)
        if self._with_records:
            table = table.append_column(RECORD, record_numbers(result, number, inside))
        self._held.append(table)
        self._size += inside.size
        source, file = printable(self._chunk.source), printable(inside.file.path)
        for reject in result.rejects:
            found = in_its_file(reject, source, file, inside.start, count.lines)
            self.rejects.append((number, found if origins is None else at_origin(found, origins)))
        return replace(
            count,
            records=count.records + result.records,
            rows=count.rows + result.table.num_rows,
            rejected=count.rejected + len(result.rejects),
            lines=count.lines + result.lines,
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
            table = pa.concat_tables(held)
            is_in_crumbs = table.num_rows < CRUMBS_BELOW * len(held)
            return table.combine_chunks() if is_in_crumbs else table
        return no_rows(self._work.table, with_records=self._with_records)


def _added(before: Sequence[int], now: Sequence[int]) -> tuple[int, ...]:
    return tuple(map(sum, zip(before, now, strict=True))) if before else tuple(now)


def _unfit(before: Mapping[str, int], rejects: Sequence[Reject]) -> Mapping[str, int]:
    """How many rejects each column has whose value was none of its type, with those before."""
    if not rejects:
        return before
    found = Counter(before)
    found.update(r.column for r in rejects if r.reason in UNFIT and r.column is not None)
    for also in (reject.also for reject in rejects if reject.also is not None):
        for word in also.split(", "):
            column, _, reason = word.rpartition(":")
            if column and reason in UNFIT:
                found[column] += 1
    return dict(found)
