"""Physical lines: LF, CRLF and lone CR each end one, also between quotes.

Every record begins a line, so the lines that are not blank are all the places where one can.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from functools import reduce
from itertools import accumulate
from operator import or_
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

CR, LF = b"\r\n"
BLOCK_BYTES = 2**20
WORDS = 16
"""Of so many times 64 bytes the lines are counted at once, on the way to single ones."""


def count_lines(data: bytes) -> int:
    """How many physical lines end in the bytes."""
    ends = data.count(b"\n")
    if b"\r" not in data:
        return ends
    return ends + data.count(b"\r") - data.count(b"\r\n")


def first_lines(path: Path, cuts: Sequence[int]) -> list[int]:
    """For each cut, in ascending order and none of them within a CRLF, the number (from 1) of the
    line that begins there. Reads the file once, in blocks, up to the last cut."""
    found: list[int] = []
    line, position, is_after_cr = 1, 0, False
    with path.open("rb") as file:
        for cut in cuts:
            while position < cut:
                block = file.read(min(BLOCK_BYTES, cut - position))
                if not block:  # it became shorter: whoever reads the segments will notice
                    break
                # A CRLF that two blocks share was counted as a CR already.
                line += count_lines(block) - (is_after_cr and block.startswith(b"\n"))
                is_after_cr = block.endswith(b"\r")
                position += len(block)
            found.append(line)
    return found


def written_lines(data: bytes, start: int = 0) -> pl.DataFrame:
    """The lines from `start` on, where one begins, that are not blank: the `offset` of each one's
    first byte in the data, and which `line` of the data it is (from 1)."""
    import polars as pl

    view = view_of(data, start)
    first_line = count_lines(data[:start]) + 1
    is_lf = view == LF
    if data.find(b"\r", start) < 0 and not data.startswith(b"\n", start):
        ends = is_lf.arg_true().cast(pl.Int64)
        begins = pl.Series("offset", [start], dtype=pl.Int64).append(ends + (start + 1))
        if len(view) == 0 or begins[-1] == len(data):
            begins = begins.head(-1)
        if ends.diff().min() != 1:  # no line is blank
            numbers = pl.int_range(first_line, first_line + len(begins), dtype=pl.Int64, eager=True)
            return pl.DataFrame({"offset": begins, "line": numbers})
    is_cr = view == CR
    is_mark = is_lf | is_cr  # where any byte of an end stands
    is_end = is_lf | (is_cr & ~is_lf.shift(-1, fill_value=False))
    begins = (~is_mark & is_mark.shift(1, fill_value=True)).arg_true()
    before = count_before(is_end.arg_true(), begins)
    return pl.DataFrame({"offset": begins.cast(pl.Int64) + start, "line": before + first_line})


def begins_of_lines(data: bytes, start: int, numbers: Sequence[int]) -> list[int]:
    """Where some of the lines from `start` on begin, by their numbers (from 0), where only LF ends
    lines. It takes less than half of the time of finding all."""
    import polars as pl
    import pyarrow as pa

    is_lf = (view_of(data, start) == LF).to_arrow()
    assert is_lf.offset == 0
    size = 64 * WORDS
    bits = pa.Array.from_buffers(
        pa.uint64(), len(is_lf) // size * WORDS, [None, is_lf.buffers()[1]]
    )
    counts = pl.Series(pl.from_arrow(bits)).bitwise_count_ones().reshape((-1, WORDS)).arr.sum()
    ends = list(accumulate(counts.to_list(), initial=0))  # quicker than by polars
    begins = []
    for number in numbers:
        block = max(bisect_left(ends, number) - 1, 0)
        at = start + size * block
        for _ in range(ends[block], number):
            at = data.index(b"\n", at) + 1
        begins.append(at)
    return begins


def count_before(positions: pl.Series, points: pl.Series) -> pl.Series:
    """For each of the points how many of the positions are below it. Both are sorted, and of one
    type: going along them is ten times as fast as searching one in the other."""
    import polars as pl

    counted = pl.DataFrame({"at": positions}).with_row_index("count", 1).set_sorted("at")
    joined = (
        pl.DataFrame({"at": points})
        .set_sorted("at")
        .join_asof(counted, on="at", allow_exact_matches=False)
    )
    return joined["count"].cast(pl.Int64).fill_null(0)


def only(data: bytes, wanted: bytes) -> bytes:
    """Those of the bytes that are among the wanted ones, in their order."""
    view = view_of(data)
    kept = view.filter(any_of(view, wanted)).to_arrow()
    return bytes(memoryview(kept.buffers()[1])[kept.offset : kept.offset + len(kept)])


def any_of(view: pl.Series, wanted: Iterable[int]) -> pl.Series:
    """A mask of the bytes that are among the wanted ones, by comparing with each of these: for few
    it takes a third of the time of `is_in`."""
    return reduce(or_, (view == byte for byte in wanted))


def view_of(data: bytes | bytearray, start: int = 0) -> pl.Series:
    """The bytes from `start` on as numbers, without copying them."""
    import polars as pl
    import pyarrow as pa

    buffer = pa.py_buffer(data).slice(start)
    return pl.Series(pl.from_arrow(pa.Array.from_buffers(pa.uint8(), buffer.size, [None, buffer])))
