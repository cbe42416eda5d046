"""Numbers as the smallest whole numbers that hold them, for files between stages: these are not
packed, and with fewer bytes they are written, hashed and read in less time than packed ones."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

KEY = b"stagepipe:schema"
"""Under which a narrowed table's schema keeps what the columns were."""
DIGITS = 18
"""So many fit into a whole number of 64 bits."""


def narrowed(table: pa.Table) -> pa.Table:
    """The rows with whole numbers and decimals, without their points, in as few bytes as hold all
    of a column."""
    import pyarrow as pa

    columns = [_narrow(column) for column in table.columns]
    kept = {KEY: b64encode(table.schema.serialize())}  # polars takes it for text
    fields = (
        field.with_type(column.type) for field, column in zip(table.schema, columns, strict=True)
    )
    return pa.Table.from_arrays(columns, schema=pa.schema(fields, kept))


def widened(table: pa.Table) -> pa.Table:
    """The rows as they were before they were narrowed, if they were."""
    import pyarrow as pa

    before = _schema_before(table.schema)
    if before is None:
        return table
    columns = [_wide(column, was.type) for column, was in zip(table.columns, before, strict=True)]
    return pa.Table.from_arrays(columns, schema=before)


def widened_plan(plan: pl.LazyFrame, schema: pa.Schema) -> pl.LazyFrame:
    """A plan over files with this schema, with the columns as they were before."""
    import polars as pl
    import pyarrow as pa

    before = _schema_before(schema)
    if before is None:
        return plan
    narrow = [was for was, now in zip(before, schema, strict=True) if was.type != now.type]
    names = defaultdict(list)
    for name, kind in pl.Schema(pa.schema(narrow)).items():
        names[kind].append(name)
    wide = []
    for kind, alike in names.items():
        column = pl.selectors.by_name(*alike).as_expr()  # to pl.col a name may be a pattern
        if isinstance(kind, pl.Decimal):
            # Polars misreads Arrow's decimals of 64 bits, so there are none in the file.
            last = pl.lit(Decimal(1).scaleb(-kind.scale), pl.Decimal(38, kind.scale))
            column = column.cast(pl.Decimal(38, 0)) * last
        wide.append(column.cast(kind))
    return plan.with_columns(wide)


def _schema_before(schema: pa.Schema) -> pa.Schema | None:
    """What the columns were before they were narrowed; None where they were not."""
    import pyarrow as pa

    kept = (schema.metadata or {}).get(KEY)
    return None if kept is None else pa.ipc.read_schema(pa.py_buffer(b64decode(kept)))


def _narrow(column: pa.ChunkedArray) -> pa.ChunkedArray:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_decimal128(kind) and 0 <= kind.scale <= DIGITS:
        try:
            column = _viewed(column.cast(_digits(kind)), pa.int64())
        except pa.ArrowInvalid:  # a value is out of its range
            return column
    if pa.types.is_signed_integer(column.type):
        for small in (pa.int8(), pa.int16(), pa.int32()):
            if small.bit_width < column.type.bit_width:
                try:
                    return column.cast(small)
                except pa.ArrowInvalid:
                    continue
    return column


def _wide(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    import pyarrow as pa

    if pa.types.is_decimal128(kind) and column.type != kind:
        column = _viewed(column.cast(pa.int64()), _digits(kind))
    return column.cast(kind) if column.type != kind else column


def _digits(kind: pa.Decimal128Type) -> pa.DataType:
    """A type for decimals without their points, in 64 bits."""
    import pyarrow as pa

    return pa.decimal64(min(kind.precision, DIGITS), kind.scale)


def _viewed(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    import pyarrow as pa

    return pa.chunked_array([chunk.view(kind) for chunk in column.chunks], kind)
