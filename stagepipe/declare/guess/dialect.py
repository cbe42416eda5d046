"""How a file's records are divided into fields, from the beginning of its bytes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from stagepipe.declare.guess.columns import BLANKS, Evidence, is_odd
from stagepipe.declare.guess.records import Marks, lines_of, numbered_records, records

DELIMITERS = (",", ";", "\t", "|")
"""What may stand between two fields, in the order in which it is tried."""

RARE_DELIMITERS = ("::", "§", "¦", "\x1f", "\x01", "^", "~", ":", " ")
"""What is tried when none of those divides anything; it has to divide more, and all records."""

DOUBLED = "||"
"""What is tried before all others, by which every second field would be void."""

SAMPLED_RECORDS = 1000
"""So many records tell the delimiter."""

SURE_SHARE = 0.9
"""When more of the records than this agree with the header, the number of fields decides."""

ONE_COLUMN = 2**20
"""Characters of a file of one column in which its delimiter must not stand."""

TITLE_RECORDS = 20
"""At most so many records stand above a header."""


@dataclass(frozen=True, slots=True)
class FileGuess:
    """How a file is written, its header, and whether that looks like a record. `title_lines` stand
    above the header, which is made of `header_records` and ends on the line `header_end`; without
    one the columns are numbered. `has_void_end` says that each record ends with a delimiter, behind
    which no column is. `others` are delimiters by which the file could be divided too."""

    delimiter: str
    header: tuple[str, ...]
    is_header_odd: bool
    quote: str = '"'
    title_lines: int = 0
    others: tuple[str, ...] = ()
    escape: str = ""
    comment: str = ""
    header_records: int = 1
    header_end: int = 0
    has_void_end: bool = False
    encoding: str = "utf-8"
    footer_lines: int = 0
    has_other_tables: bool = False

    @property
    def marks(self) -> Marks:
        """What divides the file into records and fields."""
        return Marks(self.delimiter, self.quote, self.escape, self.comment)

    @property
    def is_by_position(self) -> bool:
        """Whether the header does not name each column, once: it is gone over, and the columns
        stand in the schema in the file's order."""
        named = [name.strip(BLANKS) for name in self.names_in_file]
        return len(set(named)) < len(named) or "" in named

    @property
    def names(self) -> tuple[str, ...]:
        """A name for each column: that in the header, or one of its own."""
        return _own_names(self.names_in_file) if self.is_by_position else self.names_in_file

    @property
    def names_in_file(self) -> tuple[str, ...]:
        """What the header has for each column, be it nothing."""
        return self.header[:-1] if self.has_void_end else self.header

    @property
    def skip_lines(self) -> int:
        """How many lines stand above what is read."""
        return self.header_end if self.is_by_position else self.title_lines

    @property
    def keys(self) -> dict[str, Any]:
        """What has to be declared, as keys of `[source.csv]`."""
        header = {0: False, 1: True}.get(self.header_records, self.header_records)
        header = False if self.is_by_position else header
        return {
            **({} if self.encoding == "utf-8" else {"encoding": self.encoding}),
            "delimiter": self.delimiter,
            **({} if self.quote == '"' else {"quote": self.quote}),
            **({"escape": self.escape} if self.escape else {}),
            **({"comment": self.comment} if self.comment else {}),
            **({"skip_lines": self.skip_lines} if self.skip_lines else {}),
            **({} if header is True else {"header": header}),
            **({"skip_footer": self.footer_lines} if self.footer_lines else {}),
            **({"tables": "first"} if self.has_other_tables else {}),
        }

    def data_records(self, text: str, *, is_whole: bool) -> Iterator[list[str]]:
        """The records after the header of a text that begins the file."""
        skipped = records(text, self.marks, is_whole=is_whole, skip=self.title_lines)
        return islice(skipped, self.header_records, None)


def _own_names(header: Sequence[str]) -> tuple[str, ...]:
    """The names, with a number behind those that stand there a second time and in the place of
    those that are missing."""
    taken = {name.strip(BLANKS) for name in header}
    names: list[str] = []
    for position, raw in enumerate(header, 1):
        name = raw.strip(BLANKS)
        if not name or name in names:
            base = name or "column"
            number = position if not name else 2
            while f"{base}_{number}" in taken:
                number += 1
            name = f"{base}_{number}"
            taken.add(name)
        names.append(name)
    return tuple(names)


def guess_dialect(text: str, *, is_whole: bool) -> FileGuess | None:
    """The delimiter, the quote and the header; None where there is no record at all.

    The delimiter is the one by which the header has the most fields among those by which the
    records have as many as the header. Where the header has one field by each of them, the file
    has one column, unless it is a title above a header. Raises ValueError when the first record is
    divided, the records otherwise, and there is no header further down.
    """
    if doubled := _by_doubled(text, is_whole=is_whole):
        return doubled
    best: tuple[bool, int, bool, float] | None = None
    found: FileGuess | None = None
    divided: list[str] = []
    sure: list[str] = []
    header: list[str] = []
    for quote in _quotes(text):
        for delimiter in DELIMITERS:
            header, share = _header(text, delimiter, quote, is_whole=is_whole)
            if len(header) < 2:
                continue
            divided.append(delimiter)
            if share > SURE_SHARE:
                sure.append(delimiter)
            # A quote that is missing in one record is no reason to take quotes for text in all.
            rank = (share > SURE_SHARE, len(header), bool(quote) and share > SURE_SHARE, share)
            if share > 0.5 and (best is None or rank > best):
                best = rank
                found = FileGuess(delimiter, tuple(header), is_odd(header), quote)
    if found is not None:
        others = tuple(each for each in dict.fromkeys(sure) if each != found.delimiter)
        return replace(found, others=others)
    if not header:
        return None
    if below := _below_title(text, is_whole=is_whole):
        return below
    if divided:
        raise ValueError(
            f"its first record has several fields by {' or '.join(map(repr, divided))}, most "
            "others do not have as many: it is no header, or the file is no CSV"
        )
    return _by_rare(text, is_whole=is_whole) or FileGuess(
        _absent_from(text), tuple(header), is_odd(header)
    )


