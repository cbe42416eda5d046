"""What `[source.csv]` leaves out, found in each file by itself.

The schema names the columns, so a file's header is the evidence. Where it has them in a plain
reading (comma, `"`, UTF-8, the header on the first line) nothing is looked for. Otherwise other
readings are tried, without touching what is declared:

1. The encoding: what a byte order mark says, which needs no header to be believed; else UTF-16,
   where zero bytes are mostly the first or mostly the second ones of pairs.
2. The line on which the header begins: the first, then up to `TITLE_LINES` further down; but by the
   same delimiter and quote none below a line that may be a record itself, or another header, and
   would be lost. So above a header stand only lines with a column's name in them, or with something
   in one field at most, and where such a line has as many fields as the header, it could be no row:
   what is in it does not fit the column, or a required one is empty.
3. The delimiter, in the order of `DELIMITERS`. Spaces may also stand for nothing, between columns
   of a fixed width, and values would move to other columns: so none of the first lines has two
   together, or one at an end. Spaces and colons stand in names, too: so these have none of `USUAL`.
4. The quote, in the order of `QUOTES`.

The first by which the header names all columns is taken, one without nameless columns before
others. Where none does, it is that by which it names most of them, if these are two or more and
more than half: `missing_columns` then decides what that means, and a dead letter can say what is
missing. With one column only, or without a header, nothing tells.

Where `missing_columns` is "null", a plain header with most of the columns does, and one with fewer
gives way only to one that has more. A header with none of the columns is a dead letter always.

How values are written (decimal commas, words, blanks) is never detected: a header says nothing of
it, and values could be bent in silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from stagepipe.builtin.csv.dialect import LEFT_OUT, Dialect
from stagepipe.builtin.csv.encoding import UTF_8, codec_of, marked_encoding, transcoded
from stagepipe.builtin.csv.headers import LastHeader
from stagepipe.builtin.csv.layout import is_most_of, names_of
from stagepipe.builtin.csv.margins import top
from stagepipe.contracts import DeadSegment, TableSpec

DELIMITERS = (",", ";", "\t", "|", "||", "::", "§", "¦", "^", "~", "\x1f", "\x01", ":", " ")
USUAL = (",", ";", "\t", "|")
QUOTES = ('"', "'")
TITLE_LINES = 40
HEAD_BYTES = 2**20
"""So much of a file's beginning tells, and no more: however it is cut, the same is found."""
FIRST_BYTES = 2**16
"""In so much of it a header that is not on the first line has to stand."""

_ALIGNED = re.compile(rb"  |(?:\A|[\r\n]) | [\r\n]")
Options = Mapping[str, Any]
_plain_header: LastHeader[bool] = LastHeader()


def detect(head: bytes, spec: TableSpec, options: Options) -> Options:
    """The options with what the file's first MiB tells of those that were left out; what is as in
    plain files stays out."""
    if all(options.get(key) is not None for key in LEFT_OUT):
        return options
    if _plain_header.told(head, spec, options):
        return options
    wanted = {column.header for column in spec.columns if not column.is_extra}
    has_header = bool(options.get("header", True))
    plainly = len(wanted.intersection(_plain_names(head, options))) if has_header else 0
    is_enough = spec.missing_columns == "null" and is_most_of(plainly, len(wanted))
    if has_header and (is_enough or plainly == len(wanted)):
        _keep(head, spec, options)
        return options
    head = head[:HEAD_BYTES]
    options = _by_mark(head, options)
    if not has_header or len(wanted) < 2:
        return options
    best, fit = options, (plainly, True)
    for reading, names in _readings(head, wanted, spec, options):
        found = len(wanted.intersection(names)), all(names[:-1])
        if found > fit and is_most_of(found[0], len(wanted)):
            best, fit = reading, found
        if fit == (len(wanted), True):
            break
    return best


def _keep(head: bytes, spec: TableSpec, options: Options) -> None:
    """Note a header that needs nothing to be detected."""
    dialect = Dialect.of(options)
    if codec_of(head, dialect.codec) == UTF_8:
        start = top(head[:HEAD_BYTES], dialect.structure, dialect.margins).start
        _plain_header.keep(head[:start], True, spec, options)


def _plain_names(head: bytes, options: Options) -> list[str]:
    """The names in the header as the file is declared, what is left out being as in plain files."""
    dialect = Dialect.of(options)
    # What follows a whole header changes nothing about it.
    for size in (FIRST_BYTES, HEAD_BYTES):
        names = _names(_text(head[:size], dialect), dialect, is_all=len(head) <= size)
        if names or len(head) <= size:
            return names
    return []


