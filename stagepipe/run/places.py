"""Where rows and rejects are from: of a segment for its reader, of a file for all others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stagepipe.contracts import SegmentResult, TableSpec
from stagepipe.model import RECORD, Reject, Segment, printable
from stagepipe.plan.work import provenance_type
from stagepipe.record.mended import Origins

if TYPE_CHECKING:
    import pyarrow as pa

OFFSET_BITS = 44
"""A file has less than 16 TiB, so that its number in the chunk fits beside a byte offset in it."""


def in_its_file(reject: Reject, source: str, file: str, offset: int, lines: int) -> Reject:
    """A portion's reject with its source and file, its offset in that, and its line counted from
    the segment's beginning."""
    assert reject.line is not None
    assert reject.byte_offset is not None
    return Reject(source, file, reject.line + lines, reject.byte_offset + offset, *reject[4:])


def at_origin(reject: Reject, origins: Origins) -> Reject:
    """A reject of a mended file, with the place of the record that was mended."""
    assert reject.byte_offset is not None
    file, line, byte_offset = origins.at(reject.byte_offset)
    return reject._replace(file=file, line=line, byte_offset=byte_offset)


def needs_places(spec: TableSpec, origins: Origins | None = None) -> bool:
    """Whether it has to be known of each row where its record stands."""
    return "line" in spec.provenance or (origins is not None and "file" in spec.provenance)


def record_numbers(result: SegmentResult, number: int, inside: Segment) -> pa.ChunkedArray:
    """The column `_record`: of each row, in which of the chunk's files it stands, and where."""
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
