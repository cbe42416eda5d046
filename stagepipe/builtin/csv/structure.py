"""Where records begin and end: counting them, finding them, and cutting big files between them."""

from __future__ import annotations

import csv
import io
import re
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from stagepipe.builtin.csv.lines import CR, LF, count_before, count_lines, view_of, written_lines
from stagepipe.builtin.csv.search import is_found

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

HEAD_BYTES = 2**20
"""How much of a file's beginning is sure to be at hand with each of its segments."""
BOM = b"\xef\xbb\xbf"
_BLANK_LINE = r"\n[\r\n]"


class Span(NamedTuple):
    """A record's bytes, without its end. An unclosed one has a quote that nothing closes."""

    start: int
    end: int
    is_closed: bool


class Survey(NamedTuple):
    """What counting tells of some bytes: their records, the physical lines that end in them, and
    whether their quotes are even in number, so that each one that opens is closed."""

    records: int
    lines: int
    is_even: bool


@dataclass(frozen=True)
class Structure:
    """The bytes that give a file its structure. `quote` is empty where nothing is quoted."""

    delimiter: bytes
    quote: bytes

    @cached_property
    def _record(self) -> re.Pattern[bytes]:
        delimiter, quote = re.escape(self.delimiter), re.escape(self.quote)
        bare = rb"[^%b\r\n]*+" % delimiter
        field = bare
        if self.quote:
            quoted = rb"%b[^%b]*+(?:%b%b[^%b]*+)*+%b" % ((quote,) * 6)
            field = rb"(?>%b%b|(?!%b)%b)" % (quoted, bare, quote, bare)
        return re.compile(rb"%b(?:%b%b)*+(?=[\r\n]|\Z)" % (field, delimiter, field))

    @cached_property
    def _not_quotes_or_ends(self) -> bytes:
        return bytes(byte for byte in range(256) if byte not in self.quote + b"\n")

    def survey(self, data: bytes, start: int = 0) -> Survey:
        """How many records the bytes from `start` on hold, by counting record ends outside quotes.

        It takes every second quote for a closing one, which is right for every file whose quotes
        stand where they should; for others it may differ from what `spans` finds. It shares
        nothing with a parser, which makes it the other side of the sum.
        """
        if start:
            before = self.survey(data[:start])
            if not before.is_even:
                return self.survey(data[start:])
            both = self.survey(data)  # a second look at the header is cheaper than a copy
            return Survey(both.records - before.records, both.lines - before.lines, both.is_even)
        if not self._has_plain_ends(data):
            pieces = data.split(self.quote) if self.quote else [data]
            # Quoted text may look like record ends: one byte that does not stands for it.
            outside = b"x".join(pieces[::2]).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            whole = outside.split(b"\n")
            records = len(whole) - whole.count(b"")
            return Survey(records, count_lines(data), len(pieces) % 2 == 1)
        unfinished = bool(data) and not data.endswith(b"\n")
        if not self.quote or self.quote not in data:
            lines = data.count(b"\n")
            return Survey(lines + unfinished, lines, True)
        # Two quotes with no record end between them are a quoted field, or a doubled quote.
        skeleton = data.translate(None, self._not_quotes_or_ends)
        lines = skeleton.count(b"\n")
        skeleton = skeleton.replace(self.quote * 2, b"")
        if self.quote not in skeleton:
            return Survey(lines + unfinished, lines, True)
        pieces = skeleton.split(self.quote)
        ends = sum(piece.count(b"\n") for piece in pieces[::2])
        return Survey(ends + unfinished, lines, len(pieces) % 2 == 1)

    def spans(self, data: bytes, start: int = 0) -> Iterator[Span]:
        """The records from a record boundary on, exactly, one after the other."""
        match, size = self._record.match, len(data)
        gap = re.compile(rb"[\r\n]*+")
        while True:
            start = gap.match(data, start).end()  # type: ignore[union-attr]
            if start == size:
                return
            found = match(data, start)
            end = found.end() if found else size - _length_of_last_end(data)
            yield Span(start, end, found is not None)
            start = end

    def places(self, data: bytes, start: int, rows: int) -> pa.Table | None:
        """Where each of the records from `start` on begins, of which a parser found `rows`: the
        `offset` of its first byte in the data, and the `line` of the data (from 1). None when it
        is another number of records that is found."""
        lines = written_lines(data, start)
        # With as many records as lines on which one may begin, there is one on each.
        if len(lines) != rows and self.quote:
            lines = self._outside_quotes(lines, data, start)
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

    def header(self, head: bytes) -> tuple[Span, int] | None:
        """The first record in the beginning of a file, and the offset after its end; None when
        there are only blank lines."""
        span = next(self.spans(head, len(BOM) if head.startswith(BOM) else 0), None)
        if span is None:
            return None
        length = 2 if head.startswith(b"\r\n", span.end) else 1
        return span, min(span.end + length, len(head))

    def fields(self, records: Iterator[str]) -> Iterator[list[str]]:
        """The fields of each record. A record that is not closed must not be among them."""
        csv.field_size_limit(2**31 - 1)
        return csv.reader(
            records,
            delimiter=self.delimiter.decode("ascii"),
            quotechar=self.quote.decode("ascii") or None,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
        )

    def cuts(self, path: Path, size: int, chunk_size: int) -> list[int]:
        """Record boundaries that cut a file into pieces of at most `chunk_size` bytes, where the
        records allow it; a larger record stays in one piece, and so do the lines up to the header
        and the first record."""
        cuts: list[int] = []
        start = 0
        with path.open("rb") as file:
            body = self._body_start(file, size)
            while size - start > chunk_size:
                boundary = self._boundary(file, max(start, body), size, start + chunk_size)
                if boundary >= size:
                    break
                cuts.append(boundary)
                start = boundary
        return cuts

    def pieces(self, data: bytes, start: int, size: int) -> Iterator[bytes]:
        """The bytes from `start` on, cut at record boundaries into pieces of about `size` bytes."""
        file = io.BytesIO(data)
        while start < len(data):
            end = self._boundary(file, start, len(data), start + size)
            yield data[start:end]
            start = end

    def last_boundary(self, data: bytes, *, has_header: bool) -> int:
        """The last record boundary in the bytes, after their beginning and the header; else 0."""
        body = self._body_start(io.BytesIO(data), len(data)) if has_header else 0
        found = self._last_boundary(data[body:])
        return body + found if found else 0

    def _body_start(self, file: BinaryIO, size: int) -> int:
        """The offset after the header; `size` where it is none that a later segment could read."""
        head = file.read(HEAD_BYTES)
        header = self.header(head)
        if header is None or not header[0].is_closed or header[1] == len(head):
            return size
        return header[1]

    def _boundary(self, file: BinaryIO, start: int, size: int, limit: int) -> int:
        """The last record boundary after `start` and up to `limit`; where there is none, within
        twice as many bytes, and so on."""
        length = max(limit - start, 1)
        while start < size:
            file.seek(start)
            data = file.read(min(length, size - start))
            boundary = self._last_boundary(data)
            if boundary:
                return start + boundary
            if start + len(data) >= size or not data:
                break
            length *= 2
        return size

    def _last_boundary(self, data: bytes) -> int:
        if not self.quote or self.quote not in data:
            return _after_last_end(data, len(data))
        view = view_of(data)
        if self._is_regular(view, self._quotes(view)):
            is_even = data.count(self.quote) % 2 == 0
            return self._last_end_outside_quotes(data, len(data), is_even)
        boundary = 0
        for span in self.spans(data):
            boundary = span.start
        return boundary

    def _last_end_outside_quotes(self, data: bytes, stop: int, is_even: bool = True) -> int:
        """The offset after the last record end before `stop`, taking every second quote for a
        closing one; `is_even` says whether the quotes in `data` are even in number."""
        end, counted_from = stop, len(data)
        while True:
            end = _after_last_end(data, end)
            is_even ^= bool(data.count(self.quote, end, counted_from) % 2)
            counted_from = end
            if end == 0 or is_even:
                return end
            end -= 1

    def _quotes(self, view: pl.Series) -> pl.Series:
        """The positions of all quotes among some bytes."""
        return (view == self.quote[0]).arg_true()

    def _is_regular(self, view: pl.Series, quotes: pl.Series) -> bool:
        """Whether each quote that opens stands at a field's start and each that closes at its end,
        so that every second quote is a closing one."""
        structural = [self.delimiter[0], LF, CR, self.quote[0]]
        opening, closing = quotes.gather_every(2), quotes.gather_every(2, 1)
        if len(opening) and opening[0] == 0:
            opening = opening[1:]
        if len(closing) and closing[-1] == len(view) - 1:
            closing = closing[:-1]
        return bool(
            view.gather(opening - 1).is_in(structural).all()
            and view.gather(closing + 1).is_in(structural).all()
        )

    def _outside_quotes(self, lines: pl.DataFrame, data: bytes, start: int) -> pl.DataFrame:
        """Those of the lines from `start` on that begin outside quotes; all when the quotes are not
        regular, so that counting them does not tell."""
        view = view_of(data, start)
        quotes = self._quotes(view)
        if not self._is_regular(view, quotes):
            return lines
        begins = (lines["offset"] - start).cast(quotes.dtype)
        return lines.filter(count_before(quotes, begins) % 2 == 0)

    def _has_plain_ends(self, data: bytes) -> bool:
        """Whether record ends are LF or CRLF only, and no line is blank."""
        if data.startswith((b"\n", b"\r")) or is_found(_BLANK_LINE, data):
            return False
        return b"\r" not in data or data.count(b"\r") == data.count(b"\r\n")


def _length_of_last_end(data: bytes) -> int:
    return 2 if data.endswith(b"\r\n") else int(data.endswith((b"\n", b"\r")))


def _after_last_end(data: bytes, before: int) -> int:
    newline = data.rfind(b"\n", 0, before)
    if newline >= 0:
        return newline + 1
    # A lone CR ends a record too, but at the very end it may be the half of a CRLF.
    return data.rfind(b"\r", 0, max(before - 1, 0)) + 1
