"""The slow path: which records of a segment are bad, and for each the one reason that counts.

Called only when the fast path found something amiss. Works on text, record by record for the
structure and column by column for types and checks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from types import MappingProxyType
from typing import NamedTuple

import pyarrow as pa

from stagepipe.builtin import checks
from stagepipe.builtin.csv.lines import count_lines
from stagepipe.builtin.csv.structure import Span, Structure
from stagepipe.builtin.csv.values import Notation
from stagepipe.contracts import ColumnSpec, TableSpec
from stagepipe.model import Reject

_BYTE = re.compile("[\udc00-\udcff]")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the table's columns stand in a file: for each column of the spec its position among
    the file's fields, or None when the file lacks it; `width` is the number of fields.
    Where `void` is given, the last field is only there because each record ends with a delimiter,
    and that has to be true of its text. `usual` is how many fields header or first record have, by
    which it is told where reading goes on after a quote that nothing closes. `header` has the names
    of the file's columns."""

    spec: TableSpec
    positions: tuple[int | None, ...]
    width: int
    void: Callable[[str], bool] | None = None
    usual: int = 0
    header: tuple[str, ...] | None = None


class Fault(NamedTuple):
    """One thing that is wrong with a record."""

    reason: str
    column: str | None = None
    value: str | None = None

    def __str__(self) -> str:
        return self.reason if self.column is None else f"{self.column}:{self.reason}"


class Record(NamedTuple):
    """A record taken apart: its span, and its fields or the fault that leaves it without any."""

    span: Span
    fields: list[str] | None
    fault: Fault | None


class Known(NamedTuple):
    """A column's values in some records, but for those (by position) that may not fit."""

    values: pa.ChunkedArray
    doubted: Sequence[int]


def take_apart(
    data: bytes, start: int, structure: Structure, layout: Layout, errors: str = "surrogateescape"
) -> Iterator[Record]:
    """The records from `start` on. Bytes that are no characters stand as surrogates in the fields;
    `errors` is how Python is to decode them."""
    return records_of(structure.spans(data, start, layout.usual), data, structure, layout, errors)


def records_of(
    found: Iterable[Span], data: bytes, structure: Structure, layout: Layout, errors: str
) -> Iterator[Record]:
    """The records at some places, taken apart."""
    spans = list(found)
    texts = [data[a:b].decode("utf-8", errors) if closed else "" for a, b, closed in spans]
    is_whole = [
        span.is_closed and not (_has_end(text) and structure.is_torn(data, span))
        for span, text in zip(spans, texts, strict=True)
    ]
    rows = structure.fields(compress(texts, is_whole))
    for span, has_fields in zip(spans, is_whole, strict=True):
        if not has_fields:
            yield Record(span, None, Fault("unclosed_quote"))
            continue
        fields = next(rows)
        if len(fields) == layout.width and (layout.void is None or layout.void(fields[-1])):
            yield Record(span, fields, None)
        else:
            reason = "too_few_fields" if len(fields) < layout.width else "too_many_fields"
            yield Record(span, None, Fault(reason, value=str(len(fields))))


def _has_end(text: str) -> bool:
    return "\n" in text or "\r" in text


def unfit_records(records: Sequence[Record], layout: Layout, notation: Notation) -> set[int]:
    """Which records (by position) have no fields, or a value that does not fit its type."""
    bad = {row for row, record in enumerate(records) if record.fields is None}
    rows = _with_fields(records)
    for column, position in zip(layout.spec.columns, layout.positions, strict=True):
        if position is not None:
            bad.update(_type_faults(records, rows, position, column, notation))
    return bad


