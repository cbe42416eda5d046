"""The plain values that keys take: names, paths, counts."""

from __future__ import annotations

import os
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StrictStr, WithJsonSchema

from stagepipe.declare.words import shown

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
NAME_LENGTH = 100

OnDrift = Literal["warn", "fail", "accept"]


def check_name(text: str) -> str:
    """Take a name only if it can also be the name of a file, which it becomes."""
    if len(text) > NAME_LENGTH:
        raise ValueError(f"{shown(text)} is too long: a name has at most {NAME_LENGTH} characters")
    if not re.fullmatch(NAME_PATTERN, text):
        raise ValueError(
            f"{shown(text)} is not a name: write letters, digits, '_', '-' and '.',"
            " beginning with a letter or a digit"
        )
    return text


def path_text(value: Any) -> Any:
    """Take a `Path` where Python gives one."""
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _path(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError(f"{shown(text)} is not a path")
    return text


def paths(value: Any) -> Any:
    """Take one glob, or a list of them."""
    return (path_text(value),) if isinstance(value, str | os.PathLike) else value


Name = Annotated[
    StrictStr,
    AfterValidator(check_name),
    WithJsonSchema({"type": "string", "pattern": NAME_PATTERN, "maxLength": NAME_LENGTH}),
]
PathText = Annotated[StrictStr, BeforeValidator(path_text), AfterValidator(_path)]
Globs = Annotated[
    tuple[PathText, ...],
    BeforeValidator(paths),
    Field(min_length=1),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1},
            ]
        }
    ),
]
Cap = Annotated[int, Field(strict=True, ge=1)]
Count = Annotated[int, Field(strict=True, ge=0)]
Word = Annotated[StrictStr, Field(min_length=1)]
Words = tuple[StrictStr, ...]
