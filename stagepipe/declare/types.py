"""The column types of a schema: `int64`, `decimal(12,2)`, `datetime(Europe/Berlin)` and so on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from stagepipe.declare.words import did_you_mean
from stagepipe.errors import Fault, PipelineError

INTEGERS = {
    f"{sign}int{bits}": (0, 2**bits - 1) if sign else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    for sign in ("", "u")
    for bits in (8, 16, 32, 64)
}
"""The smallest and the largest value of each integer type."""

KINDS = (
    *INTEGERS,
    "float32",
    "float64",
    "decimal",
    "bool",
    "string",
    "date",
    "time",
    "datetime",
)
"""The names of all types, without what may stand in parentheses."""

MAX_PRECISION = 38

# Names that other tools use, where a likeness of letters would lead to another type.
OTHER_NAMES = {
    "int": "int64",
    "integer": "int64",
    "long": "int64",
    "float": "float64",
    "double": "float64",
    "number": "float64",
    "numeric": "decimal",
    "str": "string",
    "text": "string",
    "varchar": "string",
    "utf8": "string",
    "boolean": "bool",
    "timestamp": "datetime",
}


@dataclass(frozen=True, slots=True)
class ColumnType:
    """The type of a column. `str()` of it is the text that `parse_type` reads.

    `precision` (1 to 38 digits in all) and `scale` (digits after the point) belong to decimal,
    `timezone` (a name of the IANA database) belongs to datetime.
    """

    kind: str
    precision: int | None = None
    scale: int | None = None
    timezone: str | None = None

    def __post_init__(self) -> None:
        if fault := _fault_in(self.kind, self.precision, self.scale, self.timezone):
            raise PipelineError([Fault(fault)])

    def __str__(self) -> str:
        if self.kind == "decimal":
            return f"decimal({self.precision},{self.scale})"
        return f"{self.kind}({self.timezone})" if self.timezone else self.kind


def parse_type(text: Any) -> ColumnType:
    """Read a column type such as `int64` or `decimal(12,2)`.

    Raises:
        ValueError: it is no type; the message names the nearest one.
    """
    if isinstance(text, ColumnType):
        return text
    if not isinstance(text, str):
        raise ValueError(f'{text!r} is not a type: write a name in quotes, like "int64"')
    match = re.fullmatch(r"\s*([^()\s]*)\s*(?:\(([^()]*)\))?\s*", text)
    name, inner = (match[1], match[2]) if match else (text, None)
    precision = scale = timezone = None
    if name == "decimal":
        digits = re.fullmatch(r"\s*([0-9]{1,4})\s*,\s*([0-9]{1,4})\s*", inner or "")
        if digits is None:
            raise ValueError(f'{text!r} is not a type: write "decimal(precision,scale)"')
        precision, scale = int(digits[1]), int(digits[2])
    elif name == "datetime" and inner is not None:
        timezone = inner.strip()
    elif name in KINDS and inner is not None:
        raise ValueError(f"{text!r} is not a type: {name} takes nothing in parentheses")
    if fault := _fault_in(name, precision, scale, timezone):
        raise ValueError(fault)
    return ColumnType(name, precision, scale, timezone)


def _fault_in(
    kind: str, precision: int | None, scale: int | None, timezone: str | None
) -> str | None:
    """Say what is wrong with a type, if anything is."""
    if kind not in KINDS:
        nearest = OTHER_NAMES.get(kind.lower())
        hint = f"; did you mean {nearest!r}?" if nearest else did_you_mean(kind, KINDS)
        return f"{kind!r} is not a type{hint or '; the types are ' + ', '.join(KINDS)}"
    if kind == "decimal":
        if precision is None or not 1 <= precision <= MAX_PRECISION:
            return f"decimal's precision must be from 1 to {MAX_PRECISION}, got {precision}"
        if scale is None or not 0 <= scale <= precision:
            return f"decimal's scale must be from 0 to its precision {precision}, got {scale}"
    elif precision is not None or scale is not None:
        return f"only decimal has a precision and a scale, not {kind}"
    if timezone is None:
        return None
    return _timezone_fault(timezone) if kind == "datetime" else f"{kind} has no time zone"


def _timezone_fault(name: str) -> str | None:
    """Say what is wrong with the name of a time zone. UTC needs no database."""
    if name == "UTC":
        return None
    # Imported late: few schemas name a time zone.
    from zoneinfo import ZoneInfo, available_timezones

    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        hint = did_you_mean(name, available_timezones())
        return f"{name!r} is not a time zone{hint or '; write a name like Europe/Berlin'}"
    return None


TypeValue = Annotated[
    ColumnType,
    PlainValidator(parse_type),
    PlainSerializer(str),
    WithJsonSchema(
        {
            "type": "string",
            "anyOf": [
                {"enum": [kind for kind in KINDS if kind != "decimal"]},
                {"pattern": r"^\s*decimal\s*\(\s*[0-9]+\s*,\s*[0-9]+\s*\)\s*$"},
                {"pattern": r"^\s*datetime\s*\([^()]+\)\s*$"},
            ],
            "examples": ["int64", "decimal(12,2)", "datetime(Europe/Berlin)"],
        }
    ),
]
"""A column type, written as text."""
