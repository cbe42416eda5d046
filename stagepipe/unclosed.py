"""Where reading goes on after a quote that nothing closes. Pure.

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

from collections.abc import Iterable

LOOK_AHEAD = 10
EVIDENCE = 6


def goes_on_at(lines: Iterable[tuple[int, int]], width: int) -> int | None:
    """The place of the line at which reading goes on, None where nothing tells. `lines` are those
    below the one in which the quote opens, blank ones and comments left out: the place of each, and
    how many fields it has as a record. `width` is how many a record should have."""
    if width < 2:
        return None
    first, run = 0, 0
    for place, fields in lines:
        if fields != width:
            run = 0
            continue
        first = place if run == 0 else first
        run += 1
        if run == LOOK_AHEAD:
            return first
    return first if run * (width - 1) >= EVIDENCE else None
