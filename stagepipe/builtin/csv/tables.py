"""Files of several tables, of which the first is wanted: `tables = "first"`.

The table ends at the first void line after its first record: one with nothing in it but
delimiters, spaces and tabs, that stands between records and not in quotes. What follows are other
tables, or whatever it may be, divided by void lines; each such block of lines is one reject. Nobody
knows its dialect, so a quote means nothing there. Where a void line stands right below the header,
what follows may be this table's records, or another table below one without any: nothing tells, and
rows must not be made of another table's lines, so such a file is a dead letter.

Nothing but the bytes from the table's beginning on tells where it ends, so such a file is not cut
while planning. A later portion of it has to tell by itself what it is: it begins with a void line
where the table has ended, and with a record where it goes on. So in the blocks cuts are made before
void lines only, and so they are at the table's end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

from stagepipe.builtin.csv.lines import count_lines
from stagepipe.builtin.csv.structure import Structure
from stagepipe.contracts import DeadSegment
from stagepipe.model import ANOTHER_TABLE, Reject

_LINE = re.compile(rb"[^\r\n]*+(?:\r\n|\r|\n|\Z)")


class _Block(NamedTuple):
    """Some lines, from the first byte of one to the last of another, without its end."""

    start: int
    end: int
    lines: int


def table_end(
    text: bytes, start: int, structure: Structure, width: int, *, is_begun: bool
) -> int | None:
    """Where the void line begins at which the table ends; None where it goes on. `is_begun` says
    that there were records before `start`."""
    void = _patterns(structure.delimiter)
    if not is_begun:
        start = first_record(text, start, structure)
    elif void.line.match(text, start):
        return start
    spans = structure.spans(text, start, width)
    has_marks = structure.has_marks(text)
    span = None
    for found in void.before.finditer(text, start):
        end = found.end()
        if not has_marks:
            return end
        while (span is None or span.end < end) and (span := next(spans, None)) is not None:
            pass
        if span is None or span.start >= end:
            return end
    return None


def check_beginning(text: bytes, start: int, structure: Structure) -> None:
    """Raises DeadSegment where the line below the header, which ends at `start`, is void, and more
    than such lines follow."""
    if begins_void(text, start, structure) and any(_blocks(text, start, structure)):
        raise DeadSegment(
            "a blank line stands right below the header: nobody can tell whether the first table "
            "goes on there, or has no records and another one follows; mend the file, or leave "
            'tables = "first" out'
        )


def begins_void(text: bytes, start: int, structure: Structure) -> bool:
    """Whether the first line from `start` on that is no comment is void."""
    comment = structure.comment
    while comment and text.startswith(comment, start) and (line := _LINE.match(text, start)):
        start = line.end()
    return _patterns(structure.delimiter).line.match(text, start) is not None


def first_record(text: bytes, start: int, structure: Structure) -> int:
    """Where the first record from `start` on begins; the text's end where there is none."""
    gap = structure.patterns.gap.match(text, start)
    assert gap is not None, "it matches nothing too"
    return gap.end()


def last_void_line(text: bytes, start: int, structure: Structure) -> int:
    """Where the last void line begins at or after `start`, at which one begins; but not at 0,
    which stands for none."""
    last = start
    for found in _patterns(structure.delimiter).before.finditer(text, start):
        last = found.end()
    return last


def other_tables(text: bytes, start: int, structure: Structure) -> Iterator[Reject]:
    """A reject for each block of lines from `start` on; its value is how many lines it has. Raises
    DeadSegment where counting otherwise finds another number of them."""
    blocks = list(_blocks(text, start, structure))
    if len(blocks) != _counted(text[start:], structure):
        raise DeadSegment("its other tables could not be told apart; please report this file")
    line, before = 1, 0
    for block in blocks:
        line += count_lines(text[before : block.start])
        before = block.start
        raw, lines = text[block.start : block.end], str(block.lines)
        yield Reject("", None, line, block.start, "", None, lines, ANOTHER_TABLE, None, raw)


def _blocks(text: bytes, start: int, structure: Structure) -> Iterator[_Block]:
    void, comment = _patterns(structure.delimiter).content, structure.comment
    block: _Block | None = None
    is_table = False
    while start < len(text):
        found = _LINE.match(text, start)
        assert found is not None, "any line"
        line = found[0].rstrip(b"\r\n")
        if void.fullmatch(line):
            if block is not None and is_table:
                yield block
            block, is_table = None, False
        else:
            first, lines = (start, 0) if block is None else (block.start, block.lines)
            block = _Block(first, start + len(line), lines + 1)
            is_table |= not (comment and line.startswith(comment))
        start = found.end()
    if block is not None and is_table:
        yield block


def _counted(text: bytes, structure: Structure) -> int:
    """How many blocks of lines there are, counted in another way."""
    lines = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    delimiter, comment = structure.delimiter, structure.comment
    blocks = groupby(lines, lambda line: bool(line.replace(delimiter, b"").strip(b" \t")))
    return sum(
        has_text and any(not (comment and line.startswith(comment)) for line in block)
        for has_text, block in blocks
    )


class _Void(NamedTuple):
    """Patterns: what a void line has in it; a void line with its end; the end of a line before
    one."""

    content: re.Pattern[bytes]
    line: re.Pattern[bytes]
    before: re.Pattern[bytes]


@lru_cache(maxsize=16)
def _patterns(delimiter: bytes) -> _Void:
    content = rb"(?:[ \t]|%b)*+" % re.escape(delimiter)
    line = rb"%b[\r\n]" % content
    before = rb"(?:\r\n|\n|\r(?!\n))(?=%b)" % line
    return _Void(*(re.compile(pattern) for pattern in (content, line, before)))
