"""One column to another type, without a value that changes in silence.

Text is read by the rules of a schema, by the same code. Otherwise polars converts, and what would
not come back as it was is an error. Three conversions give up something by their nature: from a
decimal or a longer float to a float (the nearest), from a float to a decimal (rounded to its
scale), and from a datetime to its date or its time.

Polars alone would cut 1.75 to 1, take 1 for 1970-01-02, read `1.005` as 1.00, and go by the clock
of UTC, not by that of the zone, when a datetime with a zone becomes one without, a date or a time.
"""

from __future__ import annotations

from typing import Any

import polars as pl
import pyarrow as pa

from stagepipe.builtin.csv.convert import is_trustworthy, parse, typed, unfit
from stagepipe.builtin.types import type_word


def cast_values(values: pl.Series, kind: pl.DataType) -> pl.Series:
    """The values as another type; nulls stay.

    Raises:
        ValueError: there is no way from one type to the other, or a value does not fit; the
            message names the column and the first such value.
    """
    if values.dtype == kind:
        return values
    _check_way(values.name, values.dtype, kind)
    # Without its name: a series called `^a.*$` is none of its own columns to polars.
    cast, wrong = _cast(values.alias(""), kind)
    if wrong is not None:
        shown = repr(wrong) if isinstance(wrong, str) else str(wrong)
        raise ValueError(f"column {values.name!r}: {shown} does not fit {type_word(kind)}")
    return cast.alias(values.name)


def _cast(values: pl.Series, kind: pl.DataType) -> tuple[pl.Series, Any]:
    """The values as another type, and the first that does not fit."""
    if values.null_count() == len(values):
        return pl.Series("", [], kind).extend_constant(None, len(values)), None
    if values.dtype == pl.String:
        return _from_text(values, kind)
    cast = _converted(values, kind)
    wrong = cast.is_null() & values.is_not_null()
    if not _may_change(values.dtype, kind):
        wrong |= _converted(cast, values.dtype).ne_missing(values)
    if kind == pl.Float32:
        wrong |= (cast.is_infinite() & values.cast(pl.Float64).is_finite()).fill_null(False)
    return cast, values.filter(wrong)[0] if wrong.any() else None


def _check_way(column: str, old: pl.DataType, new: pl.DataType) -> None:
    """That the conversion means something. Text, and what holds nothing, may become anything, and
    anything becomes text."""
    if new == pl.String or old in (pl.String, pl.Null) or _group(old) == _group(new) != "other":
        return
    if (_group(old), _group(new)) in (("date", "datetime"), ("datetime", "date")):
        return
    if (_group(old), _group(new)) == ("datetime", "time"):
        return
    raise ValueError(
        f"column {column!r} is {type_word(old)}, and that cannot become {type_word(new)}"
    )


def _group(kind: pl.DataType) -> str:
    if kind.is_numeric() or kind == pl.Boolean:
        return "number"
    if kind.is_temporal() and kind.base_type() in (pl.Date, pl.Time, pl.Datetime):
        return str(kind.base_type()).lower()
    return "other"


def _may_change(old: pl.DataType, new: pl.DataType) -> bool:
    return (
        new == pl.String
        or (new.is_float() and not old.is_integer())
        or (old.is_float() and isinstance(new, pl.Decimal))
        or (isinstance(old, pl.Datetime) and new in (pl.Date, pl.Time))
    )


def _converted(values: pl.Series, kind: pl.DataType) -> pl.Series:
    """What polars makes of the values, with null where they do not fit. Without a zone, a date or
    a datetime is what the clock on the wall shows; hours that are not or are twice do not fit."""
    zone = values.dtype.time_zone if isinstance(values.dtype, pl.Datetime) else None
    if zone is None and isinstance(kind, pl.Datetime) and kind.time_zone:
        return values.cast(pl.Datetime(kind.time_unit)).dt.replace_time_zone(
            kind.time_zone, ambiguous="null", non_existent="null"
        )
    if zone and (kind in (pl.Date, pl.Time) or kind == pl.Datetime("us")):
        values = values.dt.replace_time_zone(None)
    return values.cast(kind, strict=False)


def _from_text(texts: pl.Series, kind: pl.DataType) -> tuple[pl.Series, str | None]:
    """All texts at once; only where something is amiss are the different ones looked at."""
    # Not polars' own type for times, which counts nanoseconds where a schema counts microseconds.
    arrow = pa.time64("us") if kind == pl.Time else pl.Series("", [], kind).to_arrow().type
    present = texts.drop_nulls()
    quoted = '"' + present.str.replace_all('"', '""', literal=True) + '"'
    data = (quoted.str.join("\n")[0] + "\n").encode()
    try:
        read = parse(data, [arrow], delimiter=",", quote='"', null_values=[])
        column = read.column(0) if is_trustworthy(read, data, delimiter=",", quote='"') else None
    except pa.ArrowInvalid:
        column = None
    if column is None:
        different = present.unique(maintain_order=True).to_list()
        if wrong := unfit(different, arrow):
            return texts, different[min(wrong)]
        column = typed(present.to_list(), arrow)
    found = pl.Series("", column, kind)
    if len(present) == len(texts):
        return found, None
    is_present = texts.is_not_null()
    position = is_present.cast(pl.Int64).cum_sum() - 1
    return found.gather(pl.select(pl.when(is_present).then(position)).to_series()), None
