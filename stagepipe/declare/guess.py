"""Guessing how a CSV file is written and what its columns hold, from the beginning of its bytes.

Pure: who reads the files is elsewhere (`stagepipe.plan.sampling`). Records and fields are those of
Python's csv module, by whose rules the reader goes as well.

A type is taken only if every value that was seen comes back as the same text when the column is
written again in one way: `08123`, `1e5`, `+1`, and `1.5` beside `2.50` stay strings, and so nothing
that was in the file is lost by the guess. An empty field is a missing value and says nothing.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

DELIMITERS = (",", ";", "\t", "|")
"""What may stand between two fields, in the order in which it is tried."""

SAMPLED_RECORDS = 1000
"""So many records tell the delimiter."""

SURE_SHARE = 0.9
"""When more of the records than this agree with the header, the number of fields decides."""

ONE_COLUMN = 2**20
"""Characters of a file of one column in which its delimiter must not stand."""

BOM = b"\xef\xbb\xbf"
INTEGER = re.compile(r"-?[1-9][0-9]{0,18}|0")
FLOAT = re.compile(r"-?(?:0|[1-9][0-9]*)\.[0-9]+")
DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)\.([0-9]+)")
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
DATETIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([ T])[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.([0-9]{3}|[0-9]{6}))?"
)
PRECISIONS = (18, 38)
"""The digits of a guessed decimal: those of the values, and room for larger ones."""

Test = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class ColumnGuess:
    """What a column is taken for; `because` says of a string what kept it from another type."""

    name: str
    type: str
    because: str | None = None


@dataclass(frozen=True, slots=True)
class FileGuess:
    """How a file is written, its header, and whether that looks like a record."""

    delimiter: str
    header: tuple[str, ...]
    is_header_odd: bool


def text_of(data: bytes) -> str:
    """The text of a file's beginning; bytes that are no UTF-8 stand as surrogates."""
    return data.removeprefix(BOM).decode("utf-8", "surrogateescape")


def records(text: str, delimiter: str, *, is_whole: bool) -> Iterator[list[str]]:
    """The records with fields, header first. Where the text is not the whole file, its last
    record may be cut off and is left out."""
    csv.field_size_limit(2**31 - 1)
    held: list[str] = []
    for fields in csv.reader(_lines(text), delimiter=delimiter):
        if fields:
            if held:
                yield held
            held = fields
    if held and is_whole:
        yield held


def _lines(text: str) -> Iterator[str]:
    """The physical lines with their ends, as the csv module wants them."""
    start = 0
    for match in re.finditer(r"\r\n|\r|\n", text):
        yield text[start : match.end()]
        start = match.end()
    if start < len(text):
        yield text[start:]


def guess_file(text: str, *, is_whole: bool) -> FileGuess | None:
    """The delimiter and the header; None where there is no record at all.

    The delimiter is the one by which the header has the most fields among those by which the
    records have as many as the header. Where the header has one field by each of them, the file
    has one column. Raises ValueError when the header is divided, and the records otherwise.
    """
    best: tuple[bool, int, float] | None = None
    found: FileGuess | None = None
    divided: list[str] = []
    header: list[str] = []
    for delimiter in DELIMITERS:
        header, *others = _first_records(text, delimiter, is_whole=is_whole) or [[]]
        if len(header) < 2:
            continue
        divided.append(delimiter)
        share = Counter(map(len, others))[len(header)] / len(others) if others else 1.0
        rank = (share > SURE_SHARE, len(header), share)
        if share > 0.5 and (best is None or rank > best):
            best, found = rank, FileGuess(delimiter, tuple(header), _is_odd(header))
    if found is not None or not header:
        return found
    if divided:
        raise ValueError(
            f"its first record has several fields by {' or '.join(map(repr, divided))}, most "
            "others do not have as many: it is no header, or the file is no CSV"
        )
    return FileGuess(_absent_from(text), tuple(header), _is_odd(header))


def _absent_from(text: str) -> str:
    """A delimiter for a file of one column: none that stands in its texts."""
    return next(each for each in (*DELIMITERS, "\x1f", "\x1e") if each not in text[:ONE_COLUMN])


def _first_records(text: str, delimiter: str, *, is_whole: bool) -> list[list[str]]:
    found: list[list[str]] = []
    for fields in records(text, delimiter, is_whole=is_whole):
        found.append(fields)
        if len(found) > SAMPLED_RECORDS:
            break
    if not found and not is_whole:  # the header is all there is, or longer than all that was read
        found = list(records(text, delimiter, is_whole=True))[:1]
    return found


