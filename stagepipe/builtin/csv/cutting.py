"""Cutting files and bytes between records, without reading more than a piece at a time."""

from __future__ import annotations

import io
from collections.abc import Iterator
from os import fstat
from pathlib import Path

from stagepipe.builtin.csv.lines import view_of
from stagepipe.builtin.csv.margins import Margins, Top, footer_start, top
from stagepipe.builtin.csv.resuming import resumes_at
from stagepipe.builtin.csv.structure import Structure
from stagepipe.builtin.csv.tables import begins_void, first_record, last_void_line, table_end
from stagepipe.contracts import DeadSegment

HEAD_BYTES = 2**20
"""How much of a file's beginning is sure to be at hand with each of its segments."""
BLOCK_BYTES = 2**22
"""So much is looked at at a time: more leaves the caches."""
LONGEST_RECORD = 2**26
"""A record that is so much longer than a chunk is not looked for to its end."""


def cuts(
    path: Path, size: int, chunk_size: int, structure: Structure, margins: Margins
) -> list[int]:
    """Record boundaries that cut a file into pieces of at most `chunk_size` bytes, where the
    records allow it; a larger record stays in one piece, and so do the lines up to the header and
    the first record, and the footer with what is before it. None for a file with a record that is
    `LONGEST_RECORD` longer: it is read in portions, so that all of it is dead or none. None either
    where other tables may follow: only who reads all from the beginning on knows where these
    begin."""
    found: list[int] = []
    if margins.has_others:
        return found
    start = 0
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        beginning = _settled(head, structure, margins)
        if beginning is None:
            return found
        body, width = beginning.settled, beginning.width
        end = max(_footer_start(file, size, margins.skip_footer), body)
        # Of a file that goes on nobody knows whether a quote is closed.
        is_whole = fstat(file.fileno()).st_size <= size
        while end - start > chunk_size:
            first, limit = max(start, body), start + chunk_size
            boundary = _boundary(file, first, end, limit, structure, chunk_size + LONGEST_RECORD)
            if boundary is None:
                return []
            if boundary >= end and is_whole:
                boundary = _after_open_quote(file, first, end, width, structure)
            if boundary >= end:
                break
            found.append(boundary)
            start = boundary
    return found


def last_cut(
    data: bytes,
    head: bytes,
    structure: Structure,
    margins: Margins,
    *,
    is_first: bool,
    is_long: bool,
) -> int:
    """The last record boundary in some bytes of a file that goes on perhaps, after their beginning
    and, where they are the first, after all that later ones have to know of it; before as many
    lines as a footer has. 0 when there is none. `head` is the file's beginning. Where `is_long`, a
    quote that is still open at the end of the bytes is one that nothing closes."""
    beginning = _settled(head, structure, margins)
    if beginning is None:
        return 0
    start, body = (beginning.start, beginning.settled) if is_first else (0, 0)
    end = footer_start(data, start, margins.skip_footer)
    if margins.has_others:
        if is_first and margins.header_records and begins_void(data, start, structure):
            return 0  # what follows tells whether the file is dead
        table = data[:end]
        stop = table_end(table, start, structure, 0, is_begun=not is_first)
        if stop is not None:
            return last_void_line(table, stop, structure)
        body = first_record(data, body, structure)
    found = _last_boundary(data[body:end], structure)
    if not found and is_long:
        found = _resumed(data[body:end], 0, beginning.width, structure) or 0
    return body + found if found else 0


def pieces(data: bytes, start: int, size: int, structure: Structure, width: int) -> Iterator[bytes]:
    """The bytes from `start` on, cut at record boundaries into pieces of about `size` bytes. Also
    cut where reading goes on after a quote that nothing closes, by the number of fields."""
    file = io.BytesIO(data)
    while start < len(data):
        end = _boundary(file, start, len(data), start + size, structure) or len(data)
        if end == len(data):
            end = _resumed(data, start, width, structure) or end
        yield data[start:end]
        start = end


def _after_open_quote(
    file: io.BufferedIOBase, start: int, end: int, width: int, structure: Structure
) -> int:
    """Where reading goes on after the record at `start`; `end` where it does not."""
    file.seek(start)
    resumed = _resumed(file.read(end - start), 0, width, structure)
    return end if resumed is None else start + resumed