def _header(text: str, delimiter: str, quote: str, *, is_whole: bool) -> tuple[list[str], float]:
    """The first record, and the share of the others that have as many fields."""
    header, *others = _first_records(text, delimiter, quote, is_whole=is_whole) or [[]]
    share = Counter(map(len, others))[len(header)] / len(others) if others else 1.0
    return header, share


def _quotes(text: str) -> tuple[str, ...]:
    """The quotes to try; that of most files first."""
    edge = f"(?:^|[{re.escape(''.join(DELIMITERS))}])"
    if not re.search(f'{edge}"', text, re.M):
        opened = len(re.findall(f"{edge}'", text, re.M))
        whole = rf"{edge}'(?:[^'\r\n]|'')*'(?=$|\r|[{re.escape(''.join(DELIMITERS))}])"
        if opened > 1 and len(re.findall(whole, text, re.M)) > SURE_SHARE * opened:
            return ("'",)
        return ('"',)
    return ('"', "")


def _by_rare(text: str, *, is_whole: bool) -> FileGuess | None:
    """The file by a delimiter that few files have."""
    for delimiter in RARE_DELIMITERS:
        header, *others = _first_records(text, delimiter, '"', is_whole=is_whole) or [[]]
        least = 3 if delimiter in ": " else 2
        if len(header) < least or not others or not all(header) or is_odd(header):
            continue
        if all(len(each) == len(header) for each in others):
            return FileGuess(delimiter, tuple(header), is_header_odd=False)
    return None


def _by_doubled(text: str, *, is_whole: bool) -> FileGuess | None:
    """The file by a doubled delimiter, where the single one stands nowhere by itself."""
    if DOUBLED not in text:
        return None
    rows = _first_records(text, DOUBLED, '"', is_whole=is_whole)
    width = len(rows[0]) if rows else 0
    is_even = width > 1 and len(rows) > 1 and all(len(row) == width for row in rows)
    if not is_even or not all(rows[0]) or any(DOUBLED[0] in name for name in rows[0]):
        return None
    return FileGuess(DOUBLED, tuple(rows[0]), is_odd(rows[0]))


def _below_title(text: str, *, is_whole: bool) -> FileGuess | None:
    """The file without lines above its header, where most records from some record on have as many
    fields as that one, and those above have others. Texts may have delimiters in them, with a blank
    behind mostly: a title is told by a header unlike the records below it, or above three columns
    or more by a blank line, or by several lines of which it is made."""
    best: FileGuess | None = None
    for delimiter in DELIMITERS:
        counts: list[int] = []
        lines: list[int] = []
        for number, fields in numbered_records(text, Marks(delimiter)):
            counts.append(len(fields))
            lines.append(number)
            if len(counts) > SAMPLED_RECORDS:
                break
        if not is_whole:
            counts = counts[:-1]
        (width, times), *_ = Counter(counts).most_common(1) or [(0, 0)]
        least = 3 if delimiter == "," else 2
        row = counts.index(width) if times else 0
        if width < least or not 0 < row <= TITLE_RECORDS or times < 2:
            continue
        if times <= SURE_SHARE * (len(counts) - row):
            continue
        skip = lines[row - 1]
        header, *others = islice(
            records(text, Marks(delimiter), is_whole=True, skip=skip), SAMPLED_RECORDS
        )
        is_apart = width > 2 and (row > 1 or _has_blank_line(text, skip))
        is_prose = all(name.startswith(" ") for name in header[1:])
        even = [other for other in others if len(other) == width]
        if is_prose or not (is_apart or is_headed([header, *even])):
            continue
        if is_odd(header) or (best is not None and len(best.header) >= len(header)):
            continue
        best = FileGuess(delimiter, tuple(header), is_header_odd=False, title_lines=skip)
    return best


def _has_blank_line(text: str, lines: int) -> bool:
    """Whether a line stands behind so many others that has nothing in it."""
    return any(not line.strip() for line in islice(lines_of(text), lines + 1))


def is_headed(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first of the rows is text where the others are of a type."""
    cells = zip(kinds_of(rows[1:]), kinds_of(rows[:1]), rows[0], strict=False)
    typed = [(of_first, name) for kind, of_first, name in cells if kind is not None]
    return any(name.strip(BLANKS) for _, name in typed) and not any(kind for kind, _ in typed)


def kinds_of(rows: Sequence[Sequence[str]]) -> list[str | None]:
    """The type of each column; None for text."""
    width = max(map(len, rows), default=0)
    kinds: list[str | None] = []
    for column in range(width):
        evidence = Evidence("")
        evidence.add(row[column] for row in rows if len(row) == width)
        kinds.append(next((reading.type for reading in evidence.readings()), None))
    return kinds


def _absent_from(text: str) -> str:
    """A delimiter for a file of one column: none that stands in its texts."""
    return next(each for each in (*DELIMITERS, "\x1f", "\x1e") if each not in text[:ONE_COLUMN])


def _first_records(text: str, delimiter: str, quote: str, *, is_whole: bool) -> list[list[str]]:
    found: list[list[str]] = []
    for fields in records(text, Marks(delimiter, quote), is_whole=is_whole):
        found.append(fields)
        if len(found) > SAMPLED_RECORDS:
            break
    if not found and not is_whole:  # the header is all there is, or longer than all that was read
        found = list(records(text, Marks(delimiter, quote), is_whole=True))[:1]
    return found
