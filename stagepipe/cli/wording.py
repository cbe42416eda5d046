"""How numbers, times and paths are said to a person; and tables of plain text."""

from __future__ import annotations

import os
import shlex
import unicodedata
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from stagepipe.amounts import duration, size
from stagepipe.model import shown, shown_source

__all__ = [
    "command_line",
    "count",
    "duration",
    "field",
    "local_time",
    "number",
    "path_here",
    "plural",
    "shortened",
    "shown",
    "shown_source",
    "size",
    "table",
]

LABEL_WIDTH = 10


def number(value: int | None) -> str:
    """`1,234,567`; `-` for what is not known."""
    return "-" if value is None else f"{value:,}"


def count(value: int, one: str, many: str | None = None) -> str:
    """`1 file`, `1,234 files`."""
    return f"{value:,} {plural(value, one, many)}"


def plural(value: int, one: str, many: str | None = None) -> str:
    """The word alone."""
    return one if value == 1 else many or one + "s"


def local_time(text: str | None) -> str:
    """A time of the ledger, by the clock on the wall."""
    if text is None:
        return "-"
    return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M:%S}"


def path_here(path: Path | str) -> str:
    """A path to open from where the user stands: relative where that is shorter."""
    absolute = os.path.abspath(path)  # noqa: PTH100 - a link in the path stays as the user knows it
    try:
        relative = os.path.relpath(absolute)
    except (OSError, ValueError):  # the current folder is gone
        return shown(absolute)
    return shown(min(relative, absolute, key=len))


def command_line(*words: str) -> str:
    """A command to copy."""
    return "stagepipe " + " ".join(shlex.quote(shown(word)) for word in words if word)


def shortened(text: str, width: int) -> str:
    """The beginning of a text, on one line."""
    text = shown(text)
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"


def field(label: str, text: str) -> str:
    """A line with its label in front."""
    return f"{label:<{LABEL_WIDTH}}{text}".rstrip()


def table(rows: Sequence[Sequence[str]], right: Sequence[int] = (), indent: str = "") -> list[str]:
    """Lines with cells in columns; the columns numbered in `right` are set to the right."""
    if not rows:
        return []
    rows = [[shown(cell) for cell in row] for row in rows]
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    return [
        (
            indent
            + "  ".join(
                _padded(cell, width, is_right=index in right)
                for index, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
        ).rstrip()
        for row in rows
    ]


def _width(text: str) -> int:
    """How many places a terminal gives to a text: two to a wide letter, none to a mark on one."""
    if text.isascii():
        return len(text)
    marks = sum(unicodedata.combining(letter) != 0 for letter in text)
    return len(text) - marks + sum(unicodedata.east_asian_width(c) in "WF" for c in text)


def _padded(text: str, width: int, *, is_right: bool) -> str:
    space = " " * (width - _width(text))
    return space + text if is_right else text + space