def _resumed(data: bytes, start: int, width: int, structure: Structure) -> int | None:
    """Where reading goes on after the record at `start`, if that has a quote that nothing
    closes."""
    span = next(structure.spans(data, start), None)
    if span is None or span.is_closed:
        return None
    return resumes_at(data, span.start, width, structure)


def _settled(head: bytes, structure: Structure, margins: Margins) -> Top | None:
    """A file's beginning; None where that is nothing that the file's other segments could read."""
    try:
        beginning = top(head, structure, margins)
    except DeadSegment:
        return None
    is_whole = beginning.width > 0 and beginning.is_closed and beginning.settled < len(head)
    return beginning if is_whole else None


def _footer_start(file: io.BufferedIOBase, size: int, lines: int) -> int:
    """Where the last lines of a file begin, as many as are to be left out."""
    length = 2**16
    while lines:
        length = min(length, size)
        file.seek(size - length)
        start = footer_start(file.read(length), 0, lines)
        if start or length == size:
            return size - length + start
        length *= 2
    return size


def _boundary(
    file: io.BufferedIOBase,
    start: int,
    size: int,
    limit: int,
    structure: Structure,
    most: int | None = None,
) -> int | None:
    """The last record boundary after `start` and up to `limit`; where there is none, within
    twice as many bytes, and so on; None where there is none within `most` bytes."""
    length = max(limit - start, 1)
    while start < size:
        stop = min(start + length, size)
        boundary = _regular_boundary(file, start, stop, structure)
        if boundary is None:
            file.seek(start)
            boundary = start + _last_boundary(file.read(stop - start), structure)
        if boundary > start:
            return boundary
        if stop == size:
            break
        if most is not None and length >= most:
            return None
        length = 2 * length if most is None else min(2 * length, most)
    return size


def _regular_boundary(
    file: io.BufferedIOBase, start: int, stop: int, structure: Structure
) -> int | None:
    """The last record boundary from `start`, which is one, up to `stop`, found in a block at a
    time; None where counting quotes does not tell, where lines are longer than a block or may end
    with CR alone."""
    if not structure.is_plain or structure.comment:
        return None
    found, first, is_inside = start, start, False
    block = bytearray(min(BLOCK_BYTES, stop - start))  # new bytes for each take longer than reading
    while start < stop:
        file.seek(start)
        size = file.readinto(memoryview(block)[: stop - start])
        end = block.rfind(b"\n", 0, size) + 1
        if end == 0:
            # The rest of what was looked at, or of a file that became shorter.
            is_rest = start + size == stop or not size
            return found if is_rest and (found > first or block.find(b"\r", 0, size) < 0) else None
        view = view_of(block).head(end)
        count = structure.count_regular(view, is_inside=is_inside) if structure.quote else 0
        if count is None:
            return None
        if count:
            is_inside ^= bool(count % 2)
            last = _last_end_outside_quotes(block, end, structure.quote, not is_inside)
            found = start + last if last else found
        elif not is_inside:
            found = start + end
        start += end
    return found


def _last_boundary(data: bytes, structure: Structure) -> int:
    quote, comment = structure.quote, structure.comment
    if not structure.has_marks(data):
        return _after_last_end(data, len(data))
    if structure.is_plain and not (comment and comment in data):
        count = structure.count_regular(view_of(data))
        if count is not None:
            return _last_end_outside_quotes(data, len(data), quote, count % 2 == 0)
    boundary = 0
    for span in structure.spans(data):
        boundary = span.start
    return boundary


def _last_end_outside_quotes(data: bytes | bytearray, end: int, quote: bytes, is_even: bool) -> int:
    """The offset after the last record end up to `end`, taking every second quote for a closing
    one; `is_even` says whether the quotes up to there are even in number."""
    counted_from = end
    while True:
        end = _after_last_end(data, end)
        is_even ^= bool(data.count(quote, end, counted_from) % 2)
        counted_from = end
        if end == 0 or is_even:
            return end
        end -= 1


def _after_last_end(data: bytes | bytearray, before: int) -> int:
    newline = data.rfind(b"\n", 0, before)
    if newline >= 0:
        return newline + 1
    # A lone CR ends a record too, but at the very end it may be the half of a CRLF.
    return data.rfind(b"\r", 0, max(before - 1, 0)) + 1
