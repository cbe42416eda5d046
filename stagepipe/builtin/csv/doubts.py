"""Columns of texts of which a few fit no type: these are found by casts of the whole column.

The casts are no converters: what they take the converter may still refuse, and the other way round.
They only have to find nearly all that it refuses, and little else. But of texts in the plain form
of whole numbers and decimals, which no converter reads otherwise, the cast's values are taken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import date

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from stagepipe.builtin.csv.convert import FIRST_DAY
from stagepipe.builtin.csv.lines import view_of
from stagepipe.builtin.csv.values import Notation, filled
from stagepipe.contracts import ColumnSpec

MOST_TEXTS = 10_000
"""So many different texts of a column may be judged one by one."""
MOST_NO_DAYS = 4
"""So many different texts may be left out of a column of days, one after the other."""
_TEXT_OF_ERROR = re.compile("Failed to parse string: '(.*)' as a scalar", re.DOTALL)
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
    texts, is_lost = _texts(found)
    if is_lost is None and pa.types.is_date(column.arrow_type):
        return _days(texts, column, notation) or _by_different(texts, column, notation)
    values, is_odd = _sorted_out(texts, column, notation)
    return values, is_odd if is_lost is None else is_odd | is_lost


def _days(
    texts: pa.ChunkedArray, column: ColumnSpec, notation: Notation
) -> tuple[pa.ChunkedArray, pl.Series] | None:
    """The same for days, by leaving out one text after the other that is none: often the same ones
    come again. None where there are more, or they cannot be told so."""
    if not _is_cast(column, notation):
        return None
    odd: list[str] = []
    while len(odd) <= MOST_NO_DAYS:
        is_odd = pc.is_in(texts, pa.array(odd, pa.string()))
        kept = pc.if_else(is_odd, pa.scalar(None, pa.string()), texts) if odd else texts
        try:
            days = kept.cast(column.arrow_type)
        except pa.ArrowInvalid as error:
            if (named := _TEXT_OF_ERROR.match(str(error))) is None:
                return None
            odd.append(named[1])
            continue
        first = pc.min_max(days)["min"]
        if first.is_valid and first.value < FIRST_DAY:
            return None
        return filled(days, column), pl.Series(pl.from_arrow(is_odd))
    return None


def _by_different(
    texts: pa.ChunkedArray, column: ColumnSpec, notation: Notation
) -> tuple[pa.ChunkedArray, pl.Series]:
    """The same, by the different texts among them: there are not that many days."""
    encoded = texts.combine_chunks().dictionary_encode()
    different = pa.chunked_array([encoded.dictionary])
    values, is_odd = _sorted_out(different, column, notation)
    mask = pl.Series(pl.from_arrow(is_odd.to_arrow().take(encoded.indices)))
    return filled(values.take(encoded.indices), column), mask.fill_null(False)


def _sorted_out(
    texts: pa.ChunkedArray, column: ColumnSpec, notation: Notation
) -> tuple[pa.ChunkedArray, pl.Series]:
    kind, plain = column.arrow_type, notation.for_converter(texts, column)
    if cast := _cast(kind):
        values, fits = _numbers(plain, kind, cast)
    else:
        values, fits = None, _fits(pl.Series(pl.from_arrow(plain)), kind).fill_null(False)
    is_odd = ~fits
    if texts.null_count:
        is_odd &= pl.Series(pl.from_arrow(texts.is_valid()))
    if values is not None and _is_cast(column, notation):
        return filled(pa.chunked_array([values]), column), is_odd
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


def _texts(found: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pl.Series | None]:
    """Bytes as text, null where they are none; and where that is, if anywhere."""
    try:
        return found.cast(pa.string()), None
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
    kept = pc.if_else(is_odd.to_arrow(), pa.scalar(None, pa.string()), texts)
    if _is_cast(column, notation):
        with suppress(pa.ArrowInvalid):
            return filled(kept.cast(column.arrow_type), column)
    return notation.of_texts(kept, column)


def _is_cast(column: ColumnSpec, notation: Notation) -> bool:
    """Whether a cast does what the converter does, of texts that are not doubtful."""
    kind = column.arrow_type
    is_number = kind in _INTEGERS or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return notation.read_type(column) == kind and (is_number or pa.types.is_date(kind))


def _cast(kind: pa.DataType) -> pl.DataType | type[pl.DataType] | None:
    """As what polars reads texts in the plain form of such numbers, as the converter would."""
    if pa.types.is_decimal(kind):
        return pl.Decimal(kind.precision, kind.scale)
    return _INTEGERS.get(kind)


def _numbers(
    texts: pa.Array, kind: pa.DataType, cast: pl.DataType | type[pl.DataType]
) -> tuple[pa.Array, pl.Series]:
    """The values of those texts that have the plain form of numbers; and a mask of these."""
    series = pl.Series(pl.from_arrow(texts))
    cast_values = series.cast(cast, strict=False)
    fits, values = cast_values.is_not_null(), cast_values.to_arrow()
    if not _are_plain(texts.filter(fits.to_arrow()), kind):
        fits &= series.str.contains(_plain_form(kind)).fill_null(False)
        values = pc.if_else(fits.to_arrow(), values, pa.scalar(None, values.type))
    return values, fits


def _are_plain(texts: pa.Array, kind: pa.DataType) -> bool:
    """Whether all of some texts that the cast takes have the plain form; it is quicker to tell than
    which of them do not."""
    written = view_of(texts.buffers()[2] or b"")
    if ((written < ord("-")) | (written > ord("9"))).any():  # of those between no cast takes "/"
        return False
    if not pa.types.is_decimal(kind):
        return True
    lengths, points = pc.binary_length(texts), pc.find_substring(texts, ".")
    behind = pc.subtract(lengths, points)  # with the point itself
    are_kept = pc.or_(pc.equal(points, -1), pc.less_equal(behind, kind.scale + 1))
    are_short = pc.less_equal(lengths, len("-0.") + kind.precision)
    return bool(pc.all(pc.and_(are_kept, are_short), min_count=0).as_py())


def _plain_form(kind: pa.DataType) -> str:
    """What numbers look like of which the cast loses nothing, as a pattern."""
    if pa.types.is_decimal(kind):
        places = max(kind.precision - kind.scale, 1)  # a zero may always stand there
        return rf"^-?[0-9]{{0,{places}}}(\.[0-9]{{0,{kind.scale}}})?$"
    return "^-?[0-9]+$"


def _fits(texts: pl.Series, kind: pa.DataType) -> pl.Series:
    """A mask of the texts that have the form of a type's values; null perhaps where a text is."""
    if pa.types.is_floating(kind):
        narrow = pl.Float32 if kind == pa.float32() else pl.Float64
        return texts.cast(narrow, strict=False).is_finite()
    if pa.types.is_boolean(kind):
        return texts.is_in(_TRUTHS)
    if pa.types.is_date(kind):
        day = texts.str.to_date("%Y-%m-%d", strict=False)
        return (day >= date.min) & (texts.str.len_bytes() == len("2024-01-31"))
    if pa.types.is_timestamp(kind):
        end = r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)$" if kind.tz else "$"
        return texts.str.contains(_MOMENT + end)
    if pa.types.is_time(kind):
        return texts.str.contains(_TIME)
    return texts.is_not_null()
