"""What stands in a file besides its records, and how its header is made: guessed from its text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, islice

from stagepipe.declare.guess.columns import BLANKS, Evidence
from stagepipe.declare.guess.dialect import (
    FOOTER,
    SAMPLED_RECORDS,
    TITLE_RECORDS,
    FileGuess,
    guess_dialect,
)
from stagepipe.declare.guess.records import (
    lines_of,
    numbered_records,
    records,
    with_blank_lines,
)

COMMENTS = ("#", "//", "--")
HEADER_RECORDS = 3
FOOTER_LINES = 5
_VOID = r"[ \t,;|]*"
"""What a line between tables has in it, where the delimiter is not known yet."""


def guess_file(text: str, *, is_whole: bool) -> FileGuess | None:
    """How a file is written whose text begins like this; None where there is no record at all.
    Raises ValueError where it cannot be told."""
    found = _of_first_table(text) or _with_comments(text, is_whole=is_whole)
    if found is None:
        found = _with_escape(text, is_whole=is_whole)
    if found is None:
        return None
    end = first_table_end(text, found)
    if end is not None:
        found = replace(found, has_other_tables=True)
        text, is_whole = text[:end], True
    return _with_header(found, text, is_whole=is_whole)


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
        if len(found.header) < 2 or len(rows) < 2 or not _is_headed(rows):
            return None
        return found if first_table_end(text, found) == void.end() else None
    return None


def _is_headed(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first of the rows is text where the others are of a type."""
    pairs = zip(_kinds(rows[1:]), _kinds(rows[:1]), strict=False)
    typed = [of_first for kind, of_first in pairs if kind is not None]
    return bool(typed) and not any(typed)


def _with_comments(text: str, *, is_whole: bool) -> FileGuess | None:
    """The guess where lines that begin alike are no records, most of them by their number of
    fields."""
    for mark in COMMENTS:
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
        fields = [next(records(line, found.marks, is_whole=True), [""]) for line in marked]
        odd = sum(len(each) != len(found.header) for each in fields)
        if 2 * odd > len(marked):
            return replace(found, comment=mark, title_lines=_lines_above(lines, mark, found))
    return None


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


def _with_header(found: FileGuess, text: str, *, is_whole: bool) -> FileGuess:
    """The guess with the header's records: none where the first looks like the others, more than
    one where it takes these to name each column, once."""
    first = records(text, found.marks, is_whole=is_whole, skip=found.title_lines)
    rows = list(islice(first, SAMPLED_RECORDS))
    if len(rows) > 1 and found.is_header_odd and _is_record(rows):
        names = tuple(f"column_{number}" for number in range(1, len(rows[0]) + 1))
        return replace(found, header=names, header_records=0)
    if titles := _padded_titles(rows):
        lines = [number for number, _ in numbered_records(text, found.marks, found.title_lines)]
        header = tuple(rows[titles])
        return replace(found, header=header, title_lines=lines[titles - 1], is_header_odd=False)
    for number in range(1, min(HEADER_RECORDS, len(rows) - 1) + 1):
        width = len(found.header)
        if any(len(row) != width for row in rows[:number]):
            break
        names = tuple(
            " ".join(filter(None, (part.strip(BLANKS) for part in parts)))
            for parts in zip(*rows[:number], strict=True)
        )
        if number > 1 and _kinds(rows[number - 1 : number]).count(None) < width:
            break
        if all(names) and len(set(names)) == width:
            return found if number == 1 else replace(found, header=names, header_records=number)
    return found


def _padded_titles(rows: Sequence[Sequence[str]]) -> int:
    """How many of the first rows are titles that a spreadsheet filled up to the width of all: each
    with one text at most, above a row that names each column once by itself."""
    width = len(rows[0]) if rows else 0
    for number, row in enumerate(rows[: TITLE_RECORDS + 1]):
        filled = [field.strip(BLANKS) for field in row if field.strip(BLANKS)]
        if len(row) != width or width < 2:
            return 0
        if len(filled) > 1:
            is_header = len(set(filled)) == width and not any(_kinds([row]))
            return number if is_header else 0
    return 0


def _is_record(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first of the rows has values where the others have values of a type. Years, one
    after the other, are names."""
    first, *others = rows
    years = [int(name) for name in first if re.fullmatch("(?:19|20)[0-9][0-9]", name)]
    if len(years) == len(first) > 1 and years == list(range(years[0], years[0] + len(years))):
        return False
    together = zip(_kinds(others), _kinds(rows), strict=True)
    typed = [with_first for kind, with_first in together if kind is not None]
    return bool(typed) and None not in typed


def _kinds(rows: Sequence[Sequence[str]]) -> list[str | None]:
    """The type of each column; None for text."""
    width = max(map(len, rows), default=0)
    kinds: list[str | None] = []
    for column in range(width):
        evidence = Evidence("")
        evidence.add(row[column] for row in rows if len(row) == width)
        kinds.append(next((reading.type for reading in evidence.readings()), None))
    return kinds


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
    filled = [_without_void_end(other, width) for other in others]
    if tuple(filled[0]) == found.header:
        return True
    if all(len(other) != width for other in filled):
        return True
    if len(filled[0]) != width or not all(field.strip(BLANKS) for field in filled[0]):
        return False
    pairs = zip(_kinds([row for row in own if len(row) == width]), filled[0], strict=False)
    typed = [_kinds([[field]])[0] for kind, field in pairs if kind is not None]
    return bool(typed) and not any(typed)


def _without_void_end(row: Sequence[str], width: int) -> Sequence[str]:
    """A spreadsheet fills up short rows to the width of all."""
    if len(row) != width:
        return row
    last = max((n for n, field in enumerate(row, 1) if field.strip(BLANKS)), default=0)
    return row[:last]


def footer_lines(rows: Sequence[Sequence[str]], lines: Sequence[str]) -> int:
    """How many of a file's last lines are no records, but say so: `Total`, `end of file`. `rows`
    are its last records, `lines` its last lines that are not blank."""
    number = 0
    for row, line in zip(reversed(rows), reversed(lines), strict=False):
        filled = [field for field in row if field.strip(BLANKS)]
        is_line = bool(filled) and filled[0].strip(BLANKS) in line
        if not is_line or not FOOTER.match(filled[0]) or number == FOOTER_LINES:
            break
        number += 1
    return number


def has_void_line(text: str, delimiter: str) -> bool:
    """Whether a line has nothing in it but delimiters and blanks."""
    return bool(re.search(rf"[\r\n](?:[ \t]|{re.escape(delimiter)})*[\r\n]", unified(text)))


def unified(text: str) -> str:
    """The text with one kind of line ends."""
    return text.replace("\r\n", "\n").replace("\r", "\n")
