"""The words for column types, as polars types: `int64`, `decimal(12,2)`, `datetime(UTC)`.

They are the words of the schema. Built-ins do not see what reads a pipeline file, as no plugin
does; a test holds the two together.
"""

from __future__ import annotations

import difflib
import re
from zoneinfo import ZoneInfo

import polars as pl

PLAIN: dict[str, pl.DataType] = {
    "int8": pl.Int8(),
    "int16": pl.Int16(),
    "int32": pl.Int32(),
    "int64": pl.Int64(),
    "uint8": pl.UInt8(),
    "uint16": pl.UInt16(),
    "uint32": pl.UInt32(),
    "uint64": pl.UInt64(),
    "float32": pl.Float32(),
    "float64": pl.Float64(),
    "bool": pl.Boolean(),
    "string": pl.String(),
    "date": pl.Date(),
    "time": pl.Time(),
    "datetime": pl.Datetime("us"),
}
"""The types without parameters."""

MAX_PRECISION = 38
_DECIMAL = re.compile(r"\s*decimal\s*\(\s*([0-9]{1,2})\s*,\s*([0-9]{1,2})\s*\)\s*")
_DATETIME = re.compile(r"\s*datetime\s*\(\s*([^()]+?)\s*\)\s*")


def polars_type(word: str) -> pl.DataType:
    """The type that a word stands for. Raises ValueError, naming the nearest word."""
    if plain := PLAIN.get(word.strip()):
        return plain
    if match := _DECIMAL.fullmatch(word):
        precision, scale = int(match[1]), int(match[2])
        if 1 <= precision <= MAX_PRECISION and scale <= precision:
            return pl.Decimal(precision, scale)
        raise ValueError(
            f"{word!r} is not a type: decimal has 1 to {MAX_PRECISION} digits, "
            "and no more of them behind the point"
        )
    if match := _DATETIME.fullmatch(word):
        try:
            return pl.Datetime("us", ZoneInfo(match[1]).key)
        except (KeyError, ValueError, OSError):
            raise ValueError(f"{word!r} is not a type: there is no such time zone") from None
    near = difflib.get_close_matches(word.lower(), PLAIN, 1)
    others = ", ".join((*PLAIN, "decimal(12,2)", "datetime(UTC)"))
    hint = f"did you mean {near[0]!r}?" if near else f"the types are {others}"
    raise ValueError(f"{word!r} is not a type; {hint}")


def type_word(kind: pl.DataType) -> str:
    """The word for a polars type, for messages."""
    for word, plain in PLAIN.items():
        if kind == plain:
            return word
    if isinstance(kind, pl.Decimal):
        return f"decimal({kind.precision},{kind.scale})"
    if isinstance(kind, pl.Datetime):
        return f"datetime({kind.time_zone})" if kind.time_zone else "datetime"
    return str(kind).lower()
