"""One way to take the values of a column, and what the rest of the source must be like for it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reading:
    """A type, the `format` of a date or time that is not that of ISO 8601, and the decimal sign
    and the thousands sign that the values need; None where they need none."""

    type: str
    format: str | None = None
    point: str | None = None
    group: str | None = None
