"""The reader of CSV files: one segment in, a typed table, its rejects and its counts out."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stagepipe.builtin import checks
from stagepipe.builtin.csv import convert, values
from stagepipe.builtin.csv.explain import Layout, Record, explain, take_apart, unfit_records
from stagepipe.builtin.csv.lines import count_lines, first_lines
from stagepipe.builtin.csv.structure import Structure
from stagepipe.builtin.csv.values import Notation
from stagepipe.contracts import DeadSegment, SegmentResult, TableSpec
from stagepipe.model import Reject, Segment

PIECE_BYTES = (2**20, 2**16)
"""Taking records apart is some hundred times slower than parsing them: only the pieces in which
something is amiss are."""
DISAGREEMENT = (
    "stagepipe's two ways to read these bytes disagree, so neither is trusted; "
    "please report this file as a defect"
)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a source's files are written: their records, and the values in them."""

    structure: Structure
    notation: Notation

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Dialect:
        """The dialect that `[source.csv]` declares."""
        delimiter, quote = options["delimiter"], options["quote"]
        structure = Structure(delimiter.encode("ascii"), quote.encode("ascii"))
        return cls(structure, Notation.of(options))


class CsvReader:
    """Reads delimited text. See the package's docstring for what a record is."""

    def faults(self, spec: TableSpec) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Patterns that RE2 does not take, formats that no text can have, defaults that fail the
        checks of their own column, and expressions that are no checks."""
        for column in spec.columns:
            for key, fault in values.faults(column):
                yield ("columns", column.name, key), f"{key} of column {column.name!r} {fault}"
        for index, check in enumerate(spec.checks):
            if wrong := checks.check_fault(check, spec):
                place = ("checks", index, "expression")
                yield place, f"the expression of check {check.name!r}: {wrong}"

    def cuts(self, path: Path, size: int, chunk_size: int, options: Mapping[str, Any]) -> list[int]:
        """Record boundaries that cut the file into pieces of about `chunk_size` bytes."""
        return Dialect.of(options).structure.cuts(path, size, chunk_size)

    def boundary(self, data: bytes, options: Mapping[str, Any], *, is_first: bool) -> int:
        """The last record boundary after the beginning of the bytes; 0 when there is none."""
        return Dialect.of(options).structure.last_boundary(data, has_header=is_first)

    def read(
        self,
        data: bytes,
        head: bytes,
        segment: Segment,
        spec: TableSpec,
        options: Mapping[str, Any],
        *,
        with_places: bool = False,
    ) -> SegmentResult:
        """The segment's records as a table, and those that are bad as rejects."""
        dialect = Dialect.of(options)
        header, body_start = read_header(head, dialect.structure)
        layout = _layout([dialect.notation.trimmed(name) for name in header], spec, dialect)
        start = body_start if segment.start == 0 else 0
        return _read(data, start, layout, dialect, PIECE_BYTES, with_places)

    def first_lines(self, path: Path, cuts: Sequence[int]) -> list[int]:
        """The physical line (from 1) that begins at each of the cuts."""
        return first_lines(path, cuts)

    def count_lines(self, data: bytes) -> int:
        """How many physical lines end in the bytes."""
        return count_lines(data)

    def records_at(
        self, data: bytes, offsets: Sequence[int], options: Mapping[str, Any]
    ) -> list[tuple[int, bytes]]:
        """The lines on which the records at these offsets begin, and the records, as rejects have
        them."""
        structure = Dialect.of(options).structure
        found, line, before = {}, 1, 0
        for offset in sorted(set(offsets)):
            span = structure.record_at(data, offset)
            line += count_lines(data[before:offset])
            before = offset
            found[offset] = (line, data[span.start : span.end])
        return [found[offset] for offset in offsets]


