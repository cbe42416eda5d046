"""What a reader is: from the bytes of a file to rows, rejects and counts, and the way back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from stagepipe.contracts.tables import TableSpec
from stagepipe.model import Reject, Segment

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class SegmentResult:
    """What a reader makes of one segment.

    `table` has the columns of the TableSpec. `records` is counted from the bytes, apart from the
    parse. `rejects` have lines that count from the segment's first line (1); their `file` and
    `source` are filled in by the caller. `lines` is how many physical lines the segment holds.
    `places`, where it was asked for, says of each row of the table, in its order, where its record
    begins: `offset` (int64), in bytes from the segment's beginning, and `line` (int64), the
    physical line, from 1 at the segment's first. `header` has the names of the file's columns,
    where these have any, so that a run can say what is new. `other_tables` says how many of the
    rejects stand for a whole table that is not wanted, with the reason ANOTHER_TABLE: no budget
    counts these, and they do not come back.
    """

    table: pa.Table
    records: int
    lines: int
    rejects: Sequence[Reject]
    places: pa.Table | None = None
    header: tuple[str, ...] | None = None
    other_tables: int = 0


@dataclass(frozen=True, slots=True)
class SegmentBytes:
    """A segment with what `Reader.read` is given of it."""

    data: bytes
    head: bytes
    segment: Segment
    options: Mapping[str, Any]
    is_last: bool = True


class DeadSegment(Exception):  # noqa: N818 - the word of the field and of our users
    """A reader cannot make anything of a file: the message says why, and what to do."""


class Reader(Protocol):
    """Reads one kind of file. `options` are the source's, already checked; of a reader that has
    `detect` they are, but for that one, what it made of them for the file in question."""

    def faults(self, spec: TableSpec) -> Iterable[tuple[tuple[str | int, ...], str]]:
        """What of the table's declaration this reader cannot do: where it stands in `[schema]`, as
        in `("columns", "id", "pattern")`, and why. Called at `check`, in the parent."""
        ...

    def extra_columns(
        self, head: bytes, spec: TableSpec, options: Mapping[str, Any], *, is_whole: bool
    ) -> Sequence[str] | None:
        """The names of a file's columns that the spec does not name, in the file's order, from the
        bytes that it begins with; `is_whole` says that it has no others. None where these are too
        few to tell. Called while planning, in the parent, for each file of a table that keeps such
        columns. Raises DeadSegment where `read` would, for the header's sake."""
        ...

    def detect(self, head: bytes, spec: TableSpec, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """The options for one file: those that were left out (None) replaced by what the file's
        beginning tells, where that is not the usual. A reader may lack this method: then every
        file has the source's options. `head` is at least the first MiB of the file, unpacked, or
        all of it; what comes after the first MiB must change nothing, nor may anything else that
        is not among the arguments, since parts are kept by them. Called in a worker, for each
        segment, and in the parent while planning."""
        ...

    def cuts(self, path: Path, size: int, chunk_size: int, options: Mapping[str, Any]) -> list[int]:
        """Offsets at which a file larger than `chunk_size` may be cut. Called while planning, in
        the parent. Each is a record boundary, ascending, without 0 and `size`."""
        ...

    def boundary(
        self,
        data: bytes,
        head: bytes,
        options: Mapping[str, Any],
        *,
        is_first: bool,
        is_long: bool = False,
    ) -> int:
        """The last record boundary in some bytes of a file that cannot be cut while planning, after
        their beginning, which is one; 0 when there is none. Where `is_first`, they are the file's
        first, and its header stays with the first record. What may turn out to be the file's footer
        stays behind the boundary. `head` is the file's beginning, as in `read`. `is_long` says that
        no record is as long as the bytes: one that seems to be so has to end somewhere, or the file
        is dead. Called in a worker. Raises DeadSegment."""
        ...

    def read(
        self,
        data: bytes,
        head: bytes,
        segment: Segment,
        spec: TableSpec,
        options: Mapping[str, Any],
        *,
        with_places: bool = False,
        is_last: bool = True,
    ) -> SegmentResult:
        """The table in a segment's bytes. `head` is the beginning of the file, a MiB of it or the
        whole segment where that starts the file; `with_places` asks for the result's `places`,
        `is_last` says that the file ends with these bytes. Called in a worker. Raises
        DeadSegment."""
        ...

    def read_all(
        self, given: Sequence[SegmentBytes], spec: TableSpec, *, with_places: bool = False
    ) -> Sequence[SegmentResult | DeadSegment]:
        """What `read` makes of each of some segments of one source, or why that is dead; it must
        not depend on the others. A reader may lack this method: it is for those that read many
        small files faster than each by itself. Called in a worker."""
        ...

    def first_lines(self, path: Path, cuts: Sequence[int]) -> list[int]:
        """For each of a file's cuts, ascending, the physical line (from 1) that begins there.
        Reads the file once, in blocks."""
        ...

    def count_lines(self, data: bytes, head: bytes, options: Mapping[str, Any]) -> int:
        """How many physical lines end in a segment's bytes; `head` is as in `read`."""
        ...

    def records_at(
        self, data: bytes, head: bytes, offsets: Sequence[int], options: Mapping[str, Any]
    ) -> Sequence[tuple[int, bytes]]:
        """The records that begin at these offsets in a segment's bytes, in any order; `head` is as
        in `read`. The line of each, from 1 at the segment's first, and its raw bytes without its
        end. One with an unclosed quote goes on to the end of the data. Raises ValueError where no
        record can begin."""
        ...

    def texts(
        self, records: Sequence[bytes], head: bytes, spec: TableSpec, options: Mapping[str, Any]
    ) -> Sequence[Sequence[str | None]]:
        """For each of these records, as `records_at` gives them, what stands in it for each of the
        spec's columns, as a reject's `value` has it; None where the file lacks the column. `head`
        is as in `read`."""
        ...

    def records_in(
        self, data: bytes, head: bytes, options: Mapping[str, Any]
    ) -> Sequence[tuple[bytes, bool]]:
        """The records in some bytes that stand where a record of the file could, each without its
        end, and whether each of its quotes is closed; `head` is as in `read`. Raises DeadSegment
        where that cannot be told."""
        ...

    def copy_with(
        self, head: bytes, records: Sequence[bytes], options: Mapping[str, Any]
    ) -> tuple[bytes, Sequence[int]]:
        """A file that begins as `head` does, which is the beginning of another, and has these
        records after that, and where in it each of them begins. It goes on behind the last one,
        so that no segment of it up to there ends the file. Raises DeadSegment."""
        ...
