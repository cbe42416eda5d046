"""The records of a text and their fields, by the rules of Python's csv module.

A quote that nothing closes costs its record and no more where the lines below look like records
again: reading goes on there by the rule of the reader (`stagepipe.unclosed`), or what stands behind
the quote would not be seen, and its columns be guessed from the rest.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from stagepipe.unclosed import goes_on_at

BOM = b"\xef\xbb\xbf"
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


@dataclass(frozen=True, slots=True)
class Marks:
    """What divides a text into records and fields. Escape and comment are empty where there are
    none."""

    delimiter: str
    quote: str = '"'
    escape: str = ""
    comment: str = ""


class Record(NamedTuple):
    """A record, and the number of lines up to its end. One that is not closed has a quote that
    nothing closes, which opens on the line `opened` (from 1); where reading goes on behind it, it
    has one field, and is none of the table's."""

    lines: int
    fields: list[str]
    opened: int | None = None
    is_resumed: bool = False


def text_of(data: bytes, encoding: str = "utf-8") -> str:
    """The text of a piece of a file, without a byte order mark; bytes that are no UTF-8 stand as
    surrogates."""
    if encoding == "utf-8":
        return data.removeprefix(BOM).decode("utf-8", "surrogateescape")
    return data.decode(encoding, "replace").removeprefix("\ufeff")


def lines_of(text: str) -> Iterator[str]:
    """The physical lines with their ends, as the csv module wants them."""
    return (found[0] for found in _LINE.finditer(text))


def numbered_records(
    text: str, marks: Marks, skip: int = 0, width: int = 0
) -> Iterator[tuple[int, list[str]]]:
    """The records with fields, after so many lines to `skip`, each with the number of lines up to
    its end. They should have `width` fields, or as many as the first one."""
    found = with_blank_lines(text, marks, skip, width)
    return ((number, fields) for number, fields in found if fields)


def with_blank_lines(
    text: str, marks: Marks, skip: int = 0, width: int = 0
) -> Iterator[tuple[int, list[str]]]:
    """The same, and between them each blank line, without fields."""
    return ((record.lines, record.fields) for record in read(text, marks, skip, width))


def unclosed(text: str, marks: Marks, skip: int = 0, width: int = 0) -> list[Record]:
    """The records in which a quote opens that nothing closes."""
    if not marks.quote or marks.quote not in text:
        return []
    return [record for record in read(text, marks, skip, width) if record.opened is not None]


def comments_of(text: str, marks: Marks, skip: int = 0) -> list[str]:
    """The comments, without their ends."""
    found: list[str] = []
    if marks.comment and marks.comment in text:
        for _ in read(text, marks, skip, comments=found):
            pass
    return [line.rstrip("\r\n") for line in found]


def read(
    text: str, marks: Marks, skip: int = 0, width: int = 0, comments: list[str] | None = None
) -> Iterator[Record]:
    """All records and blank lines. The comments between them go to `comments`."""
    comments = [] if comments is None else comments
    lines = _Lines(islice(lines_of(text), skip, None), marks.comment, skip, comments)
    reader = _reader(lines, marks)
    while True:
        lines.begin()
        fields = next(reader, None)
        if fields is None:
            return
        if not lines.is_open:
            yield Record(lines.number, fields)
            width = width or len(fields)
            continue
        start, held = lines.number - len(lines.held), lines.held
        opened = len(held) - max(sum(1 for _ in lines_of(fields[-1])), 1) + 1
        again = _resumes_at(held, opened, width, marks)
        if again is None:
            yield Record(lines.number, fields, start + opened)
            return
        yield Record(start + again, ["".join(held[:again])], start + opened, is_resumed=True)
        lines = _Lines(iter(held[again:]), marks.comment, start + again, comments)
        reader = _reader(lines, marks)


def records(
    text: str, marks: Marks, *, is_whole: bool, skip: int = 0, width: int = 0
) -> Iterator[list[str]]:
    """The records with fields, header first. Where the text does not go to the end of the file, its
    last record may be cut off and is left out."""
    held: list[str] = []
    for _, fields in numbered_records(text, marks, skip, width):
        if held:
            yield held
        held = fields
    if held and is_whole:
        yield held


def width_of(line: str, marks: Marks) -> int:
    """How many fields the record has that a line is; 0 where it is none by itself."""
    lines = _Lines(iter([line.rstrip("\r\n")]))
    fields = next(_reader(lines, marks), [])
    return 0 if lines.is_open else len(fields)


def _resumes_at(lines: Sequence[str], start: int, width: int, marks: Marks) -> int | None:
    """How many lines stand above the one on which reading goes on; None where nothing tells."""
    below = (
        (number, width_of(line, marks))
        for number, line in enumerate(lines[start:], start)
        if line.strip("\r\n") and not (marks.comment and line.startswith(marks.comment))
    )
    return goes_on_at(below, width)


class _Lines:
    """The lines of a text, of which `number` stand above, without the comments between its records,
    which go to `comments`. Those of the record that was begun last are `held`. `is_open` says that
    they ended within a record."""

    def __init__(
        self,
        lines: Iterator[str],
        comment: str = "",
        number: int = 0,
        comments: list[str] | None = None,
    ) -> None:
        self._lines, self._comment = lines, comment
        self._comments = [] if comments is None else comments
        self.number = number
        self.held: list[str] = []
        self.is_open = False

    def begin(self) -> None:
        """What is read next begins a record."""
        self.held = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._next()
        while not self.held and self._comment and line.startswith(self._comment):
            self._comments.append(line)
            line = self._next()
        self.held.append(line)
        return line

    def _next(self) -> str:
        line = next(self._lines, None)
        if line is None:
            self.is_open = bool(self.held)
            raise StopIteration
        self.number += 1
        return line


SUBSTITUTE = "\ue0ff"
"""Stands for a delimiter of several characters, which the csv module does not know."""


def _reader(lines: Iterator[str], marks: Marks) -> Iterator[list[str]]:
    csv.field_size_limit(2**31 - 1)
    escape = marks.escape or None
    if len(marks.delimiter) > 1:
        return _by_substitute(lines, marks)
    if not marks.quote:
        return csv.reader(
            lines, delimiter=marks.delimiter, escapechar=escape, quoting=csv.QUOTE_NONE
        )
    return csv.reader(lines, delimiter=marks.delimiter, quotechar=marks.quote, escapechar=escape)


def _by_substitute(lines: Iterator[str], marks: Marks) -> Iterator[list[str]]:
    replaced = (line.replace(marks.delimiter, SUBSTITUTE) for line in lines)
    other = Marks(SUBSTITUTE, marks.quote, marks.escape, marks.comment)
    for fields in _reader(replaced, other):
        yield [field.replace(SUBSTITUTE, marks.delimiter) for field in fields]
