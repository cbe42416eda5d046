"""What stands above and below a file's records: lines to skip, the header, a footer."""

from __future__ import annotations

import re
from dataclasses import dataclass

from stagepipe.builtin.csv.structure import BOM, Span, Structure
from stagepipe.contracts import DeadSegment

_LINE = re.compile(rb"[^\r\n]*+(?:\r\n|\r|\n)")


@dataclass(frozen=True, slots=True)
class Margins:
    """How many physical lines to leave out at a file's start and at its end, how many records the
    header is made of, and whether the table ends where others begin (see `tables`)."""

    skip_lines: int = 0
    header_records: int = 1
    skip_footer: int = 0
    has_others: bool = False


@dataclass(frozen=True, slots=True)
class Top:
    """A file's beginning: the records of the header, where the other records begin, and how many
    fields they should have (0 when there is nothing to tell it). Without a header the first record
    tells. What comes before `settled` every segment of the file has to know."""

    header: tuple[Span, ...]
    start: int
    settled: int
    width: int
    is_closed: bool = True


def top(head: bytes, structure: Structure, margins: Margins) -> Top:
    """The beginning of a file. Raises DeadSegment where it is none."""
    start = _after_skipped(head, margins.skip_lines)
    spans: list[Span] = []
    end = start
    for _ in range(max(margins.header_records, 1)):
        span = next(structure.spans(head, end), None)
        if span is None:
            break
        spans.append(span)
        end = behind(head, span)
    is_closed = all(span.is_closed for span in spans)
    closed = (span for span in spans if span.is_closed)
    width = max((len(structure.split(head[a:b])) for a, b, _ in closed), default=0)
    if margins.header_records == 0:
        return Top((), start, end, width, is_closed)
    if not head:
        raise DeadSegment("the file is empty: not even a header stands in it")
    if not spans:
        raise DeadSegment("the file holds blank lines only: there is no header")
    if not is_closed or any(structure.is_torn(head, span) for span in spans):
        raise DeadSegment("the header has a quote that nothing closes")
    if len(spans) < margins.header_records:
        raise DeadSegment(
            f"the header has {margins.header_records} lines, and the file no more than {len(spans)}"
        )
    return Top(tuple(spans), end, end, width)


def behind(data: bytes, span: Span) -> int:
    """The offset after a record's end."""
    return min(span.end + (2 if data.startswith(b"\r\n", span.end) else 1), len(data))


def _after_skipped(head: bytes, lines: int) -> int:
    start = len(BOM) if head.startswith(BOM) else 0
    for _ in range(lines):
        found = _LINE.match(head, start)
        if found is None:
            raise DeadSegment(f"skip_lines is {lines}, and the file has no more lines than that")
        start = found.end()
    return start


def footer_start(data: bytes, least: int, lines: int) -> int:
    """Where the last so many lines that are not blank begin, but not before `least`."""
    start = len(data)
    for _ in range(lines):
        end = start
        while end > least and data[end - 1] in b"\r\n":
            end -= 1
        if end == least:
            break
        last_end = max(data.rfind(b"\n", least, end), data.rfind(b"\r", least, end))
        start = max(last_end + 1, least)
    return start
