"""The reader of CSV files: one segment in, a typed table, its rejects and its counts out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from stagepipe.builtin import checks
from stagepipe.builtin.csv import values
from stagepipe.builtin.csv.cutting import cuts, last_cut, pieces
from stagepipe.builtin.csv.detecting import detect
from stagepipe.builtin.csv.dialect import Dialect
from stagepipe.builtin.csv.encoding import Transcoded, codec_of, transcoded, whole_units
from stagepipe.builtin.csv.explain import (
    Layout,
    Record,
    faults_of,
    lines_of,
    rejects_of,
    take_apart,
    unfit_records,
)
from stagepipe.builtin.csv.layout import extra_columns, layout_of
from stagepipe.builtin.csv.lines import count_lines, first_lines
from stagepipe.builtin.csv.margins import footer_start, top
from stagepipe.builtin.csv.mending import copy_with, records_in
from stagepipe.builtin.csv.parsing import failed_rows, typed_table
from stagepipe.builtin.csv.plain import plain_copy
from stagepipe.builtin.csv.returning import DISAGREEMENT, from_copy, in_file, records_at, texts
from stagepipe.builtin.csv.sifting import NoSieve, is_known_to_be_bad, sift
from stagepipe.builtin.csv.structure import Structure
from stagepipe.builtin.csv.tables import check_beginning, other_tables, table_end
from stagepipe.contracts import DeadSegment, SegmentResult, TableSpec
from stagepipe.kinds import other_kind
from stagepipe.model import Reject, Segment

PIECE_BYTES = (2**20, 2**16)
"""Taking records apart is some hundred times slower than parsing them: only the pieces in which
something is amiss are."""


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

    def extra_columns(
        self, head: bytes, spec: TableSpec, options: Mapping[str, Any], *, is_whole: bool
    ) -> list[str] | None:
        """The columns in the header that the spec does not name; None where the header goes on
        behind these bytes."""
        dialect = Dialect.of(options)
        text = transcoded(head, codec_of(head, dialect.codec)).text
        return extra_columns(text, spec, dialect, is_whole=is_whole)

    def detect(self, head: bytes, spec: TableSpec, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """The options with what the file tells of those that were left out."""
        return detect(head, spec, options)

    def cuts(self, path: Path, size: int, chunk_size: int, options: Mapping[str, Any]) -> list[int]:
        """Record boundaries that cut the file into pieces of about `chunk_size` bytes; none in an
        encoding in which other characters may have the bytes of a line end or a quote."""
        dialect = Dialect.of(options)
        structure = dialect.structure_in_file
        return [] if structure is None else cuts(path, size, chunk_size, structure, dialect.margins)

    def boundary(
        self,
        data: bytes,
        head: bytes,
        options: Mapping[str, Any],
        *,
        is_first: bool,
        is_long: bool = False,
    ) -> int:
        """The last record boundary after the beginning of the bytes; 0 when there is none."""
        dialect = Dialect.of(options)
        structure, margins = dialect.structure_in_file, dialect.margins
        if structure is not None:
            return last_cut(data, head, structure, margins, is_first=is_first, is_long=is_long)
        codec = codec_of(head, dialect.codec)
        of_file = transcoded(whole_units(data, codec), codec, is_start=is_first)
        head = transcoded(head, codec).text
        cut = last_cut(
            of_file.text, head, dialect.structure, margins, is_first=is_first, is_long=is_long
        )
        return of_file.cut_in_file(cut) if cut else 0

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
        """The segment's records as a table, and those that are bad as rejects."""
        dialect = Dialect.of(options)
        is_start = segment.start == 0
        raw_head = data if is_start else head
        codec = codec_of(raw_head, dialect.codec)
        of_file = transcoded(data, codec, is_start=is_start)
        text = of_file.text
        head = text if is_start else transcoded(head, codec).text
        try:
            beginning = top(head, dialect.structure, dialect.margins)
            layout = layout_of(head, beginning, spec, dialect)
        except DeadSegment as error:
            if (kind := other_kind(raw_head)) is None:
                raise
            raise DeadSegment(f"it is no CSV file: it begins as {kind}") from error
        start = beginning.start if is_start else 0
        end = len(text)
        if dialect.margins.skip_footer and is_last:
            end = footer_start(text, start, dialect.margins.skip_footer)
        stop = None
        if dialect.margins.has_others and not segment.file.is_mended:
            it, width = dialect.structure, layout.usual
            if is_start and dialect.margins.header_records:
                check_beginning(text[:end], start, it)
            stop = table_end(text[:end], start, it, width, is_begun=not is_start)
        body_end = end if stop is None else stop
        body = text if body_end == len(text) else text[:body_end]
        result = _read_any(body, start, layout, dialect, with_places)
        if stop is not None:
            result = _with_others(result, list(other_tables(text[:end], stop, dialect.structure)))
        if body_end < len(text):
            result = replace(result, lines=count_lines(text))
        return in_file(replace(result, header=layout.header), of_file)

    def first_lines(self, path: Path, cuts: Sequence[int]) -> list[int]:
        """The physical line (from 1) that begins at each of the cuts."""
        return first_lines(path, cuts)

    def count_lines(self, data: bytes, head: bytes, options: Mapping[str, Any]) -> int:
        """How many physical lines end in the bytes."""
        return count_lines(_text(data, head, Dialect.of(options)).text)

    def records_at(
        self, data: bytes, head: bytes, offsets: Sequence[int], options: Mapping[str, Any]
    ) -> list[tuple[int, bytes]]:
        """The lines on which the records at these offsets begin, and the records, as rejects have
        them."""
        dialect = Dialect.of(options)
        return records_at(_text(data, head, dialect), offsets, dialect.structure)

    def texts(
        self, records: Sequence[bytes], head: bytes, spec: TableSpec, options: Mapping[str, Any]
    ) -> list[list[str | None]]:
        """What stands in the records for each of the spec's columns, as rejects have it."""
        return texts(records, head, spec, Dialect.of(options))

    def records_in(
        self, data: bytes, head: bytes, options: Mapping[str, Any]
    ) -> list[tuple[bytes, bool]]:
        """The records in the bytes, each without its end, and whether its quotes are closed."""
        dialect = Dialect.of(options)
        beginning = transcoded(head, codec_of(head, dialect.codec)).text
        return records_in(_text(data, head, dialect), beginning, dialect)

    def copy_with(
        self, head: bytes, records: Sequence[bytes], options: Mapping[str, Any]
    ) -> tuple[bytes, list[int]]:
        """A file with the beginning of another and these records, and where each begins."""
        return copy_with(head, records, Dialect.of(options))


