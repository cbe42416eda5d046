"""Which records of a file are its header, if any.

A record that is taken for a part of the header is lost, so there has to be good evidence for more
than one line: a header that does not name each column once, though the lines below say more, and
these lines unlike all records below them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from stagepipe.declare.guess.columns import BLANKS, NULLS
from stagepipe.declare.guess.dialect import (
    SAMPLED_RECORDS,
    TITLE_RECORDS,
    FileGuess,
    is_headed,
    kinds_of,
)
from stagepipe.declare.guess.records import numbered_records

HEADER_RECORDS = 3
Row = Sequence[str]


def with_header(found: FileGuess, text: str, *, is_whole: bool) -> FileGuess:
    """The guess with the header's records: none where the first looks like the others, more than
    one where it takes these to name each column, once."""
    first = numbered_records(text, found.marks, found.title_lines)
    numbered = list(islice(first, SAMPLED_RECORDS + 1))
    if len(numbered) > SAMPLED_RECORDS or not is_whole:
        numbered = numbered[:-1] or numbered
    lines, rows = [number for number, _ in numbered], [fields for _, fields in numbered]
    if not rows:
        return found
    found = replace(found, header_end=lines[0], has_void_end=_has_void_end(rows))
    is_named = not found.is_by_position
    if len(rows) > 1 and _is_no_header(found, rows):
        made_up = tuple(f"column_{number}" for number in range(1, len(rows[0]) + 1))
        return replace(found, header=made_up, header_records=0, has_void_end=False)
    if titles := _padded_titles(rows):
        return replace(
            found,
            header=tuple(rows[titles]),
            title_lines=lines[titles - 1],
            header_end=lines[titles],
            has_void_end=False,
            is_header_odd=False,
        )
    if is_named:
        return found
    for number in range(2, min(HEADER_RECORDS, len(rows) - 1) + 1):
        if names := _names_of_several(rows, number):
            return replace(
                found,
                header=names,
                header_records=number,
                header_end=lines[number - 1],
                has_void_end=False,
            )
    return found


def _is_no_header(found: FileGuess, rows: Sequence[Row]) -> bool:
    if found.is_header_odd:
        return _is_record(rows)
    return found.is_by_position and _is_like_below(rows)


def _has_void_end(rows: Sequence[Row]) -> bool:
    """Whether each record ends with a delimiter, and the header names all columns but what would be
    a last one."""
    header, *others = rows
    names = [name.strip(BLANKS) for name in header[:-1]]
    is_named = bool(names) and all(names) and len(set(names)) == len(names)
    ends = [row[-1] for row in others if len(row) == len(header)]
    return is_named and header[-1] == "" and not any(end.strip(BLANKS) for end in ends)


def _is_like_below(rows: Sequence[Row]) -> bool:
    """Whether a header that does not name each column once has a value in it that stands in its
    column again, or is of the column's type. Years and numbers in a row are names."""
    header, *others = rows
    if _are_years_or_in_a_row([name for name in header if name.strip(BLANKS)]):
        return False
    even = [row for row in others if len(row) == len(header)]
    columns = zip(header, kinds_of(even), kinds_of([header]), strict=False)
    return any(
        name.strip(BLANKS) and (any(row[n] == name for row in even) or (kind and own))
        for n, (name, kind, own) in enumerate(columns)
    )


def _are_years_or_in_a_row(names: Sequence[str]) -> bool:
    return _are_years(names) or _are_in_a_row(_numbers(names))


def _are_years(names: Sequence[str]) -> bool:
    """Whether they are years, each another one: what begins with a zero is none."""
    years = {name for name in names if re.fullmatch("(?:19|20)[0-9][0-9]", name)}
    return len(years) == len(names) > 1


def _numbers(names: Sequence[str]) -> list[int]:
    """The numbers that names are; none where one of them is no number."""
    are_numbers = all(re.fullmatch("[0-9]{1,9}", name) for name in names)
    return [int(name) for name in names] if are_numbers else []


def _are_in_a_row(numbers: Sequence[int]) -> bool:
    return len(numbers) > 1 and [*numbers] == [*range(numbers[0], numbers[0] + len(numbers))]


def _names_of_several(rows: Sequence[Row], number: int) -> tuple[str, ...] | None:
    """The names that so many lines make together; None where they do not name each column once, or
    the lines below the first might be records: in most columns they have texts, and the records
    below have values of a type."""
    width = len(rows[0])
    if any(len(row) != width for row in rows[:number]):
        return None
    names = tuple(
        " ".join(filter(None, (part.strip(BLANKS) for part in parts)))
        for parts in zip(*rows[:number], strict=True)
    )
    if not all(names) or len(set(names)) < width:
        return None
    kinds = kinds_of([row for row in rows[number:] if len(row) == width])
    unlike = [
        kind is not None and any(_is_word(row[column]) for row in rows[1:number])
        for column, kind in enumerate(kinds)
    ]
    has_values = any(kind for row in rows[1:number] for kind in kinds_of([row]))
    return names if 2 * sum(unlike) > width and not has_values else None


def _is_word(field: str) -> bool:
    text = field.strip(BLANKS)
    return bool(text) and text not in NULLS


def _padded_titles(rows: Sequence[Row]) -> int:
    """How many of the first rows are titles that a spreadsheet filled up to the width of all: each
    with one text at most, above a row that names each column once by itself, and is unlike the
    records below it."""
    width = len(rows[0]) if rows else 0
    for number, row in enumerate(rows[: TITLE_RECORDS + 1]):
        filled = [field.strip(BLANKS) for field in row if field.strip(BLANKS)]
        if len(row) != width or width < 2:
            return 0
        if len(filled) > 1:
            is_header = len(set(filled)) == width and not any(kinds_of([row]))
            below = [other for other in rows[number:] if len(other) == width]
            return number if is_header and (number > 1 or is_headed(below)) else 0
    return 0


def _is_record(rows: Sequence[Row]) -> bool:
    """Whether the first of the rows has values where the others have values of a type. Years, one
    after the other, are names."""
    first, *others = rows
    if _are_years(first) and _are_in_a_row(_numbers(first)):
        return False
    together = zip(kinds_of(others), kinds_of(rows), strict=True)
    typed = [with_first for kind, with_first in together if kind is not None]
    return bool(typed) and None not in typed
