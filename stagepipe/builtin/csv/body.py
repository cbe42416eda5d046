"""The records of a file or segment, from bytes to a table: at once, by the sieve, or one by one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise

import pyarrow as pa
import pyarrow.compute as pc

from stagepipe.builtin.csv.cutting import pieces
from stagepipe.builtin.csv.dialect import Dialect
from stagepipe.builtin.csv.explain import (
    Layout,
    Record,
    faults_of,
    lines_of,
    rejects_of,
    take_apart,
    unfit_records,
)
from stagepipe.builtin.csv.lines import count_lines
from stagepipe.builtin.csv.parsing import failed_rows, typed_table
from stagepipe.builtin.csv.plain import plain_copy
from stagepipe.builtin.csv.returning import DISAGREEMENT, from_copy
from stagepipe.builtin.csv.sifting import NoSieve, is_known_to_be_bad, sift
from stagepipe.builtin.csv.structure import Structure, Survey
from stagepipe.contracts import DeadSegment, SegmentResult
from stagepipe.model import Reject
from stagepipe.stopwatch import timed

PIECE_BYTES = (2**20, 2**16)
"""Taking records apart is some hundred times slower than parsing them: only the pieces in which
something is amiss are."""


def read_body(
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
    with timed("count"):
        survey = dialect.structure.survey(data, start)
        before = count_lines(data[:start])
    result = read_at_once(data, start, survey, layout, dialect, with_places)
    if result is None:
        with suppress(NoSieve), timed("explain"):
            result = sift(data, start, survey, layout, dialect, with_places=with_places)
    lines = survey.lines + before
    if result is not None:
        return replace(result, lines=lines)
    smaller = [size for size in piece_sizes if size < len(data) - start]
    if not smaller:
        with timed("explain"):
            return _examined(data, start, lines, layout, dialect, with_places)
    results, rejects, places = [], [], []
    offset, line = start, before
    for piece in pieces(data, start, smaller[0], dialect.structure, layout.usual):
        result = _read(piece, 0, layout, dialect, smaller[1:], with_places)
        results.append(result)
        if with_places:
            places.append(moved_places(result.places, offset, line))
        rejects += [moved(reject, offset, line) for reject in result.rejects]
        offset += len(piece)
        line += result.lines
    table = pa.concat_tables([result.table for result in results])
    records = sum(result.records for result in results)
    return SegmentResult(
        table, records, line, rejects, pa.concat_tables(places) if with_places else None
    )


def read_at_once(
    data: bytes,
    start: int,
    survey: Survey,
    layout: Layout,
    dialect: Dialect,
    with_places: bool,
) -> SegmentResult | None:
    """What the reader makes of bytes, of which the survey is, when all of them are good; else None.
    Raises DeadSegment."""
    structure = dialect.structure
    if not survey.is_even or is_known_to_be_bad(layout, dialect):
        return None
    if survey.has_inner_ends and structure.has_torn(data, start):
        return None
    is_by_line = not survey.has_inner_ends
    table = typed_table(data, start, layout, dialect, is_by_line=is_by_line)
    if table is None or table.num_rows != survey.records:
        return None
    if failed_rows(table, layout.spec) is not None:
        return None
    places = _places(data, start, structure, table.num_rows) if with_places else None
    return SegmentResult(table, survey.records, survey.lines, (), places)


def _places(data: bytes, start: int, structure: Structure, rows: int) -> pa.Table:
    """Where the rows come from, when none of the records from `start` on was rejected."""
    places = structure.places(data, start, rows)
    if places is None:
        raise DeadSegment(DISAGREEMENT)
    return places


def moved(reject: Reject, offset: int, line: int) -> Reject:
    """A piece's reject, counted from where that begins."""
    assert reject.line is not None
    assert reject.byte_offset is not None
    # There may be many, and _replace goes by way of a dict.
    at = reject.line + line, reject.byte_offset + offset
    return Reject._make((*reject[:2], *at, *reject[4:]))


def moved_places(places: pa.Table, offset: int, line: int) -> pa.Table:
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
