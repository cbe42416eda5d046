"""What of a file's text is read as no record, or as another thing than it looks like, in words.

What stands before the first colon is the same for files of the same kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice

from stagepipe.declare.guess.columns import BLANKS
from stagepipe.declare.guess.dialect import SAMPLED_RECORDS, FileGuess
from stagepipe.declare.guess.records import comments_of, lines_of, unclosed
from stagepipe.unclosed import LOOK_AHEAD

SHOWN_LINES = 3
LONGEST_LINE = 60


def quoted(lines: Sequence[str]) -> str:
    """Some lines of a file as a message has them: the first ones, cut."""
    shown = [repr(line.rstrip("\r\n")[:LONGEST_LINE]) for line in lines[:SHOWN_LINES]]
    more = len(lines) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")


def doubts_of(found: FileGuess, text: str, *, is_whole: bool) -> Iterator[str]:
    """What is to be said of a file that begins with this text."""
    lines = list(islice(lines_of(text), max(found.header_end, found.title_lines)))
    if titles := lines[: found.title_lines]:
        yield f"lines above the header: {found.title_lines}: {quoted(titles)}"
    if found.header_records > 1:
        header = [line for line in lines[found.title_lines :] if line.strip()]
        yield f"the header has {found.header_records} lines: {quoted(header)}"
    if comments := comments_of(text, found.marks, found.title_lines):
        yield f"lines left out as comments: {len(comments):,} seen: {quoted(comments)}"
    if found.is_header_odd and found.header_records:
        yield "the first record looks like no header, and is taken for one"
    if not found.header_records:
        yield "the first record looks like no header, so there is none, and names are made up"
    yield from _names_told(found)
    if found.has_other_tables:
        yield "other tables follow: each is one reject"
    if found.others:
        yield f"divided by {' or '.join(map(repr, found.others))} the records are even too"
    yield from _quotes_told(found, text, is_whole=is_whole)
    rows = list(islice(found.data_records(text, is_whole=is_whole), SAMPLED_RECORDS))
    if rows and all(re.fullmatch("-+", field.strip(BLANKS)) for field in rows[0]):
        line = found.delimiter.join(rows[0])
        yield f"the first record looks like a line below the header, and is kept: {quoted([line])}"


def _names_told(found: FileGuess) -> Iterator[str]:
    if found.is_by_position:
        names = [name.strip(BLANKS) for name in found.header]
        pairs = zip(names, found.names, strict=False)
        made = ", ".join(repr(own) for name, own in pairs if name != own)
        yield (
            "the header does not name each column, once, so it is gone over and columns are read "
            f"by their order: named here {made}"
        )


def _quotes_told(found: FileGuess, text: str, *, is_whole: bool) -> Iterator[str]:
    first, last = found.header[0], found.header[-1]
    if not found.quote and first.startswith('"') and last.endswith('"') and first.count('"') == 1:
        yield (
            "lines have quotes around them as a whole, which stay in the first and the last "
            f"column: {quoted(found.header)}"
        )
    elif not found.quote and any('"' in name for name in found.header):
        names = quoted(found.header)
        yield f"the header has a quote that nothing closes, so quotes are text: {names}"
    for record in unclosed(text, found.marks, found.title_lines):
        behind = record.lines - (record.opened or 0)
        where = f"a quote that nothing closes: it opens on line {record.opened}"
        if record.is_resumed:
            yield f"{where}, and reading goes on below it"
        elif is_whole:
            yield f"{where}, and the record goes on to the end of the file"
        elif behind >= LOOK_AHEAD:
            yield f"{where}, and nothing of the {behind:,} lines that were read below it was seen"