def _read(
    data: bytes,
    start: int,
    layout: Layout,
    dialect: Dialect,
    piece_sizes: Sequence[int],
    with_places: bool,
) -> SegmentResult:
    """What the reader makes of the bytes from `start` on. When something is amiss in them, they
    are cut into pieces of the first of the sizes that is below their own."""
    structure = dialect.structure
    survey = structure.survey(data, start)
    lines = survey.lines + count_lines(data[:start])
    table = _parse(data, start, layout, dialect) if survey.is_even else None
    if table is not None and table.num_rows != survey.records:
        table = None
    failed = None if table is None else _failed_rows(table, layout.spec)
    if table is not None and failed is None:
        places = _places(data, start, structure, table.num_rows) if with_places else None
        return SegmentResult(table, survey.records, lines, (), places)
    smaller = [size for size in piece_sizes if size < len(data) - start]
    if not smaller:
        return _examined(data, start, lines, layout, dialect, table, failed, with_places)
    del table  # others are made in its stead
    results, rejects, places = [], [], []
    offset, line = start, count_lines(data[:start])
    for piece in structure.pieces(data, start, smaller[0]):
        result = _read(piece, 0, layout, dialect, smaller[1:], with_places)
        results.append(result)
        if with_places:
            places.append(_moved_places(result.places, offset, line))
        rejects += [_moved(reject, offset, line) for reject in result.rejects]
        offset += len(piece)
        line += result.lines
    table = pa.concat_tables([result.table for result in results])
    records = sum(result.records for result in results)
    return SegmentResult(
        table, records, line, rejects, pa.concat_tables(places) if with_places else None
    )


def _places(data: bytes, start: int, structure: Structure, rows: int) -> pa.Table:
    """Where the rows come from, when none of the records from `start` on was rejected."""
    places = structure.places(data, start, rows)
    if places is None:
        raise DeadSegment(DISAGREEMENT)
    return places


def _moved(reject: Reject, offset: int, line: int) -> Reject:
    """A piece's reject, counted from where that begins."""
    assert reject.line is not None
    assert reject.byte_offset is not None
    return reject._replace(line=reject.line + line, byte_offset=reject.byte_offset + offset)


def _moved_places(places: pa.Table, offset: int, line: int) -> pa.Table:
    """A piece's places, counted from where that begins."""
    moved = [pc.add(places["offset"], offset), pc.add(places["line"], line)]
    return pa.table(moved, schema=places.schema)


def _examined(
    data: bytes,
    start: int,
    lines: int,
    layout: Layout,
    dialect: Dialect,
    table: pa.Table | None,
    failed: pa.ChunkedArray | None,
    with_places: bool,
) -> SegmentResult:
    """The bytes taken apart record by record. `table` holds all of them where only checks failed;
    `failed` says in which rows."""
    taken = list(take_apart(data, start, dialect.structure, layout.width))
    bad: set[int] = set()
    if table is None:
        bad = unfit_records(taken, layout, dialect.notation)
        rest = _without(data, start, taken, bad)
        table = _parse(rest, 0, layout, dialect, is_examined=True)
        failed = None if table is None else _failed_rows(table, layout.spec)
    if table is None or table.num_rows != len(taken) - len(bad):
        raise DeadSegment(DISAGREEMENT)
    rejected = set(bad)
    if failed is not None:
        good = [row for row in range(len(taken)) if row not in bad]
        rejected.update(good[row] for row in pc.indices_nonzero(failed).to_pylist())
        table = table.filter(pc.invert(failed))
    records = [taken[row] for row in sorted(rejected)]
    rejects = explain(records, layout, dialect.notation, data)
    places = None
    if with_places:
        kept = (record.span.start for row, record in enumerate(taken) if row not in rejected)
        places = dialect.structure.places_at(data, start, kept)
    return SegmentResult(table, len(taken), lines, rejects, places)


def read_header(head: bytes, structure: Structure) -> tuple[list[str], int]:
    """The column names, and the offset after the header record."""
    if not head:
        raise DeadSegment("the file is empty: not even a header stands in it")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DeadSegment("the file is UTF-16, which is not available yet: convert it to UTF-8")
    header = structure.header(head)
    if header is None:
        raise DeadSegment("the file holds blank lines only: there is no header")
    span, end = header
    if not span.is_closed:
        raise DeadSegment("the header has a quote that nothing closes")
    try:
        text = head[span.start : span.end].decode("utf-8")
    except UnicodeDecodeError as error:
        raise DeadSegment(f"the header is not UTF-8 ({error.reason}): convert the file") from error
    return next(iter(structure.fields(iter([text])))), end


