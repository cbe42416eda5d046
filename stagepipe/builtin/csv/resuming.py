"""Where reading goes on after a quote that nothing closes, in bytes: the rule is that of
`stagepipe.unclosed`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stagepipe.unclosed import goes_on_at

if TYPE_CHECKING:
    from stagepipe.builtin.csv.structure import Structure

_END = re.compile(rb"[\r\n]")
_LINE = re.compile(rb"[^\r\n]+")


def resumes_at(data: bytes, start: int, width: int, structure: Structure) -> int | None:
    """The offset at which reading goes on after the record at `start`, in which a quote opens that
    nothing closes; None where nothing tells. `width` is how many fields a record should have."""
    before = structure.patterns.fields_before.match(data, start)
    end = _END.search(data, before.end() if before else start)
    if end is None:
        return None
    below = (
        (line.start(), _width(data, line, structure))
        for line in _LINE.finditer(data, end.start())
        if not (structure.comment and line[0].startswith(structure.comment))
    )
    return goes_on_at(below, width)


def _width(data: bytes, line: re.Match[bytes], structure: Structure) -> int:
    """How many fields the record has that a line is; 0 when it is none."""
    text = line[0]
    if structure.has_marks(text):
        record = structure.patterns.record.match(data, line.start())
        is_line = record is not None and record.end() == line.end()
        return len(structure.split(text)) if is_line else 0
    return text.count(structure.delimiter) + 1
