"""The fast way: all records of some bytes at once, by whole columns, or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from stagepipe.builtin import checks
from stagepipe.builtin.csv import convert, values
from stagepipe.builtin.csv.dialect import Dialect
from stagepipe.builtin.csv.explain import Layout
from stagepipe.contracts import TableSpec
from stagepipe.stopwatch import timed

MOST_AT_ONCE = 2**22
"""More at once leaves the caches that the workers share: see benchmarks/RESULTS.md."""


def read_types(layout: Layout, dialect: Dialect) -> list[pa.DataType | None]:
    """As what a parser reads each field of a record; None for those that nobody wants."""
    types: list[pa.DataType | None] = [None] * layout.width
    for column, position in zip(layout.spec.columns, layout.positions, strict=True):
        if position is not None:
            types[position] = dialect.notation.read_type(column)
    return types


def typed_table(
    data: bytes,
    start: int,
    layout: Layout,
    dialect: Dialect,
    *,
    is_examined: bool = False,
    is_by_line: bool = False,
) -> pa.Table | None:
    """The bytes from `start` on as the spec's table, or None when some record of them may not be
    what it seems.

    `is_examined` says that every record was taken apart and found to fit, `is_by_line` that no
    record should go on behind a line end, so that the bytes can be read piece by piece.
    """
    structure, notation = dialect.structure, dialect.notation
    types = read_types(layout, dialect)
    # The last field tells whether a quote swallowed the rest, so it is always looked at, and there
    # is a record end to be swallowed.
    is_quoted = bool(structure.quote) and data.find(structure.quote, start) >= 0
    is_looked_at = is_quoted or layout.void is not None or all(kind is None for kind in types)
    if types[-1] is None and is_looked_at:
        types[-1] = pa.binary()
    if is_quoted and not data.endswith((b"\n", b"\r")):
        data += b"\n"
    tables = []
    for piece, begin in pieces(data, start) if is_by_line else [(data, start)]:
        table = _sound(piece, begin, types, dialect, is_examined=is_examined)
        if table is None:
            return None
        if not is_examined:
            if layout.void is not None and not _is_void(table.column(-1)):
                return None
            if is_quoted and may_be_open(table, notation.null_words):
                return None
        tables.append(table)
    table = pa.concat_tables(tables)
    try:
        arrays = [
            values.filled(pa.nulls(table.num_rows, column.arrow_type), column)
            if position is None
            else notation.typed(table.column(str(position)), column, is_examined=is_examined)
            for column, position in zip(layout.spec.columns, layout.positions, strict=True)
        ]
    except pa.ArrowInvalid:
        return None
    return pa.Table.from_arrays(arrays, [column.name for column in layout.spec.columns])


def pieces(data: bytes, start: int) -> Iterator[tuple[bytes, int]]:
    """The bytes from `start` on, cut at line ends; each piece, and where in it to begin. A cut in a
    quoted field shows in the piece before it, of which the last quote is open."""
    while len(data) - start > MOST_AT_ONCE:
        end = data.rfind(b"\n", start, start + MOST_AT_ONCE) + 1
        if end == 0:
            break
        yield data[start:end], 0
        start = end
    yield data, start


def _sound(
    data: bytes,
    start: int,
    types: Sequence[pa.DataType | None],
    dialect: Dialect,
    *,
    is_examined: bool,
) -> pa.Table | None:
    """The bytes from `start` on as a parser reads them; None where it refuses them, or may have
    taken one value for another."""
    delimiter, quote = dialect.structure.delimiter.decode(), dialect.structure.quote.decode()
    words = dialect.notation.null_words
    try:
        with timed("parse"):
            table = convert.parse(
                data, types, delimiter=delimiter, quote=quote, null_values=words, start=start
            )
    except pa.ArrowInvalid:
        return None
    is_sound = is_examined or convert.is_trustworthy(
        table, data, delimiter=delimiter, quote=quote, start=start
    )
    return table if is_sound else None


def failed_rows(table: pa.Table, spec: TableSpec) -> pa.ChunkedArray | None:
    """A mask of the rows that fail some check, or None when all pass."""
    failed = None
    with timed("check"):
        for _, _, mask in checks.failures(table, spec):
            failed = mask if failed is None else pc.or_(failed, mask)
        for _, mask in checks.check_failures(table, spec):
            failed = mask if failed is None else pc.or_(failed, mask)
    return failed


def _is_void(column: pa.ChunkedArray) -> bool:
    """Whether nothing stands in any of the fields."""
    return pc.all(pc.equal(pc.binary_length(column), 0), min_count=0).as_py() is True


def may_be_open(table: pa.Table, null_values: Sequence[str]) -> bool:
    """Whether a quote that nothing closes may have swallowed the rest of the bytes: a parser gives
    all of it, the last record's end too, as the last field of the last row."""
    if not table.num_rows:
        return False
    last_column = table.column(table.num_columns - 1)
    kind, value = last_column.type, last_column[-1]
    if not value.is_valid:
        texts = [word.encode() for word in null_values]
    elif pa.types.is_string(kind) or pa.types.is_binary(kind):
        texts = [value.as_buffer().to_pybytes()]
    else:
        return False  # no converter takes a record end for a part of a number
    return any(text.endswith((b"\n", b"\r")) for text in texts)