def faults_of(
    records: Sequence[Record],
    layout: Layout,
    notation: Notation,
    known: Mapping[str, Known] = MappingProxyType({}),
) -> list[list[Fault]]:
    """What is wrong with each of these records, in the order in which reasons are given. `known` is
    what a parser made of them already, by column; then all of them have fields."""
    found: list[list[Fault]] = [[record.fault] if record.fault else [] for record in records]
    rows = _with_fields(records)
    if not rows:
        return found
    values = {}
    for column, typed, column_faults in _column_faults(records, layout, notation, known):
        values[column.name] = typed
        for row, fault in column_faults:
            found[row].append(fault)
    for check, mask in checks.check_failures(pa.table(values), layout.spec):
        for row, fails in zip(rows, mask.to_pylist(), strict=True):
            if fails:
                found[row].append(Fault(check.name, value=check.message))
    return found


def lines_of(records: Iterable[Record], data: bytes) -> Iterator[int]:
    """The line of the data, from 1, on which each of these records begins."""
    line, seen = 1, 0
    for record in records:
        start = record.span.start
        line += count_lines(data[seen:start])
        seen = start
        yield line


def rejects_of(
    judged: Iterable[tuple[Record, Sequence[Fault]]], lines: Iterable[int], data: bytes
) -> Iterator[Reject]:
    """One reject for each of these records in which something was found to be wrong; `lines` are
    those on which they begin."""
    for (record, faults), line in zip(judged, lines, strict=True):
        if not faults:
            continue
        start, end, _ = record.span
        reason, column, value = faults[0]
        also = ", ".join(map(str, faults[1:])) if len(faults) > 1 else None
        yield Reject("", None, line, start, "", column, value, reason, also, data[start:end])


def _type_faults(
    records: Sequence[Record],
    rows: Sequence[int],
    position: int,
    column: ColumnSpec,
    notation: Notation,
) -> dict[int, Fault]:
    """The faults of a column's values that do not fit the type, by row."""
    faults: dict[int, Fault] = {}
    present: list[tuple[int, str]] = []
    is_null = notation.is_null
    for row in rows:
        text = records[row].fields[position]  # type: ignore[index]
        if not _is_utf8(text):
            faults[row] = Fault("encoding", column.name, _with_bytes(text))
        elif not is_null(text):
            present.append((row, text))
    for bad in notation.unfit([text for _, text in present], column):
        row, text = present[bad]
        faults[row] = Fault("type", column.name, text)
    return faults


def _column_faults(
    records: Sequence[Record],
    layout: Layout,
    notation: Notation,
    known: Mapping[str, Known],
) -> Iterator[tuple[ColumnSpec, pa.ChunkedArray, list[tuple[int, Fault]]]]:
    """Column after column: its values in the records that have fields, null where they do not fit;
    and all its faults, a type fault or else the failed checks."""
    rows = _with_fields(records)
    for column, position in zip(layout.spec.columns, layout.positions, strict=True):
        values, doubted = known.get(column.name, (None, rows))
        if values is not None and not (doubted or column.required or column.checks):
            yield column, values, []
            continue
        faults: dict[int, Fault] = {}
        texts: Sequence[str | None] = [None] * len(rows)
        if position is not None:
            texts = [records[row].fields[position] for row in rows]  # type: ignore[index]
        if position is not None and doubted:
            faults = _type_faults(records, doubted, position, column, notation)
        if values is None or len(faults) < len(doubted):
            values = notation.typed_texts(
                [
                    None if row in faults or text is None or notation.is_null(text) else text
                    for row, text in zip(rows, texts, strict=True)
                ],
                column,
            )
        found = list(faults.items())
        one = TableSpec(columns=(column,))
        table = pa.Table.from_arrays([values], [column.name])
        for name, reason, mask in checks.failures(table, one):
            for row, text, fails in zip(rows, texts, mask.to_pylist(), strict=True):
                if fails and row not in faults:
                    found.append((row, Fault(reason, name, text)))
        yield column, values, found


def _with_fields(records: Sequence[Record]) -> list[int]:
    return [row for row, record in enumerate(records) if record.fields is not None]


def _is_utf8(text: str) -> bool:
    return text.isascii() or not _BYTE.search(text)


def _with_bytes(text: str) -> str:
    """The text with `\\xNN` for each byte that is part of no character."""
    return _BYTE.sub(lambda found: f"\\x{ord(found[0]) & 0xFF:02x}", text)