def _text(head: bytes, dialect: Dialect) -> bytes:
    """A file's beginning in UTF-8; nothing where a byte order mark contradicts the encoding."""
    try:
        return transcoded(head, codec_of(head, dialect.codec)).text
    except DeadSegment:
        return b""


def _names(text: bytes, dialect: Dialect, *, is_all: bool) -> list[str]:
    """The names in the header; none where there is no header, or, unless the text `is_all` that
    there is, where it may go on behind the text."""
    try:
        beginning = top(text, dialect.structure, dialect.margins)
        return names_of(text, beginning, dialect) if is_all or beginning.start < len(text) else []
    except DeadSegment:
        return []


def _by_mark(head: bytes, options: Options) -> Options:
    encoding = marked_encoding(head)
    if options.get("encoding") is not None or encoding in (None, UTF_8):
        return options
    return {**options, "encoding": encoding}


def _readings(
    head: bytes, wanted: set[str], spec: TableSpec, options: Options
) -> Iterator[tuple[Options, list[str]]]:
    """The readings of a file, each with the names that are in its header then."""
    if options.get("encoding") is None and (encoding := _by_zeros(head)):
        options = {**options, "encoding": encoding}
    text = _text(head, Dialect.of(options))
    is_all = len(head) < HEAD_BYTES
    skips = range(TITLE_LINES + 1) if options.get("skip_lines") is None else (0,)
    is_aligned = _ALIGNED.search(text, 0, FIRST_BYTES) is not None
    marks = [pair for pair in _marks(options) if not (is_aligned and pair.get("delimiter") == " ")]
    above: list[list[list[str]]] = [[] for _ in marks]
    is_open = [True] * len(marks)
    for skip in skips:
        if skip == 1 and len(text) > FIRST_BYTES:
            text, is_all = text[:FIRST_BYTES], False
        for number, pair in enumerate(marks):
            reading = {**options, **pair, **({"skip_lines": skip} if skip else {})}
            names = _names(text, Dialect.of(reading), is_all=is_all)
            is_below = is_open[number] and all(
                _is_title(fields, names, spec, options) for fields in above[number]
            )
            if is_below and not _is_in_names(pair.get("delimiter"), names):
                yield reading, names
            found = len(wanted.intersection(names))
            is_header = len(names) > 1 and (found > 1 or 2 * found >= len(wanted))
            is_open[number] &= not is_header and (found > 0 or sum(map(bool, names)) < 2)
            above[number] += [] if found else [names]


def _is_title(
    fields: Sequence[str], names: Sequence[str], spec: TableSpec, options: Options
) -> bool:
    """Whether a line above such a header is no record of it: nothing is in it, or one field, which
    a spreadsheet may have filled up to the header's width."""
    filled = [position for position, field in enumerate(fields) if field]
    if len(filled) != 1 or len(fields) != len(names) or len(fields) == 1:
        return len(filled) < 2
    text, name = fields[filled[0]], names[filled[0]]
    columns = {column.header: column for column in spec.columns if column.header in names}
    if any(c.required and c.default is None for c in columns.values() if c.header != name):
        return True
    column = columns.get(name)
    return column is not None and bool(Dialect.of(options).notation.unfit([text], column))


def _is_in_names(delimiter: str | None, names: list[str]) -> bool:
    """Whether what divides the header stands within names, perhaps, and another one divides it."""
    return delimiter in (" ", ":") and any(mark in name for mark in USUAL for name in names)


def _by_zeros(head: bytes) -> str | None:
    """The order of bytes of UTF-16 that has ASCII in it. A few zeros may be in any file, and a few
    characters of UTF-16 have theirs on the other side."""
    size = len(head[:FIRST_BYTES]) // 2
    first, second = head[:FIRST_BYTES:2].count(0), head[1:FIRST_BYTES:2].count(0)
    if 16 * max(first, second) < size or 4 * min(first, second) >= max(first, second):
        return None
    return "utf-16-be" if first > second else "utf-16-le"


def _marks(options: Options) -> Iterator[Options]:
    """Delimiters and quotes that go together, and with what else is declared."""
    delimiters = DELIMITERS if options.get("delimiter") is None else (options["delimiter"],)
    quotes = QUOTES if options.get("quote") is None else (options["quote"],)
    escape, comment = options.get("escape") or "", options.get("comment") or ""
    for delimiter, quote in product(delimiters, quotes):
        in_delimiter = quote and quote in delimiter, escape and escape in delimiter
        in_comment = comment and (delimiter in comment or (quote and quote in comment))
        if not any(in_delimiter) and not in_comment:
            found = {"delimiter": delimiter, "quote": quote}
            yield {
                key: mark
                for key, mark in found.items()
                if options.get(key) is None and mark != LEFT_OUT[key]
            }
