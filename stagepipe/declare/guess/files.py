"""What stands in a file besides its records: guessed from its text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, dropwhile, islice

from stagepipe.declare.guess.columns import BLANKS
from stagepipe.declare.guess.dialect import (
    SAMPLED_RECORDS,
    FileGuess,
    guess_dialect,
    is_headed,
    kinds_of,
)
from stagepipe.declare.guess.headers import with_header
from stagepipe.declare.guess.records import lines_of, records, width_of, with_blank_lines

COMMENTS = ("#", "//", "--")
_VOID = r"[ \t,;|]*"
"""What a line between tables has in it, where the delimiter is not known yet."""


def guess_file(
    text: str, *, is_whole: bool, comments: Sequence[str] = COMMENTS
) -> FileGuess | None:
    """How a file is written whose text begins like this; None where there is no record at all.
    `comments` are what comments may begin with. Raises ValueError where it cannot be told."""
    found = _of_first_table(text) or _with_comments(text, comments, is_whole=is_whole)
    if found is None:
        found = _with_escape(text, is_whole=is_whole)
    if found is None:
        return None
    end = first_table_end(text, found)
    if end is not None:
        found = replace(found, has_other_tables=True)
        text, is_whole = text[:end], True
    return with_header(found, text, is_whole=is_whole)


def _of_first_table(text: str) -> FileGuess | None:
    """The guess by the first of several tables; others may have more columns, or more records. It
    is one if its columns have types and its header does not fit them: the lines above the header
    of a bank's file, say, do not look like that."""
    for void in re.finditer(rf"(?:\r\n|\n|\r(?!\n))(?={_VOID}[\r\n])", text):
        block = text[: void.end()]
        try:
            found = guess_dialect(block, is_whole=True)
        except ValueError:
            return None
        if found is None:
            continue
        rows = [found.header, *islice(found.data_records(block, is_whole=True), SAMPLED_RECORDS)]
        if len(found.header) < 2 or len(rows) < 2 or not is_headed(rows):
            return None
        return found if first_table_end(text, found) == void.end() else None
    return None


def _with_comments(text: str, marks: Sequence[str], *, is_whole: bool) -> FileGuess | None:
    """The guess where lines that begin alike are no records: none below the header has as many
    fields, and above it stand others at most."""
    for mark in marks:
        lines = list(lines_of(text))
        marked = [line.rstrip("\r\n") for line in lines if line.startswith(mark)]
        if not marked or len(marked) == len(lines):
            continue
        others = "".join(line for line in lines if not line.startswith(mark))
        try:
            found = guess_dialect(others, is_whole=is_whole)
        except ValueError:
            continue
        if found is None or len(found.header) < 2 or found.is_header_odd:
            continue
        title_lines = _lines_above(lines, mark, found)
        commented = replace(found, comment=mark, title_lines=title_lines)
        odd = sum(width_of(line, found.marks) != len(found.header) for line in marked)
        below = "".join(_from_header_on(lines[title_lines:], mark))
        if 2 * odd > len(marked) and not has_marked_records(below, commented):
            return commented
    return None


def _from_header_on(lines: Sequence[str], mark: str) -> Iterator[str]:
    """The lines from the first on that is neither blank nor a comment."""
    return dropwhile(lambda line: not line.strip("\r\n") or line.startswith(mark), lines)


def has_marked_records(text: str, found: FileGuess) -> bool:
    """Whether a line that would be a comment has as many fields as the header: it may be a
    record."""
    marked = (line for line in lines_of(text) if found.comment and line.startswith(found.comment))
    return any(width_of(line, found.marks) == len(found.header) for line in marked)


def _lines_above(lines: Sequence[str], mark: str, found: FileGuess) -> int:
    """How many lines stand above the header, where so many of those that are no comments do."""
    left = found.title_lines
    if not left:
        return 0
    for number, line in enumerate(lines, 1):
        left -= not line.startswith(mark)
        if not left:
            return number
    return 0


