"""Values that stand in a schema, as bounds or choices: whether they fit the column's type."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

from stagepipe.declare.types import INTEGERS, ColumnType
from stagepipe.declare.words import shown

ORDERED = (*INTEGERS, "float32", "float64", "decimal", "date", "time", "datetime")
"""The kinds of type that take `min` and `max`."""


def fit(column_type: ColumnType, value: Any) -> Any:
    """Turn a value into one of a column's type: `Decimal` for decimal, `float` for floats.

    Raises:
        ValueError: it does not fit; the message is a predicate, like `must be a date, got 3`.
    """
    kind = column_type.kind
    if kind in INTEGERS:
        return _integer(kind, value)
    if kind == "decimal":
        return _decimal(column_type, value)
    return FITTERS[kind](column_type, value)


def _refuse(wanted: str, value: Any) -> ValueError:
    return ValueError(f"must be {wanted}, got {shown(value)}")


def _is_number(value: Any) -> bool:
    """Say whether a value is a number; Python's bool is an int, but no number here."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _integer(kind: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _refuse(f"a whole number, because the type is {kind}", value)
    low, high = INTEGERS[kind]
    if not low <= value <= high:
        raise _refuse(f"from {low} to {high}, because the type is {kind}", value)
    return value


def _float(column_type: ColumnType, value: Any) -> float:
    try:
        if _is_number(value) and not math.isnan(value):
            return float(value)
    except OverflowError:
        pass
    raise _refuse(f"a number, because the type is {column_type}", value)


def _decimal(column_type: ColumnType, value: Any) -> Decimal:
    """Take the digits as written: 0.1 is one tenth, not the double nearest to it."""
    wanted = f"a number, because the type is {column_type}"
    if not (_is_number(value) or isinstance(value, str | Decimal)):
        raise _refuse(wanted, value)
    try:
        number = Decimal(str(value))
    except (InvalidOperation, ValueError):
        raise _refuse(wanted, value) from None
    if not number.is_finite():
        raise _refuse(wanted, value)
    assert column_type.precision is not None
    assert column_type.scale is not None
    exponent = number.normalize().as_tuple().exponent
    assert isinstance(exponent, int)
    whole = column_type.precision - column_type.scale
    if -exponent > column_type.scale or (number and number.adjusted() >= whole):
        raise _refuse(f"a number that fits {column_type}", value)
    return number


def _bool(_: ColumnType, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _refuse("true or false, because the type is bool", value)
    return value


def _string(_: ColumnType, value: Any) -> str:
    if not isinstance(value, str):
        raise _refuse("a string, because the type is string", value)
    return value


def _date(_: ColumnType, value: Any) -> date:
    if not isinstance(value, date) or isinstance(value, datetime):
        raise _refuse("a date, like 2024-12-31 without quotes", value)
    return value


def _time(_: ColumnType, value: Any) -> time:
    if not isinstance(value, time) or value.tzinfo is not None:
        raise _refuse("a time, like 23:59:00 without quotes", value)
    return value


def _datetime(column_type: ColumnType, value: Any) -> datetime:
    zone = column_type.timezone
    example = "2024-12-31T23:59:00Z" if zone else "2024-12-31T23:59:00"
    wanted = f"a date and time with{'' if zone else 'out'} an offset, like {example} without quotes"
    if not isinstance(value, datetime) or (value.tzinfo is None) == bool(zone):
        raise _refuse(wanted, value)
    return value


FITTERS: dict[str, Callable[[ColumnType, Any], Any]] = {
    "float32": _float,
    "float64": _float,
    "bool": _bool,
    "string": _string,
    "date": _date,
    "time": _time,
    "datetime": _datetime,
}
