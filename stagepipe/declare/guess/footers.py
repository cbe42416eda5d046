"""Which of a file's last lines are no records, but a footer.

Taking one off that is a record would lose it, so it has to say what it is, and to look otherwise
than the records do: with fewer fields than the header, with its word in a column of numbers or
dates, with nothing in columns that are never empty, or with the sum or the number of what stands
above it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import product

from stagepipe.declare.guess.columns import BLANKS
from stagepipe.declare.guess.dialect import kinds_of
from stagepipe.declare.guess.numbers import GROUPS, POINTS

FOOTER_LINES = 5
_TOTAL = r"(?:grand )?(?:total|totals|sum|summe|gesamt|insgesamt|saldo)"
_END = (
    r"end of (?:file|data|report)\b|dateiende\b|eof\W*$"
    r"|(?:records|rows|lines|anzahl|zeilen)\s*:|[0-9]+ (?:records|rows|lines|zeilen)\b"
)
_FOOTER = re.compile(rf"(?i)\W*(?:{_TOTAL}\b|{_END})")
_SURE = re.compile(rf"(?i)\W*(?:{_TOTAL}\W*$|{_END})")
"""Says nothing more than a footer does; a name may begin with one of its words."""

Row = Sequence[str]


def footer_lines(rows: Sequence[Row], lines: Sequence[str], width: int, *, is_all: bool) -> int:
    """How many of a file's last lines are a footer. `rows` are its last records, or all of them,
    and `lines` its last lines that are not blank."""
    number = 0
    while number < min(FOOTER_LINES, len(rows) - 1, len(lines)):
        *above, row = rows[: len(rows) - number]
        filled = _filled(row)
        is_line = bool(filled) and filled[0].strip(BLANKS) in lines[-1 - number]
        if not is_line or not _is_footer(row, above, width, is_all=is_all):
            break
        number += 1
    return number


def looks_like_footer(record: Row, width: int) -> bool:
    """Whether a file's last record looks like none: it has fewer fields, or speaks of a total."""
    filled = _filled(record)
    return len(record) < width or bool(filled and _FOOTER.match(filled[0]))


def _is_footer(row: Row, above: Sequence[Row], width: int, *, is_all: bool) -> bool:
    first = _filled(row)[0]
    if len(row) < width:
        return bool(_FOOTER.match(first))
    if len(row) != width or width < 2 or not _SURE.match(first):
        return False
    even = [other for other in above if len(other) == width]
    kind = kinds_of(even)[row.index(first)] if even else None
    return kind is not None or _is_odd_void(row, even) or (is_all and _adds_up(row, even))


def _is_odd_void(row: Row, above: Sequence[Row]) -> bool:
    """Whether nothing stands in the row but its word, and above it a column is never empty."""
    others = [column for column, field in enumerate(row) if not field.strip(BLANKS)]
    is_alone = len(others) == len(row) - 1
    return is_alone and any(
        all(other[column].strip(BLANKS) for other in above) for column in others
    )


def _adds_up(row: Row, above: Sequence[Row]) -> bool:
    """Whether a number in the row is the sum of those above it, or how many records these are."""
    for column, field in enumerate(row):
        if field.strip(BLANKS).isdecimal() and int(field) == len(above) > 1:
            return True
        values = [other[column] for other in above if other[column].strip(BLANKS)]
        for numbers in _readings([*values, field]):
            *parts, total = numbers
            if len(parts) > 1 and sum(parts) == total != 0:
                return True
    return False


def _readings(texts: Sequence[str]) -> Iterator[list[Decimal]]:
    """The texts as numbers, by each pair of signs by which all of them are some."""
    for point, group in product(POINTS, ("", *GROUPS)):
        plain = [text.strip(BLANKS).replace(group, "") for text in texts]
        if group != point and all(re.fullmatch(rf"-?[0-9]+(?:[{point}][0-9]+)?", t) for t in plain):
            yield [Decimal(text.replace(point, ".")) for text in plain]


def _filled(row: Row) -> list[str]:
    return [field for field in row if field.strip(BLANKS)]