def _with_escape(text: str, *, is_whole: bool) -> FileGuess | None:
    """The guess, with a backslash that makes the next character an ordinary one where more records
    have the header's width by it. Raises ValueError where it cannot be told."""
    plainly, error = None, None
    try:
        plainly = guess_dialect(text, is_whole=is_whole)
    except ValueError as refused:
        error = refused
    if "\\" in text:
        try:
            # What is escaped is neither delimiter nor quote.
            found = guess_dialect(re.sub(r"\\[^\r\n]", "xx", text), is_whole=is_whole)
        except ValueError:
            found = None
        if found is not None:
            escaped = replace(found, escape="\\")
            header = next(records(text, escaped.marks, is_whole=True, skip=found.title_lines))
            escaped = replace(escaped, header=tuple(header))
            if _worth(escaped, text, is_whole=is_whole) > _worth(plainly, text, is_whole=is_whole):
                return escaped
    if error is not None:
        raise error
    return plainly


def _worth(found: FileGuess | None, text: str, *, is_whole: bool) -> tuple[bool, float]:
    """How well a guess fits: with a header on the first line, and by the share of its records that
    are as wide."""
    if found is None:
        return False, 0.0
    return found.title_lines == 0, _even_share(found, text, is_whole=is_whole)


def _even_share(found: FileGuess, text: str, *, is_whole: bool) -> float:
    rows = list(islice(found.data_records(text, is_whole=is_whole), SAMPLED_RECORDS))
    return sum(len(row) == len(found.header) for row in rows) / len(rows) if rows else 1.0


def first_table_end(text: str, found: FileGuess) -> int | None:
    """Where the first of several tables ends: at a void line below which lines stand that are no
    records of it, but a header again or other columns. None where there is one table only. A void
    line has only delimiters and blanks in it, and stands between records."""
    void = f"(?:[ \\t]|{re.escape(found.delimiter)})*"
    if not has_void_line(text, found.delimiter):
        return None
    starts = [0, *accumulate(map(len, lines_of(text)))]
    written = 0
    for number, fields in with_blank_lines(text, found.marks, found.title_lines):
        line = text[starts[number - 1] : starts[number]].rstrip("\r\n")
        if any(fields) or not re.fullmatch(void, line):
            written += 1
        elif written <= found.header_records > 0:
            return None  # the reader cannot tell either whether the table goes on
        elif written:
            end = starts[number - 1]
            own = list(found.data_records(text[:end], is_whole=True))
            rest = unified(text[starts[number] :]).lstrip("\n \t" + found.delimiter)
            block = re.split(f"\n{void}\n", rest)[0]
            others = list(islice(records(block, found.marks, is_whole=True), SAMPLED_RECORDS))
            return end if _is_other_table(found, own, others) else None
    return None


def _is_other_table(
    found: FileGuess, own: Sequence[Sequence[str]], others: Sequence[Sequence[str]]
) -> bool:
    """Whether the records below a void line are of another table: they begin with the same header,
    have other numbers of fields throughout, or text where the others have no text."""
    if len(others) < 2:
        return False
    width = len(found.header)
    filled = [_without_void_end(other, width) if found.header[-1] else other for other in others]
    if tuple(filled[0]) == found.header:
        return True
    if all(len(other) != width for other in filled):
        return True
    if len(filled[0]) != width or not all(field.strip(BLANKS) for field in filled[0]):
        return False
    pairs = zip(kinds_of([row for row in own if len(row) == width]), filled[0], strict=False)
    typed = [kinds_of([[field]])[0] for kind, field in pairs if kind is not None]
    return bool(typed) and not any(typed)


def _without_void_end(row: Sequence[str], width: int) -> Sequence[str]:
    """A spreadsheet fills up short rows to the width of all."""
    if len(row) != width:
        return row
    last = max((n for n, field in enumerate(row, 1) if field.strip(BLANKS)), default=0)
    return row[:last]


def has_void_line(text: str, delimiter: str) -> bool:
    """Whether a line has nothing in it but delimiters and blanks."""
    return bool(re.search(rf"[\r\n](?:[ \t]|{re.escape(delimiter)})*[\r\n]", unified(text)))


def unified(text: str) -> str:
    """The text with one kind of line ends."""
    return text.replace("\r\n", "\n").replace("\r", "\n")
