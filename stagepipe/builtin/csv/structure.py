"""Where records begin and end, and their fields: finding them, and counting them otherwise."""

from __future__ import annotations

import csv
import re
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from stagepipe.builtin.csv.lines import (
    CR,
    LF,
    any_of,
    count_before,
    count_lines,
    only,
    view_of,
    written_lines,
)
from stagepipe.builtin.csv.patterns import Patterns, patterns, unescaped
from stagepipe.builtin.csv.resuming import resumes_at
from stagepipe.builtin.csv.search import is_found

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

BOM = b"\xef\xbb\xbf"
_BLANK_LINE = r"\n[\r\n]"
_END = re.compile(rb"[\r\n]")


class Span(NamedTuple):
    """A record's bytes, without its end. An unclosed one has a quote that nothing closes."""

    start: int
    end: int
    is_closed: bool


class Survey(NamedTuple):
    """What counting tells of some bytes: their records, the physical lines that end in them,
    whether their quotes are even in number, so that each one that opens is closed, and whether
    lines end between quotes."""

    records: int
    lines: int
    is_even: bool
    has_inner_ends: bool


@dataclass(frozen=True)
class Structure:
    """The bytes that give a file its structure. Each but the delimiter may be empty: where nothing
    is quoted, nothing is escaped, or no line is a comment."""

    delimiter: bytes
    quote: bytes
    escape: bytes = b""
    comment: bytes = b""

    @property
    def is_plain(self) -> bool:
        """Whether the parsers know it: an ASCII byte between fields, another around them."""
        marks = self.delimiter + self.quote
        return not self.escape and len(self.delimiter) == 1 >= len(self.quote) and marks.isascii()

    def has_marks(self, data: bytes) -> bool:
        """Whether there is a quote or an escape in the data, so that a line may be no record."""
        return any(mark and mark in data for mark in (self.quote, self.escape))

    @cached_property
    def patterns(self) -> Patterns:
        """What records, fields and gaps look like."""
        return patterns(self.delimiter, self.quote, self.escape, self.comment)

    def survey(self, data: bytes, start: int = 0) -> Survey:
        """How many records the bytes from `start` on hold, by counting record ends outside quotes.

        It takes every second quote for a closing one, which is right for every file whose quotes
        stand where they should; for others it may differ from what `spans` finds. It shares
        nothing with a parser, which makes it the other side of the sum.
        """
        if start and data[start - 1] not in b"\r\n":
            return self.survey(data[start:])
        if start:
            before = self.survey(data[:start])
            if not before.is_even:
                return self.survey(data[start:])
            both = self.survey(data)  # a second look at the header is cheaper than a copy
            return both._replace(
                records=both.records - before.records, lines=both.lines - before.lines
            )
        if not self._has_plain_ends(data):
            pieces = data.split(self.quote) if self.quote else [data]
            # Quoted text may look like record ends: one byte that does not stands for it.
            outside = b"x".join(pieces[::2]).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            whole = outside.split(b"\n")
            records, lines = len(whole) - whole.count(b""), count_lines(data)
            return Survey(records, lines, len(pieces) % 2 == 1, lines >= len(whole))
        unfinished = bool(data) and not data.endswith(b"\n")
        # Two quotes with no record end between them are a quoted field, or a doubled quote.
        skeleton = only(data, b"\n" + self.quote)
        lines = skeleton.count(b"\n")
        if self.quote:
            skeleton = skeleton.replace(self.quote * 2, b"")
        if not self.quote or self.quote not in skeleton:
            return Survey(lines + unfinished, lines, True, False)
        pieces = skeleton.split(self.quote)
        ends = sum(piece.count(b"\n") for piece in pieces[::2])
        return Survey(ends + unfinished, lines, len(pieces) % 2 == 1, ends < lines)

    def spans(self, data: bytes, start: int = 0, width: int = 0) -> Iterator[Span]:
        """The records from a record boundary on, exactly, one after the other. With the number of
        fields that they should have, reading goes on after one with a quote that nothing closes.
        """
        match, gap, size = self.patterns.record.match, self.patterns.gap.match, len(data)
        while True:
            start = gap(data, start).end()  # type: ignore[union-attr]
            if start == size:
                return
            if found := match(data, start):
                end = found.end()
                yield Span(start, end, True)
                start = end
                continue
            again = resumes_at(data, start, width, self) if width else None
            stop = size if again is None else again
            yield Span(start, stop - length_of_last_end(data, stop), False)
            start = stop

    def split(self, record: bytes) -> list[bytes]:
        """The fields of a record that is closed."""
        quote, escape = self.quote, self.escape
        return [
            unescaped(inner, quote, escape) + unescaped(behind + bare, b"", escape)
            for inner, behind, bare in self._texts(record)
        ]

    def is_torn(self, data: bytes, span: Span) -> bool:
        """Whether a record that is closed is made of two, as its quotes tell: the one that closes
        a field of several lines was meant to open a field of the second (see the docs)."""
        record = data[span.start : span.end]
        if not self.quote or self.quote not in record or not _END.search(record):
            return False
        seems_open = False
        for inner, behind, bare in self._texts(record):
            if seems_open and bare.rstrip(b" \t").endswith(self.quote):
                return True
            if _END.search(inner):
                if behind.strip(b" \t"):
                    return True
                seems_open |= inner.endswith((self.delimiter, b"\n", b"\r"))
        return False

    def has_torn(self, data: bytes, start: int) -> bool:
        """Whether there is such a record from `start` on. Only for marks of one byte."""
        view = view_of(data, start)
        if self.count_regular(view) is not None:
            return False
        while True:
            # Nearly all records show at first sight that they are sound.
            sound = self.patterns.sound.match(data, start)
            span = next(self.spans(data, sound.end() if sound else start), None)
            if span is None or not span.is_closed:
                return False
            if self.is_torn(data, span):
                return True
            start = span.end

    def _texts(self, record: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
        """Of each field of a record that is closed what stands in quotes, what behind these, and
        what stands there without any."""
        start = 0
        while True:
            found = self.patterns.field.match(record, start)
            assert found is not None, "a record that is not closed"
            inner, behind, bare = found.groups(b"")
            yield inner, behind, bare
            if found.end() == len(record):
                return
            start = found.end() + len(self.delimiter)

    def places(self, data: bytes, start: int, rows: int) -> pa.Table | None:
        """Where each of the records from `start` on begins, of which a parser found `rows`: the
        `offset` of its first byte in the data, and the `line` of the data (from 1). None when it
        is another number of records that is found."""
        lines = written_lines(data, start)
        # With as many records as lines on which one may begin, there is one on each.
        if len(lines) != rows and self.quote:
            lines = self.outside_quotes(lines, data, start)
        if len(lines) == rows:
            return lines.to_arrow()
        places = self.places_at(data, start, (span.start for span in self.spans(data, start)))
        return places if places.num_rows == rows else None

    def places_at(self, data: bytes, start: int, offsets: Iterable[int]) -> pa.Table:
        """The same for records from `start` on that are known to begin at these offsets."""
        import polars as pl

        lines = written_lines(data, start)
        begins = pl.Series(array("q", offsets), dtype=pl.Int64)
        return lines[lines["offset"].search_sorted(begins)].to_arrow()

    def record_at(self, data: bytes, offset: int) -> Span:
        """The record that begins at the offset. Raises ValueError where there is nothing of one."""
        span = next(self.spans(data, offset), None)
        if span is None or span.start != offset:
            raise ValueError(f"no record begins at byte {offset}")
        return span

    def fields(self, records: Iterator[str]) -> Iterator[list[str]]:
        """The fields of each record. A record that is not closed must not be among them."""
        csv.field_size_limit(2**31 - 1)
        return csv.reader(
            records,
            delimiter=self.delimiter.decode("ascii"),
            quotechar=self.quote.decode("ascii") or None,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
        )

    def quotes(self, view: pl.Series) -> pl.Series:
        """The positions of all quotes among some bytes."""
        return (view == self.quote[0]).arg_true()

    def misplaced(self, view: pl.Series, quotes: pl.Series) -> pl.Series:
        """Those of the quotes that open a field elsewhere than at its start, or close one elsewhere
        than at its end, when every second one is a closing one."""
        opening, closing = quotes.gather_every(2), quotes.gather_every(2, 1)
        if len(opening) and opening[0] == 0:
            opening = opening[1:]
        if len(closing) and closing[-1] == len(view) - 1:
            closing = closing[:-1]
        opens_inside = ~self._are_structural(view.gather(opening - 1))
        closes_inside = ~self._are_structural(view.gather(closing + 1))
        return opening.filter(opens_inside).append(closing.filter(closes_inside))

    def count_regular(self, view: pl.Series, *, is_inside: bool = False) -> int | None:
        """How many quotes are among some bytes, which begin inside quotes perhaps; None unless each
        that opens stands at a field's start and each that closes at its end, so that every second
        one is a closing one.

        The bytes beside the quotes tell: taking these out is four times as fast as finding where
        the quotes are.
        """
        is_quote, others = view == self.quote[0], len(view) - 1
        count = int(is_quote.sum())
        if count == 0 or others == 0:
            return count
        before = view.head(others).filter(is_quote.tail(others))
        behind = view.tail(others).filter(is_quote.head(others))
        opening = before.gather_every(2, int(is_quote[0] ^ is_inside))
        closing = behind.gather_every(2, int(not is_inside))
        is_regular = all(self._are_structural(beside).all() for beside in (opening, closing))
        return count if is_regular else None

    def _are_structural(self, view: pl.Series) -> pl.Series:
        """Of some bytes, which a field's quotes may stand beside, from without."""
        return any_of(view, (self.delimiter[0], LF, CR, self.quote[0]))

    def is_strict(self, data: bytes, span: Span) -> bool:
        """Whether a record has quotes around whole fields only."""
        return self.patterns.strict.fullmatch(data, span.start, span.end) is not None

    def outside_quotes(self, lines: pl.DataFrame, data: bytes, start: int) -> pl.DataFrame:
        """Those of the lines from `start` on that begin outside quotes; all when the quotes are not
        regular, so that counting them does not tell."""
        view = view_of(data, start)
        if self.count_regular(view) is None:
            return lines
        quotes = self.quotes(view)
        begins = (lines["offset"] - start).cast(quotes.dtype)
        return lines.filter(count_before(quotes, begins) % 2 == 0)

    def _has_plain_ends(self, data: bytes) -> bool:
        """Whether record ends are LF or CRLF only, and no line is blank."""
        if data.startswith((b"\n", b"\r")) or is_found(_BLANK_LINE, data):
            return False
        return b"\r" not in data or data.count(b"\r") == data.count(b"\r\n")


def length_of_last_end(data: bytes, stop: int) -> int:
    """How many bytes end a line right before `stop`."""
    if data[max(stop - 2, 0) : stop] == b"\r\n":
        return 2
    return int(data[max(stop - 1, 0) : stop] in (b"\n", b"\r"))
