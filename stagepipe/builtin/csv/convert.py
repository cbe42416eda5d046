"""Text to typed columns, by pyarrow's CSV converters and nothing else.

The converters are lenient in three places where a wrong value would come out in silence; these are
closed here, for whole segments (`is_trustworthy`) and for single values (`unfit`) alike:

- `0x1A` is 26 to an integer converter,
- `1e400` is infinite to a float converter, and `nan(12)` is a number,
- a decimal's digits are counted before it is scaled, so `12345678901` passes for decimal(12,2).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

TRUE_WORDS = ["true", "True", "TRUE", "1"]
FALSE_WORDS = ["false", "False", "FALSE", "0"]
BLOCK_BYTES = 4 * 2**20
_HEXADECIMAL = re.compile(rb"0[xX]")
_WORDS_FOR_NON_FINITE = re.compile(r"[ \t]*[+-]?(inf|infinity|nan)[ \t]*", re.IGNORECASE)


def parse(
    data: pa.Buffer,
    column_types: Sequence[pa.DataType | None],
    *,
    delimiter: str,
    quote: str,
    null_values: Sequence[str],
) -> pa.Table:
    """The records in `data` as a table with columns named by their position; those without a type
    are left out. Raises `pyarrow.ArrowInvalid` when a record does not fit."""
    names = [str(position) for position in range(len(column_types))]
    wanted = {n: t for n, t in zip(names, column_types, strict=True) if t is not None}
    if not data.size:
        return pa.table({name: pa.array([], kind) for name, kind in wanted.items()})
    return csv.read_csv(
        pa.BufferReader(data),
        read_options=csv.ReadOptions(
            use_threads=False, column_names=names, block_size=min(BLOCK_BYTES, data.size + 1)
        ),
        parse_options=csv.ParseOptions(
            delimiter=delimiter, quote_char=quote or False, newlines_in_values=bool(quote)
        ),
        convert_options=csv.ConvertOptions(
            column_types=wanted,
            include_columns=list(wanted),
            null_values=list(null_values),
            strings_can_be_null=True,
            true_values=TRUE_WORDS,
            false_values=FALSE_WORDS,
        ),
    )


def is_trustworthy(table: pa.Table, data: bytes) -> bool:
    """Whether no value of a parsed segment comes from the lenient side of a converter."""
    kinds = [field.type for field in table.schema]
    if any(map(pa.types.is_integer, kinds)) and _has_hexadecimal(data):
        return False
    return all(_is_sound(column) for column in table.columns)


def _has_hexadecimal(data: bytes) -> bool:
    """Whether some field may begin with `0x`: what follows a letter or digit does not begin one."""
    if b"x" not in data and b"X" not in data:
        return False
    return any(
        not data[match.start() - 1 : match.start()].isalnum()
        for match in _HEXADECIMAL.finditer(data)
    )


def _is_sound(column: pa.ChunkedArray) -> bool:
    kind = column.type
    if pa.types.is_floating(kind):
        return pc.all(pc.is_finite(column), min_count=0).as_py() is True
    if pa.types.is_decimal(kind) and column.null_count < len(column):
        limit = 10 ** (kind.precision - kind.scale)
        extremes = pc.min_max(column)
        return bool(-limit < extremes["min"].as_py() and extremes["max"].as_py() < limit)
    return True


def unfit(values: Sequence[str], kind: pa.DataType) -> set[int]:
    """Which of the values (by position) do not fit the type. There is no null among them.

    All at once first, then halves: a few bad ones among many are found with few conversions.
    """
    if pa.types.is_string(kind):
        return set()
    bad: set[int] = set()
    ranges = [(0, len(values))]
    while ranges:
        start, end = ranges.pop()
        if start == end or _fit(values[start:end], kind):
            continue
        if end - start == 1:
            bad.add(start)
            continue
        middle = (start + end) // 2
        ranges += [(start, middle), (middle, end)]
    return bad


def _fit(values: Sequence[str], kind: pa.DataType) -> bool:
    quoted = '"' + '"\n"'.join(value.replace('"', '""') for value in values) + '"\n'
    data = quoted.encode("utf-8", "surrogateescape")
    try:
        table = parse(pa.py_buffer(data), [kind], delimiter=",", quote='"', null_values=[])
    except pa.ArrowInvalid:
        return False
    if is_trustworthy(table, data):
        return True
    if not pa.types.is_floating(kind):
        return False
    return all(
        _WORDS_FOR_NON_FINITE.fullmatch(values[row])
        for row, is_finite in enumerate(pc.is_finite(table.column(0)).to_pylist())
        if not is_finite
    )


def typed(values: Sequence[str | None], kind: pa.DataType) -> pa.Array:
    """The values, which all fit, as one typed array; None stays null."""
    present = [value for value in values if value is not None]
    quoted = "".join('"' + value.replace('"', '""') + '"\n' for value in present)
    column = parse(
        pa.py_buffer(quoted.encode("utf-8", "surrogateescape")),
        [kind],
        delimiter=",",
        quote='"',
        null_values=[],
    ).column(0)
    positions, position = [], 0
    for value in values:
        positions.append(None if value is None else position)
        position += value is not None
    return column.combine_chunks().take(pa.array(positions, pa.int64()))
