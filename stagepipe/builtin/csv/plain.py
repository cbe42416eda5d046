"""Copies of records in the plain form that the parsers know.

What they do not know is taken apart record by record: delimiters of several bytes, quotes that are
not ASCII, escapes, and comments between the records. The copy has the records alone, each on a line
of its own, and knows where each one is from; all that follows is the same code for all files.

The records that the copy holds are counted once more in another way, mark by mark, and what is
between them is looked at line by line, so that none is lost here in silence.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass, replace
from itertools import accumulate

from stagepipe.builtin.csv.patterns import escaped
from stagepipe.builtin.csv.search import is_found
from stagepipe.builtin.csv.structure import Span, Structure

_WRITTEN_LINE = re.compile(rb"[^\r\n]+")
_END = re.compile(rb"[\r\n]")
PLAIN = Structure(b",", b'"')


@dataclass(frozen=True, slots=True)
class Copy:
    """Records in plain form. `structure` is theirs; each begins at one of `starts` and is copied
    from one of `spans`; `unclosed` are those that have no plain form, as a quote is not closed or
    closed by another's. `is_sound` says whether counting otherwise found as many."""

    data: bytes
    structure: Structure
    starts: list[int]
    spans: list[Span]
    unclosed: list[Span]
    is_sound: bool

    def span(self, offset: int) -> Span:
        """The record from which the one is that begins at an offset of the copy."""
        return self.spans[bisect_left(self.starts, offset)]


def plain_copy(data: bytes, start: int, structure: Structure, width: int) -> Copy | None:
    """The records from `start` on in plain form; None when they have it as they are. By `width`,
    how many fields they should have, it goes on after a quote that nothing closes."""
    has_comment = _has_comment(data, start, structure.comment)
    if not has_comment and _is_plain_here(structure, data):
        return None
    texts: list[bytes] = []
    spans: list[Span] = []
    unclosed: list[Span] = []
    is_sound, before, since, counted = True, start, start, 0
    for span in structure.spans(data, start, width):
        is_sound &= _is_gap(data[before : span.start], structure.comment)
        before = span.end
        if not span.is_closed or structure.is_torn(data, span):
            counted += count_by_marks(data, since, span.start, structure)
            since = span.end
            unclosed.append(span)
            continue
        record = data[span.start : span.end]
        texts.append(record if structure.is_plain else _plain(record, structure))
        spans.append(span)
    is_sound &= _is_gap(data[before:], structure.comment)
    counted += count_by_marks(data, since, len(data), structure)
    is_sound &= counted == len(texts)
    copied = Structure(structure.delimiter, structure.quote) if structure.is_plain else PLAIN
    starts = list(accumulate((len(text) + 1 for text in texts), initial=0))[:-1]
    whole = b"\n".join([*texts, b""])
    return Copy(whole, copied, starts, spans, unclosed, is_sound)


def _is_plain_here(structure: Structure, data: bytes) -> bool:
    """Whether the data are plain, if only because there is nothing in them to escape."""
    if structure.escape and structure.escape not in data:
        structure = replace(structure, escape=b"")
    return structure.is_plain


def _plain(record: bytes, structure: Structure) -> bytes:
    if structure.has_marks(record) or b'"' in structure.delimiter:
        texts = (text.replace(b'"', b'""') for text in structure.split(record))
        return b'"' + b'","'.join(texts) + b'"'
    return b'"' + record.replace(b'"', b'""').replace(structure.delimiter, b'","') + b'"'


def _has_comment(data: bytes, start: int, comment: bytes) -> bool:
    """Whether a line begins like a comment, be it one or not."""
    if not comment or comment not in data:
        return False
    mark = "".join(f"\\x{byte:02x}" for byte in comment)
    return is_found(f"(?:^|[\\r\\n]){mark}", data, start)


def _is_gap(between: bytes, comment: bytes) -> bool:
    """Whether there are only blank lines and comments between two records."""
    lines = re.split(rb"[\r\n]+", between) if between.strip(b"\r\n") else []
    return all(not line or (comment and line.startswith(comment)) for line in lines)


def count_by_marks(data: bytes, start: int, stop: int, structure: Structure) -> int:
    """How many records begin from `start` on and before `stop`, going from mark to mark; one that
    is not closed there is none. It shares no pattern with `Structure.spans`."""
    marks = [re.escape(structure.delimiter), rb"\r\n|\r|\n"]
    if structure.quote:
        marks.insert(0, re.escape(structure.quote))
    if structure.escape:
        marks.insert(0, escaped(structure.escape))
    if not structure.comment and not structure.has_marks(data):
        return len(_WRITTEN_LINE.findall(data, start, stop))
    search = re.compile(b"|".join(marks), re.DOTALL).search
    quote, records, record, at = structure.quote, 0, start, start
    is_field_start, is_quoted = True, False
    while at < stop:
        if at == record and structure.comment and data.startswith(structure.comment, at):
            end = _END.search(data, at, stop)
            record = at = end.end() if end else stop
            continue
        found = search(data, at, stop)
        if found is None:
            break
        mark, behind = found[0], found.end()
        if quote and mark == quote:
            if is_quoted and data.startswith(quote, behind):
                behind += len(quote)
            elif is_quoted:
                is_quoted = False
            else:
                is_quoted = is_field_start and found.start() == at
            is_field_start = False
        elif mark == structure.delimiter:
            is_field_start = True
        elif mark in (b"\r\n", b"\r", b"\n"):
            if not is_quoted:
                records += found.start() > record
                record, is_field_start = behind, True
        else:
            is_field_start = False
        at = behind
    return records + (record < stop and not is_quoted)
