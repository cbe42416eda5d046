"""The reader of CSV files: one segment in, a typed table, its rejects and its counts out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stagepipe.builtin import checks
from stagepipe.builtin.csv import values
from stagepipe.builtin.csv.cutting import cuts, last_cut
from stagepipe.builtin.csv.detecting import detect
from stagepipe.builtin.csv.dialect import Dialect
from stagepipe.builtin.csv.encoding import Transcoded, codec_of, transcoded, whole_units
from stagepipe.builtin.csv.layout import extra_columns
from stagepipe.builtin.csv.lines import count_lines, first_lines
from stagepipe.builtin.csv.mending import copy_with, records_in
from stagepipe.builtin.csv.opening import opened, read_opened
from stagepipe.builtin.csv.returning import records_at, texts
from stagepipe.builtin.csv.together import read_together
from stagepipe.contracts import DeadSegment, SegmentBytes, SegmentResult, TableSpec
from stagepipe.model import Segment


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
        given = SegmentBytes(data, head, segment, options, is_last)
        return read_opened(opened(given, spec), with_places=with_places)

    def read_all(
        self, given: Sequence[SegmentBytes], spec: TableSpec, *, with_places: bool = False
    ) -> list[SegmentResult | DeadSegment]:
        """The same for several segments. Files that are alike are read as one."""
        return read_together(given, spec, with_places=with_places)

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
