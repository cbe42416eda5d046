"""Sizes, durations and budgets as people write them: `"32MB"`, `"200ms"`, `"10%"`.

kB, MB and GB count in thousands and KiB, MiB and GiB in 1024s, as the SI and IEC prefixes say; a
bare `K` or a lower-case `mb` could be either and is refused. Arithmetic is exact (`Fraction`), so
that `"29%"` of 100 rows allows 29 and not 28.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema

from stagepipe.errors import Fault, PipelineError

SIZE_UNITS = {
    "B": 1,
    "kB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
"""Bytes in each unit of size."""

DURATION_UNITS = {
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
    "d": Fraction(86400),
}
"""Seconds in each unit of time."""

# Fifteen digits are more than any size or time needs, and keep the arithmetic small.
NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,15})?"
SIZE_PATTERN = rf"^({NUMBER}) ?(B|kB|MB|GB|KiB|MiB|GiB)$"
DURATION_PATTERN = rf"^({NUMBER}) ?(ms|s|m|h|d)$"
SHARE_PATTERN = rf"^({NUMBER}) ?%$"
TIMES_PATTERN = rf"^({NUMBER}) ?x$"
TIMEOUT_PATTERN = rf"^{NUMBER} ?(ms|s|m|h|d|x)$"


def parse_size(value: Any) -> int:
    """Turn `"32MB"` or a number of bytes into bytes.

    Raises:
        ValueError: it is no size, or no whole number of bytes.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = re.fullmatch(SIZE_PATTERN, value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(
            f"{value!r} is not a size: write a number and B, kB, MB, GB, KiB, MiB or GiB,"
            ' like "32MB"'
        )
    size = Fraction(match[1]) * SIZE_UNITS[match[2]]
    if size.denominator != 1:
        raise ValueError(f"{value!r} is not a whole number of bytes")
    return int(size)


def format_size(size: int) -> str:
    """Write bytes in the largest unit that keeps them a whole number: 32000000 as `32MB`."""
    for unit, factor in sorted(SIZE_UNITS.items(), key=lambda item: -item[1]):
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return f"{size}B"


def parse_duration(value: Any) -> float:
    """Turn `"200ms"`, a number of seconds or a `timedelta` into seconds.

    Raises:
        ValueError: it is no duration, or it is negative.
    """
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, int | float) and not isinstance(value, bool):
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{value!r} is not a duration: it must be 0 or more")
        return float(value)
    match = re.fullmatch(DURATION_PATTERN, value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(
            f'{value!r} is not a duration: write a number and ms, s, m, h or d, like "200ms"'
        )
    return float(Fraction(match[1]) * DURATION_UNITS[match[2]])


@dataclass(frozen=True, slots=True)
class Budget:
    """How many of a total may go wrong: a number, or a share of the total.

    Exactly one of the two is set. `share` is a fraction: 0.1 for `"10%"`.
    """

    count: int | None = None
    share: float | None = None

    def __post_init__(self) -> None:
        if (self.count is None) == (self.share is None):
            fault = "a budget is a number or a share, and not both"
        elif self.count is not None and self.count < 0:
            fault = f"a budget must be at least 0, got {self.count}"
        elif self.share is not None and not 0 <= self.share <= 1:
            fault = f"a budget's share must be from 0 to 1, got {self.share}"
        else:
            return
        raise PipelineError([Fault(fault)])

    def allows(self, count: int, total: int) -> bool:
        """Say whether `count` of `total` is within the budget."""
        if self.count is not None:
            return count <= self.count
        return count <= Fraction(repr(self.share)) * total

    def __str__(self) -> str:
        if self.count is not None:
            return str(self.count)
        percent = Fraction(repr(self.share)) * 100
        return f"{percent}%" if percent.denominator == 1 else f"{float(percent)}%"


def parse_budget(value: Any) -> Budget:
    """Turn `"10%"` or a whole number into a budget.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(value, Budget):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 0:
            raise ValueError(f"a budget must be at least 0, got {value}")
        return Budget(count=value)
    match = re.fullmatch(SHARE_PATTERN, value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f'{value!r} is not a budget: write a whole number, or a share like "10%"')
    share = Fraction(match[1]) / 100
    if share > 1:
        raise ValueError(f"{value!r} is more than all: a share goes from 0% to 100%")
    return Budget(share=float(share))


@dataclass(frozen=True, slots=True)
class Timeout:
    """How long an attempt may take: `seconds`, or so many `times` the median of its stage.

    Exactly one of the two is set, and it is more than 0.
    """

    seconds: float | None = None
    times: float | None = None

    def __post_init__(self) -> None:
        values = [value for value in (self.seconds, self.times) if value is not None]
        if len(values) != 1 or not 0 < values[0] < math.inf:
            fault = "a timeout is either a time or a multiple of the median, and more than 0"
            raise PipelineError([Fault(fault)])

    def __str__(self) -> str:
        return f"{self.seconds:g}s" if self.seconds is not None else f"{self.times:g}x"


def parse_timeout(value: Any) -> Timeout:
    """Turn `"10m"`, a number of seconds, a `timedelta` or `"5x"` into a timeout.

    Raises:
        ValueError: it is none of these, or not more than 0.
    """
    if isinstance(value, Timeout):
        return value
    match = re.fullmatch(TIMES_PATTERN, value) if isinstance(value, str) else None
    if match is not None:
        if not (times := float(Fraction(match[1]))) > 1:
            raise ValueError(f"{value!r} is not more than what the median task takes")
        return Timeout(times=times)
    try:
        seconds = parse_duration(value)
    except ValueError as error:
        if not isinstance(value, str):
            raise
        raise ValueError(
            f'{value!r} is not a timeout: write a duration like "10m", '
            'or a multiple of what the stage\'s median task takes, like "5x"'
        ) from error
    if not seconds:
        raise ValueError(f"{value!r} leaves no time; leave it out for none")
    return Timeout(seconds=seconds)


def _schema(pattern: str, number: str, example: str) -> WithJsonSchema:
    """Describe a value that is a number or a text with a unit."""
    text = {"type": "string", "pattern": pattern, "examples": [example]}
    return WithJsonSchema({"anyOf": [{"type": number, "minimum": 0}, text]})


ByteSize = Annotated[
    int, BeforeValidator(parse_size), Field(ge=1), _schema(SIZE_PATTERN, "integer", "32MB")
]
"""A size, kept in bytes."""

Seconds = Annotated[
    float, PlainValidator(parse_duration), _schema(DURATION_PATTERN, "number", "200ms")
]
"""A duration, kept in seconds."""

BudgetValue = Annotated[
    Budget,
    PlainValidator(parse_budget),
    PlainSerializer(str),
    _schema(SHARE_PATTERN, "integer", "10%"),
]
"""A number, or a share of a total."""

TimeoutValue = Annotated[
    Timeout,
    PlainValidator(parse_timeout),
    PlainSerializer(str),
    _schema(TIMEOUT_PATTERN, "number", "10m"),
]
"""A duration, or a multiple of the median."""
