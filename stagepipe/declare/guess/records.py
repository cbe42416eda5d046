"""The records of a text and their fields, by the rules of Python's csv module."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass

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


def text_of(data: bytes, encoding: str = "utf-8") -> str:
    """The text of a piece of a file, without a byte order mark; bytes that are no UTF-8 stand as
    surrogates."""
    if encoding == "utf-8":
        return data.removeprefix(BOM).decode("utf-8", "surrogateescape")
    return data.decode(encoding, "replace").removeprefix("\ufeff")


def lines_of(text: str) -> Iterator[str]:
    """The physical lines with their ends, as the csv module wants them."""
    return (found[0] for found in _LINE.finditer(text))


def numbered_records(text: str, marks: Marks, skip: int = 0) -> Iterator[tuple[int, list[str]]]:
    """The records with fields, after so many lines to `skip`, each with the number of lines up to
    its end."""
    return ((number, fields) for number, fields in with_blank_lines(text, marks, skip) if fields)


def with_blank_lines(text: str, marks: Marks, skip: int = 0) -> Iterator[tuple[int, list[str]]]:
    """The same, and between them each blank line, without fields."""
    lines = _Lines(text, marks.comment)
    for _ in range(skip):
        next(lines, None)
    reader = _reader(lines, marks)
    while True:
        lines.is_at_start = True
        fields = next(reader, None)
        if fields is None:
            return
        yield lines.number, fields


def records(text: str, marks: Marks, *, is_whole: bool, skip: int = 0) -> Iterator[list[str]]:
    """The records with fields, header first. Where the text does not go to the end of the file, its
    last record may be cut off and is left out."""
    held: list[str] = []
    for _, fields in numbered_records(text, marks, skip):
        if held:
            yield held
        held = fields
    if held and is_whole:
        yield held


class _Lines:
    """The lines of a text without the comments between its records."""

    def __init__(self, text: str, comment: str) -> None:
        self._lines, self._comment = lines_of(text), comment
        self.number = 0
        self.is_at_start = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        while self.is_at_start and self._comment and line.startswith(self._comment):
            line = next(self._lines)
            self.number += 1
        self.is_at_start = False
        return line


def _reader(lines: Iterator[str], marks: Marks) -> Iterator[list[str]]:
    csv.field_size_limit(2**31 - 1)
    escape = marks.escape or None
    if not marks.quote:
        return csv.reader(
            lines, delimiter=marks.delimiter, escapechar=escape, quoting=csv.QUOTE_NONE
        )
    return csv.reader(lines, delimiter=marks.delimiter, quotechar=marks.quote, escapechar=escape)
