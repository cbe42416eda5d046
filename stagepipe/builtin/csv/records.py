"""Where the records of some bytes begin, by whole columns of positions.

In nearly all files each line that is not blank is a record, or the quotes tell by their number
which are. Only where quotes stand elsewhere than around whole fields are single records looked at.
"""

from __future__ import annotations

import codecs
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from stagepipe.builtin.csv.lines import (
    begins_of_lines,
    count_before,
    count_lines,
    view_of,
    written_lines,
)
from stagepipe.builtin.csv.structure import Span, Structure, Survey

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Records:
    """The records from `start` on, `count` of them. `found` says where they are unless each line
    is one and ends with LF. `odd` are those, by position, that a parser must not see, as their
    quotes are not where they should be."""

    data: bytes
    start: int
    count: int
    found: pl.DataFrame | None = None
    odd: dict[int, Span] = field(default_factory=dict)

    @cached_property
    def places(self) -> pl.DataFrame:
        """The `offset` and the `line` of each, in order."""
        return written_lines(self.data, self.start) if self.found is None else self.found

    def at(self, numbers: Sequence[int]) -> tuple[list[int], list[int]]:
        """The offsets and the lines of a few, which are in order."""
        if self.found is None:
            first = count_lines(self.data[: self.start]) + 1
            offsets = begins_of_lines(self.data, self.start, numbers)
            return offsets, [first + number for number in numbers]
        few = self.found[numbers]
        return few["offset"].to_list(), few["line"].to_list()

    def without_odd(self) -> tuple[bytes, int]:
        """The bytes without the odd records, and where in them the others begin."""
        data, start = self.data, self.start
        if not self.odd:
            return data, start
        begins = self.places["offset"]
        positions = sorted(self.odd)
        starts = begins.gather(positions).to_list()
        ends = begins.gather([n + 1 for n in positions if n + 1 < len(begins)]).to_list()
        ends += [len(data)] * (len(starts) - len(ends))
        kept = [data[a:b] for a, b in zip([start, *ends], [*starts, len(data)], strict=True)]
        return b"".join(kept), 0


def records_by_count(
    data: bytes, start: int, structure: Structure, survey: Survey
) -> Records | None:
    """The records from `start` on where there are as many by the number of quotes as the survey
    says; None where quotes do not tell."""
    if survey.lines == survey.records and data.endswith(b"\n") and b"\r" not in data:
        return Records(data, start, survey.records)
    lines = written_lines(data, start)
    if len(lines) != survey.records:
        lines = structure.outside_quotes(lines, data, start)
    if len(lines) != survey.records:
        return None
    return Records(data, start, len(lines), lines)


def records_by_line(data: bytes, start: int, structure: Structure, width: int) -> Records:
    """The records from `start` on, line by line; those with odd quotes are taken apart."""
    lines = written_lines(data, start)
    begins = lines["offset"]
    special = sorted(
        {*_no_text(data, start, begins), *_oddly_quoted(data, start, begins, structure)}
    )
    odd: dict[int, Span] = {}
    inside: list[int] = []  # lines that are within a record that began before them
    after, is_ascii = 0, data.isascii()
    view, offsets = memoryview(data), _numbers(begins)
    for index in special:
        if index < after:
            continue
        span = next(structure.spans(data, offsets[index], width))
        after = bisect_left(offsets, span.end, index + 1)
        is_regular = span.is_closed and structure.is_strict(data, span)
        is_text = is_ascii or _end_of_text(view[span.start : span.end]) is None
        if not (is_regular and is_text):
            odd[index - len(inside)] = span
        inside += range(index + 1, after)
    lines = without(lines, inside)
    return Records(data, start, len(lines), lines, odd)


def is_text(data: bytes, start: int, end: int) -> bool:
    """Whether the bytes from `start` to `end` are UTF-8."""
    return data.isascii() or _end_of_text(memoryview(data)[start:end]) is None


def _numbers(series: pl.Series) -> memoryview:
    """A series of whole numbers, for looking at one after the other, and without a copy."""
    kept = series.rechunk().to_arrow()
    return memoryview(kept.buffers()[1]).cast("q")[kept.offset : kept.offset + len(kept)]


def _end_of_text(view: memoryview) -> int | None:
    """Where the first byte is that is part of no character."""
    try:
        codecs.utf_8_decode(view, "strict", True)
    except UnicodeDecodeError as error:
        return error.start
    return None


def _no_text(data: bytes, start: int, begins: pl.Series) -> Iterator[int]:
    """Those of the lines, by position, that are not UTF-8."""
    view = memoryview(data)
    while (length := _end_of_text(view[start:])) is not None:
        line = int(begins.search_sorted(start + length, side="right")) - 1
        yield line
        if line + 1 == len(begins):
            return
        start = begins[line + 1]


def _oddly_quoted(
    data: bytes, start: int, begins: pl.Series, structure: Structure
) -> Iterator[int]:
    """Those of the lines, by position, that are no record by themselves or have quotes elsewhere
    than around whole fields."""
    if not structure.quote or data.find(structure.quote, start) < 0:
        return
    import polars as pl

    view = view_of(data, start)
    quotes = structure.quotes(view)
    begins = (begins - start).cast(quotes.dtype)
    before = count_before(quotes, begins)
    counts = before.shift(-1, fill_value=len(quotes)) - before
    odd = (counts % 2 == 1).arg_true()
    if len(odd):
        firsts = zip(before.gather(odd), counts.gather(odd), strict=True)
        quotes = without(
            quotes, [n for first, count in firsts for n in range(first, first + count)]
        )
    # Each line has an even number of them now, so that every second one should close a field.
    misplaced = structure.misplaced(view, quotes)
    yield from odd
    yield from begins.search_sorted(misplaced, side="right").cast(pl.Int64) - 1


def without(items: Any, left_out: Collection[int]) -> Any:
    """A series or a frame without what stands at some positions."""
    import polars as pl

    if not left_out:
        return items
    positions = pl.int_range(len(items), dtype=pl.Int64, eager=True)
    return items.filter(~positions.is_in(pl.Series(list(left_out), dtype=pl.Int64).implode()))