def _is_odd(header: Sequence[str]) -> bool:
    """Whether a header looks like a record: it has numbers only, or something that is no name.
    A whole number alone may be a year."""
    kinds = [next(iter(_tests(field)), None) for field in header]
    return all(kinds) or any(kind not in (None, "int64") for kind in kinds)


class Evidence:
    """What the values of one column have shown so far."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._tests: dict[str, Test] | None = None
        self._because: str | None = None

    def add(self, values: Iterable[str]) -> None:
        """Look at more values. Those that are no UTF-8 say nothing: they become rejects."""
        if self._tests == {}:
            return
        present = [value for value in values if value and is_utf8(value)]
        if not present:
            return
        tests = _tests(present[0]) if self._tests is None else self._tests
        self._tests = {word: test for word, test in tests.items() if all(map(test, present))}
        if not self._tests:
            self._because = _why_none(tests, present)

    def guess(self) -> ColumnGuess:
        """What the column is taken for; a string where there was no value."""
        if not self._tests:
            return ColumnGuess(self.name, "string", self._because)
        return ColumnGuess(self.name, next(iter(self._tests)).partition("/")[0])


def _tests(value: str) -> dict[str, Test]:
    """The types, the preferred one first, in which a value comes back as the same text, each with
    the test that says so of other values of the column. Behind a `/` stands the way in which the
    values are written."""
    found: dict[str, Test] = {
        word: test
        for word, test in (
            ("int64", _is_int),
            ("bool", _is_bool),
            ("date", _is_date),
            ("float64/1.0", _is_float),
            ("float64/1", _is_short_float),
        )
        if test(value)
    }
    if match := DECIMAL.fullmatch(value):
        scale = len(match[2])
        for precision in PRECISIONS:
            test = _decimal_test(precision, scale)
            if test(value):
                found[f"decimal({precision},{scale})"] = test
    if match := DATETIME.fullmatch(value):
        test = _datetime_test(match[1], len(match[2] or ""))
        if test(value):
            found["datetime"] = test
    return found


def _why_none(tests: Mapping[str, Test], values: Sequence[str]) -> str | None:
    """Which value kept a column from the last type that was left, in words."""
    if not tests:
        return _lost_as_number(values[0])
    first_failures = [
        (next(row for row, value in enumerate(values) if not test(value)), word)
        for word, test in tests.items()
    ]
    row, word = max(first_failures, key=lambda failure: failure[0])
    word = word.partition("/")[0]
    return _lost_as_number(values[row]) or f"{_shown(values[row])} is no {word} like the others"


def _is_int(value: str) -> bool:
    return INTEGER.fullmatch(value) is not None and -(2**63) <= int(value) < 2**63


def _is_bool(value: str) -> bool:
    return value in ("true", "false")


def _is_float(value: str) -> bool:
    return FLOAT.fullmatch(value) is not None and repr(float(value)) == value


def _is_short_float(value: str) -> bool:
    """Whether it is a float among which whole numbers are written without a point."""
    if not (INTEGER.fullmatch(value) or FLOAT.fullmatch(value)):
        return False
    return repr(float(value)).removesuffix(".0") == value


def _is_date(value: str) -> bool:
    return DATE.fullmatch(value) is not None and _is_valid(date.fromisoformat, value)


def _decimal_test(precision: int, scale: int) -> Test:
    def test(value: str) -> bool:
        match = DECIMAL.fullmatch(value)
        if match is None or len(match[2]) != scale or len(match[1]) + scale > precision:
            return False
        return value[0] != "-" or value.strip("-0.") != ""  # there is no -0.00

    return test


def _datetime_test(separator: str, digits: int) -> Test:
    def test(value: str) -> bool:
        match = DATETIME.fullmatch(value)
        if match is None or (match[1], len(match[2] or "")) != (separator, digits):
            return False
        return value[11:13] < "24" and _is_valid(datetime.fromisoformat, value)

    return test


def _is_valid(read: Callable[[str], object], value: str) -> bool:
    try:
        read(value)
    except ValueError:
        return False
    return True


def is_utf8(value: str) -> bool:
    """Whether a text that `text_of` gave was UTF-8."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _lost_as_number(value: str) -> str | None:
    """What a text that looks like a number would come back as, in words."""
    if not re.fullmatch(r"[+-]?[0-9][0-9.eE+-]*", value) or len(value) > 40:
        return None
    for read in (int, float):
        try:
            back = str(read(value))
        except ValueError:
            continue
        return None if back == value else f"{_shown(value)} would come back as {back}"
    return None


def _shown(value: str) -> str:
    text = repr(value)
    return text if len(text) <= 30 else text[:29] + "…"
