"""The way between fast and slow: bytes of which a few records are bad.

Taking records apart in Python is some hundred times slower than parsing them. So the bad ones are
sifted out by whole columns: records of another number of fields, by the parser; values that may not
fit, by casts; lines with quotes where none should be, by counting quotes. Only what stays in the
sieve is taken apart, and judged by the very rules of the slow path; what turns out to be good goes
back to its place. What falls through has passed all guards of the fast path.

Where the sieve cannot tell, all is left to the slow path.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import pyarrow as pa

from stagepipe.builtin.csv import convert, values
from stagepipe.builtin.csv.dialect import Dialect
from stagepipe.builtin.csv.explain import (
    Known,
    Layout,
    Record,
    faults_of,
    records_of,
    rejects_of,
)
from stagepipe.builtin.csv.parsing import (
    failed_rows,
    may_be_open,
    pieces,
    read_types,
    typed_table,
)
from stagepipe.builtin.csv.structure import Span, Structure, Survey, length_of_last_end
from stagepipe.contracts import SegmentResult
from stagepipe.stopwatch import timed

if TYPE_CHECKING:
    import polars as pl

    from stagepipe.builtin.csv.records import Records

MOST_DOUBTFUL = 0.2
"""A larger share of the records is not worth the sieve."""
_HABITS: defaultdict[tuple[Layout, Dialect], set[int]] = defaultdict(set)
"""Which fields of such files had texts that are none of their type: the next will have some, too,
and each that is not known costs an attempt. What is read does not depend on it."""
_COLUMN_OF_ERROR = re.compile(r"In CSV column #([0-9]+)")


class NoSieve(Exception):  # noqa: N818 - it is no error
    """The sieve does not work for these bytes."""


def is_known_to_be_bad(layout: Layout, dialect: Dialect) -> bool:
    """Whether such a file had bad values last time, so that this one may be sifted at once."""
    return bool(_HABITS.get((layout, dialect)))


@dataclass(frozen=True, slots=True)
class Parsed:
    """What the parser makes of some bytes: `fields` are typed or, where a column has texts that are
    none of its type, text or bytes; `odd_rows` are the records, by position, that it left out, as
    they have another number of fields."""

    fields: pa.Table
    odd_rows: list[int]

    @property
    def records(self) -> int:
        """How many records it found."""
        return int(self.fields.num_rows) + len(self.odd_rows)


def sift(
    data: bytes,
    start: int,
    survey: Survey,
    layout: Layout,
    dialect: Dialect,
    *,
    with_places: bool,
    by_count: bool = False,
) -> SegmentResult:
    """What the reader makes of the bytes from `start` on, of which the survey is. The lines in them
    are the result's. With `by_count` only where counting quotes tells all records apart. Raises
    NoSieve."""
    structure = dialect.structure
    if layout.void is not None or not structure.is_plain or start == len(data):
        raise NoSieve
    from stagepipe.builtin.csv.records import is_text, records_by_count, records_by_line

    records = None
    if survey.is_even and is_text(data, start, len(data)):
        with suppress(NoSieve):
            is_by_line = not survey.has_inner_ends
            parsed = _parsed(data, start, layout, dialect, is_by_line=is_by_line)
            if parsed.records == survey.records:
                records = records_by_count(data, start, structure, survey)
    if records is None:
        if by_count:
            raise NoSieve
        records = records_by_line(data, start, structure, layout.usual)
        _check_share(len(records.odd), records)
        rest, begin = records.without_odd()
        counted = structure.survey(rest, begin)
        is_by_line = not counted.has_inner_ends
        parsed = _parsed(rest, begin, layout, dialect, is_by_line=is_by_line)
        plain = records.count - len(records.odd)
        if not counted.is_even or not counted.records == parsed.records == plain:
            raise NoSieve
    return _judged(records, parsed, data, survey.lines, layout, dialect, with_places)


def _parsed(
    data: bytes, start: int, layout: Layout, dialect: Dialect, *, is_by_line: bool
) -> Parsed:
    """The fields of the records from `start` on, piece by piece where no record should go on behind
    a line end. Raises NoSieve."""
    habits, types = _HABITS[layout, dialect], read_types(layout, dialect)
    as_text = pa.string() if data.isascii() else pa.binary()
    for position in habits:
        types[position] = as_text
    # As in `typed_table`: the last field tells of a quote that nothing closes.
    types[-1] = types[-1] or pa.binary()
    if not data.endswith((b"\n", b"\r")):
        data += b"\n"
    while True:
        several = pieces(data, start) if is_by_line else [(data, start)]
        try:
            return _as_one([_piece(piece, begin, types, dialect) for piece, begin in several])
        except pa.ArrowInvalid as error:
            named = _COLUMN_OF_ERROR.match(str(error))
            if named is None or types[int(named[1])] in (None, as_text):
                raise NoSieve from error
            habits.add(int(named[1]))
            types[int(named[1])] = as_text


def _piece(
    data: bytes, start: int, types: Sequence[pa.DataType | None], dialect: Dialect
) -> Parsed:
    """The same of one piece. Raises `pyarrow.ArrowInvalid` where a text is none of its type."""
    structure, words = dialect.structure, dialect.notation.null_words
    marks = {"delimiter": structure.delimiter.decode(), "quote": structure.quote.decode()}
    odd_rows: dict[int, str] = {}
    with timed("parse"):
        fields = convert.parse(
            data, types, **marks, null_values=words, start=start, odd_rows=odd_rows
        )
    found = Parsed(fields, list(odd_rows))
    is_long = any("\n" in text or "\r" in text for text in odd_rows.values())
    if is_long or may_be_open(fields, words):
        raise NoSieve
    if found.records - 1 in odd_rows and not _ends_closed(data, structure):
        raise NoSieve
    if not convert.is_trustworthy(fields, data, **marks, start=start):
        raise NoSieve
    return found


def _ends_closed(data: bytes, structure: Structure) -> bool:
    """Whether the last line has quotes around whole fields only, so that none may be open at the
    end. A parser does not show that of a record that it left out."""
    stop = len(data) - length_of_last_end(data, len(data))
    begin = max(data.rfind(b"\n", 0, stop), data.rfind(b"\r", 0, stop)) + 1
    return structure.is_strict(data, Span(begin, stop, True))


def _as_one(found: Sequence[Parsed]) -> Parsed:
    """What is made of pieces that follow each other."""
    before = accumulate((each.records for each in found), initial=0)
    odd_rows = [row + at for each, at in zip(found, before, strict=False) for row in each.odd_rows]
    return Parsed(pa.concat_tables([each.fields for each in found]), odd_rows)


def _judged(
    found: Records,
    parsed: Parsed,
    data: bytes,
    lines: int,
    layout: Layout,
    dialect: Dialect,
    with_places: bool,
) -> SegmentResult:
    """The good rows, and the rejects among what stayed in the sieve. Raises NoSieve."""
    import polars as pl

    from stagepipe.builtin.csv.records import without

    misfits = sorted({*found.odd, *_numbers(parsed.odd_rows, sorted(found.odd))})
    table, masks = _typed(parsed.fields, layout, dialect)
    doubtful = _any(masks.values(), table.num_rows)
    if (failed := failed_rows(table, layout.spec)) is not None:
        doubtful |= pl.Series(pl.from_arrow(failed))
    rows = doubtful.arg_true()
    doubted = _numbers(rows.to_list(), misfits)
    _check_share(len(misfits) + len(doubted), found)
    # Column by column, which is faster than the table's own way.
    held, kept = doubtful.to_arrow(), (~doubtful).to_arrow()
    known = {
        name: Known(column.filter(held), _true(masks[name].gather(rows)) if name in masks else ())
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    table = pa.Table.from_arrays([c.filter(kept) for c in table.columns], table.column_names)

    ordered = sorted([*misfits, *doubted])
    offsets, begun = found.at(ordered)
    begins = dict(zip(ordered, offsets, strict=True))
    records = _taken_apart(misfits, begins, found, data, layout, dialect)
    faults = faults_of(records, layout, dialect.notation)
    judged = dict(zip(misfits, zip(records, faults, strict=True), strict=True))
    records = _taken_apart(doubted, begins, found, data, layout, dialect)
    if any(record.fields is None for record in records):
        raise NoSieve
    faults = faults_of(records, layout, dialect.notation, known)
    judged.update(zip(doubted, zip(records, faults, strict=True), strict=True))

    rejects = list(rejects_of((judged[number] for number in ordered), begun, data))
    if not rejects:
        _HABITS.pop((layout, dialect), None)
    if good := [number for number in ordered if not judged[number][1]]:
        others = _read_again((judged[number][0] for number in good), data, layout, dialect)
        numbers = without(pl.int_range(found.count, dtype=pl.Int64, eager=True), ordered)
        order = numbers.append(pl.Series(good, dtype=pl.Int64)).arg_sort()
        table = pa.concat_tables([table, others]).take(order.to_arrow())
    if table.num_rows + len(rejects) != found.count:
        raise NoSieve
    places = None
    if with_places:
        bad = [number for number in ordered if judged[number][1]]
        places = without(found.places, bad).to_arrow()
    return SegmentResult(table, found.count, lines, rejects, places)


def _numbers(rows: Iterable[int], left_out: Sequence[int]) -> list[int]:
    """Which of the records, by position, some rows of a table are that lacks others of them."""
    steps = [number - before for before, number in enumerate(left_out)]
    return [row + bisect_right(steps, row) for row in rows]


def _true(mask: pl.Series) -> list[int]:
    """The positions in a short mask."""
    return [row for row, is_true in enumerate(mask.to_list()) if is_true]


def _check_share(doubtful: int, found: Records) -> None:
    if doubtful > MOST_DOUBTFUL * found.count + 1:
        raise NoSieve


def _any(masks: Iterable[pl.Series], rows: int) -> pl.Series:
    import polars as pl

    found = None
    for mask in masks:
        found = mask if found is None else found | mask
    return pl.repeat(False, rows, dtype=pl.Boolean, eager=True) if found is None else found


def _typed(
    fields: pa.Table, layout: Layout, dialect: Dialect
) -> tuple[pa.Table, dict[str, pl.Series]]:
    """What the parser read as the spec's table, and masks of the rows in which a value may not fit,
    by column. Raises NoSieve."""
    from stagepipe.builtin.csv.doubts import sorted_out

    notation = dialect.notation
    arrays, masks = [], {}
    for column, position in zip(layout.spec.columns, layout.positions, strict=True):
        if position is None:
            arrays.append(values.filled(pa.nulls(fields.num_rows, column.arrow_type), column))
            continue
        found = fields.column(str(position))
        if found.type == notation.read_type(column) == column.arrow_type:
            arrays.append(notation.typed(found, column))
            continue
        try:
            typed, masks[column.name] = sorted_out(found, column, notation)
        except pa.ArrowInvalid as error:
            raise NoSieve from error
        arrays.append(typed)
    names = [column.name for column in layout.spec.columns]
    return pa.Table.from_arrays(arrays, names), masks


def _taken_apart(
    numbers: list[int],
    begins: Mapping[int, int],
    found: Records,
    data: bytes,
    layout: Layout,
    dialect: Dialect,
) -> list[Record]:
    """Some of the records, taken apart. `begins` has the offset of each."""
    structure = dialect.structure
    match = structure.patterns.record.match
    spans = []
    for number in numbers:
        span = found.odd.get(number)
        if span is None:
            begin = begins[number]
            one = match(data, begin)
            span = Span(begin, one.end(), True) if one else structure.record_at(data, begin)
        spans.append(span)
    return list(records_of(spans, data, structure, layout, dialect.text_errors))


def _read_again(
    records: Iterable[Record], data: bytes, layout: Layout, dialect: Dialect
) -> pa.Table:
    """Records that were judged to be good, as a table. Raises NoSieve."""
    texts = [data[record.span.start : record.span.end] for record in records]
    table = typed_table(b"\n".join([*texts, b""]), 0, layout, dialect, is_examined=True)
    if table is None or table.num_rows != len(texts):
        raise NoSieve
    return table
