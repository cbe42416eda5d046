"""Where reading goes on after a quote that nothing closes.

Such a quote would take all that follows into its record. But what follows has quotes only in
pairs, or one of them would have closed it, so that each of its lines, read by itself, is a record.
Reading goes on at the first of these lines from which on `LOOK_AHEAD` of them have as many fields
as the header, or all of them up to the end: then with `EVIDENCE` delimiters in the right places,
for the lines of a text that was cut off in the middle may look like records too. A table of one
column gives no evidence at all.

The line before that one looks wrong, or is the one in which the quote opens. So bytes that are cut
between the two tell the same as the whole, and whoever cuts a file may do it there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stagepipe.builtin.csv.structure import Structure

LOOK_AHEAD = 10
EVIDENCE = 6
_END = re.compile(rb"[\r\n]")
_LINE = re.compile(rb"[^\r\n]+")


def resumes_at(data: bytes, start: int, width: int, structure: Structure) -> int | None:
    """The offset at which reading goes on after the record at `start`, in which a quote opens that
    nothing closes; None where nothing tells. `width` is how many fields a record should have."""
    before = structure.patterns.fields_before.match(data, start)
    end = _END.search(data, before.end() if before else start)
    if end is None or width < 2:
        return None
    first, run = 0, 0
    for line in _LINE.finditer(data, end.start()):
        if structure.comment and line[0].startswith(structure.comment):
            continue
        if _width(data, line, structure) != width:
            run = 0
            continue
        first = line.start() if run == 0 else first
        run += 1
        if run == LOOK_AHEAD:
            return first
    return first if run * (width - 1) >= EVIDENCE else None


def _width(data: bytes, line: re.Match[bytes], structure: Structure) -> int:
    """How many fields the record has that a line is; 0 when it is none."""
    text = line[0]
    if structure.has_marks(text):
        record = structure.patterns.record.match(data, line.start())
        is_line = record is not None and record.end() == line.end()
        return len(structure.split(text)) if is_line else 0
    return text.count(structure.delimiter) + 1