def _text(data: bytes, head: bytes, dialect: Dialect) -> Transcoded:
    """Some bytes of a file as UTF-8; a byte order mark among them is a character."""
    return transcoded(data, codec_of(head, dialect.codec), is_start=False)


def _with_others(result: SegmentResult, others: Sequence[Reject]) -> SegmentResult:
    """The result with a reject for each of the tables that follow."""
    return replace(
        result,
        records=result.records + len(others),
        rejects=[*result.rejects, *others],
        other_tables=len(others),
    )


def _read_any(
    text: bytes, start: int, layout: Layout, dialect: Dialect, with_places: bool
) -> SegmentResult:
    """What the reader makes of the text from `start` on, by way of a plain copy where need be."""
    copy = plain_copy(text, start, dialect.structure, layout.usual)
    if copy is None:
        return _read(text, start, layout, dialect, PIECE_BYTES, with_places)
    plainly = replace(dialect, structure=copy.structure)
    result = _read(copy.data, 0, layout, plainly, PIECE_BYTES, with_places)
    return from_copy(result, copy, text, start, dialect.structure)


def _read(
    data: bytes,
    start: int,
    layout: Layout,
    dialect: Dialect,
    piece_sizes: Sequence[int],
    with_places: bool,
) -> SegmentResult:
    """What the reader makes of the bytes from `start` on. When something is amiss in them that no
    sieve finds, they are cut into pieces of the first of the sizes that is below their own."""
    structure = dialect.structure
    survey = structure.survey(data, start)
    before = count_lines(data[:start])
    lines = survey.lines + before
    is_promising = survey.is_even and not is_known_to_be_bad(layout, dialect)
    if is_promising and survey.has_inner_ends:
        is_promising = not structure.has_torn(data, start)
    table = typed_table(data, start, layout, dialect) if is_promising else None
    if table is not None and table.num_rows != survey.records:
        table = None
    if table is not None and failed_rows(table, layout.spec) is None:
        places = _places(data, start, structure, table.num_rows) if with_places else None
        return SegmentResult(table, survey.records, lines, (), places)
    del table  # others are made in its stead
    with suppress(NoSieve):
        result = sift(data, start, survey, layout, dialect, with_places=with_places)
        return replace(result, lines=lines)
    smaller = [size for size in piece_sizes if size < len(data) - start]
    if not smaller:
        return _examined(data, start, lines, layout, dialect, with_places)
    results, rejects, places = [], [], []
    offset, line = start, before
    for piece in pieces(data, start, smaller[0], structure, layout.usual):
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
    with_places: bool,
) -> SegmentResult:
    """The bytes taken apart record by record."""
    taken = list(take_apart(data, start, dialect.structure, layout, dialect.text_errors))
    bad = unfit_records(taken, layout, dialect.notation)
    rest = _without(data, start, taken, bad)
    table = typed_table(rest, 0, layout, dialect, is_examined=True)
    failed = None if table is None else failed_rows(table, layout.spec)
    if table is None or table.num_rows != len(taken) - len(bad):
        raise DeadSegment(DISAGREEMENT)
    rejected = set(bad)
    if failed is not None:
        good = [row for row in range(len(taken)) if row not in bad]
        rejected.update(good[row] for row in pc.indices_nonzero(failed).to_pylist())
        table = table.filter(pc.invert(failed))
    records = [taken[row] for row in sorted(rejected)]
    faults = faults_of(records, layout, dialect.notation)
    rejects = list(rejects_of(zip(records, faults, strict=True), lines_of(records, data), data))
    places = None
    if with_places:
        kept = (record.span.start for row, record in enumerate(taken) if row not in rejected)
        places = dialect.structure.places_at(data, start, kept)
    return SegmentResult(table, len(taken), lines, rejects, places)


def _without(data: bytes, start: int, records: Sequence[Record], bad: set[int]) -> bytes:
    """The bytes of the records that are not bad, in order."""
    if not bad:
        return data[start:]
    spans = [records[row].span for row in sorted(bad)]
    kept = [data[start : spans[0].start]]
    kept += [data[before.end : after.start] for before, after in pairwise(spans)]
    kept.append(data[spans[-1].end :])
    return b"".join(kept)