def _layout(header: Sequence[str], spec: TableSpec, dialect: Dialect) -> Layout:
    """Where the spec's columns stand in this file. Raises DeadSegment where they do not."""
    wanted = {column.header for column in spec.columns}
    extra = [name for name in header if name not in wanted]
    missing = [column.header for column in spec.columns if column.header not in header]
    twice = sorted({name for name in wanted if header.count(name) > 1})
    if twice:
        raise DeadSegment(f"the header names {_listed(twice)} more than once")
    refused = missing if spec.missing_columns == "refuse" else []
    if refused and len(header) == 1 and len(wanted) > 1:
        raise DeadSegment(
            f"the header {header[0]!r} has no delimiter {dialect.structure.delimiter.decode()!r}: "
            "set 'delimiter' in [source.csv]"
        )
    if refused:
        near = difflib.get_close_matches(refused[0], extra, 1)
        hint = f"; did the supplier rename it to {near[0]!r}?" if near else ""
        raise DeadSegment(f"the header lacks {_listed(refused)}{hint}")
    if extra and spec.extra_columns == "refuse":
        raise DeadSegment(
            f"the header has {_listed(extra)}, which [schema.columns] does not name: add it, "
            'or set extra_columns = "ignore"'
        )
    positions = tuple(
        header.index(column.header) if column.header in header else None for column in spec.columns
    )
    return Layout(spec, positions, len(header))


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:5])
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{'columns' if len(names) > 1 else 'column'} {shown}{more}"


def _parse(
    data: bytes, start: int, layout: Layout, dialect: Dialect, *, is_examined: bool = False
) -> pa.Table | None:
    """The bytes from `start` on as the spec's table, or None when some record of them may not be
    what it seems.

    `is_examined` says that every record was taken apart and found to fit.
    """
    structure, notation = dialect.structure, dialect.notation
    types: list[pa.DataType | None] = [None] * layout.width
    for column, position in zip(layout.spec.columns, layout.positions, strict=True):
        if position is not None:
            types[position] = notation.read_type(column)
    # The last field tells whether a quote swallowed the rest, so it is always looked at, and there
    # is a record end to be swallowed.
    is_quoted = bool(structure.quote) and data.find(structure.quote, start) >= 0
    if types[-1] is None and (is_quoted or all(kind is None for kind in types)):
        types[-1] = pa.binary()
    if is_quoted and not data.endswith((b"\n", b"\r")):
        data += b"\n"
    delimiter, quote = structure.delimiter.decode(), structure.quote.decode()
    words = notation.null_words
    try:
        table = convert.parse(
            data, types, delimiter=delimiter, quote=quote, null_values=words, start=start
        )
    except pa.ArrowInvalid:
        return None
    if not is_examined:
        if is_quoted and _may_be_open(table, words):
            return None
        if not convert.is_trustworthy(table, data, delimiter=delimiter, quote=quote, start=start):
            return None
    try:
        arrays = [
            values.filled(pa.nulls(table.num_rows, column.arrow_type), column)
            if position is None
            else notation.typed(table.column(str(position)), column, is_examined=is_examined)
            for column, position in zip(layout.spec.columns, layout.positions, strict=True)
        ]
    except pa.ArrowInvalid:
        return None
    return pa.table(dict(zip((c.name for c in layout.spec.columns), arrays, strict=True)))


def _may_be_open(table: pa.Table, null_values: Sequence[str]) -> bool:
    """Whether a quote that nothing closes may have swallowed the rest of the bytes: a parser gives
    all of it, the last record's end too, as the last field of the last row."""
    if not table.num_rows:
        return False
    last_column = table.column(table.num_columns - 1)
    kind, value = last_column.type, last_column[-1]
    if not value.is_valid:
        texts = [word.encode() for word in null_values]
    elif pa.types.is_string(kind) or pa.types.is_binary(kind):
        texts = [value.as_buffer().to_pybytes()]
    else:
        return False  # no converter takes a record end for a part of a number
    return any(text.endswith((b"\n", b"\r")) for text in texts)


def _without(data: bytes, start: int, records: Sequence[Record], bad: set[int]) -> bytes:
    """The bytes of the records that are not bad, in order."""
    if not bad:
        return data[start:]
    spans = [records[row].span for row in sorted(bad)]
    kept = [data[start : spans[0].start]]
    kept += [data[before.end : after.start] for before, after in pairwise(spans)]
    kept.append(data[spans[-1].end :])
    return b"".join(kept)


def _failed_rows(table: pa.Table, spec: TableSpec) -> pa.ChunkedArray | None:
    """A mask of the rows that fail some check, or None when all pass."""
    failed = None
    for _, _, mask in checks.failures(table, spec):
        failed = mask if failed is None else pc.or_(failed, mask)
    for _, mask in checks.check_failures(table, spec):
        failed = mask if failed is None else pc.or_(failed, mask)
    return failed
