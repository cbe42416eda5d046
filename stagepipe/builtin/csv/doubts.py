"""Columns of texts of which a few fit no type: these are found by casts of the whole column.

The casts are no converters: what they take the converter may still refuse, and the other way round.
They only have to find nearly all that it refuses, and little else.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from stagepipe.builtin.csv.values import Notation
from stagepipe.contracts import ColumnSpec

MOST_TEXTS = 10_000
"""So many different texts of a column may be judged one by one."""
_INTEGERS: Mapping[pa.DataType, type[pl.DataType]] = {
    pa.int8(): pl.Int8,
    pa.int16(): pl.Int16,
    pa.int32(): pl.Int32,
    pa.int64(): pl.Int64,
    pa.uint8(): pl.UInt8,
    pa.uint16(): pl.UInt16,
    pa.uint32(): pl.UInt32,
    pa.uint64(): pl.UInt64,
}
_TRUTHS = ["true", "True", "TRUE", "1", "false", "False", "FALSE", "0"]
_MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
_TIME = r"^[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?$"


def sorted_out(
    found: pa.ChunkedArray, column: ColumnSpec, notation: Notation
) -> tuple[pa.ChunkedArray, pl.Series]:
    """A column's texts, or bytes, as values, without those that may not fit; and a mask of these.
    Raises `pyarrow.ArrowInvalid` where they cannot be told."""
    texts, is_odd = _texts(found)
    is_odd |= _doubtful(texts, column, notation)
    try:
        return _values(texts, is_odd, column, notation), is_odd
    except pa.ArrowInvalid:
        series = pl.Series(pl.from_arrow(texts))
        different = series.filter(~is_odd).unique().drop_nulls().to_list()
        if len(different) > MOST_TEXTS:
            raise
    present = [text for text in different if not notation.is_null(text)]
    unfit = [present[index] for index in notation.unfit(present, column)]
    is_odd |= series.is_in(pl.Series(unfit, dtype=pl.String).implode()).fill_null(False)
    return _values(texts, is_odd, column, notation), is_odd


def _texts(found: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pl.Series]:
    """Bytes as text, null where they are none; and where that is."""
    try:
        return found.cast(pa.string()), pl.repeat(False, len(found), eager=True)
    except pa.ArrowInvalid:
        texts = [_text(value) for value in found.to_pylist()]
    decoded = pa.chunked_array([pa.array(texts, pa.string())])
    is_lost = pc.and_(decoded.is_null(), found.is_valid())
    return decoded, pl.Series(pl.from_arrow(is_lost))


def _text(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _values(
    texts: pa.ChunkedArray, is_odd: pl.Series, column: ColumnSpec, notation: Notation
) -> pa.ChunkedArray:
    nothing = pa.scalar(None, pa.string())
    return notation.of_texts(pc.if_else(is_odd.to_arrow(), nothing, texts), column)


def _doubtful(texts: pa.ChunkedArray, column: ColumnSpec, notation: Notation) -> pl.Series:
    """A mask of the texts that may not fit the column."""
    plain = pl.Series(pl.from_arrow(notation.for_converter(texts, column)))
    fits = _fits(plain, column.arrow_type).fill_null(False)
    return pl.Series(pl.from_arrow(texts.is_valid())) & ~fits


def _fits(texts: pl.Series, kind: pa.DataType) -> pl.Series:
    if kind in _INTEGERS or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = texts.cast(_INTEGERS.get(kind, pl.Float64), strict=False)
        fits: pl.Series = numbers.is_finite()
        if pa.types.is_decimal(kind):
            fits &= numbers.abs() < 10.0 ** (kind.precision - kind.scale)
            fits &= ~texts.str.contains(rf"[eE]|\.[0-9]{{{kind.scale + 1}}}")
        return fits
    if pa.types.is_boolean(kind):
        return texts.is_in(_TRUTHS)
    if pa.types.is_date(kind):
        is_day = texts.str.to_date("%Y-%m-%d", strict=False).is_not_null()
        return is_day & (texts.str.len_bytes() == len("2024-01-31"))
    if pa.types.is_timestamp(kind):
        end = r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)$" if kind.tz else "$"
        return texts.str.contains(_MOMENT + end)
    if pa.types.is_time(kind):
        return texts.str.contains(_TIME)
    return texts.is_not_null()
