"""Column types."""

from __future__ import annotations

import pytest

from stagepipe.declare import ColumnType
from stagepipe.declare.types import KINDS, parse_type
from stagepipe.errors import PipelineError


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        *((kind, kind) for kind in KINDS if kind != "decimal"),
        ("decimal(12,2)", "decimal(12,2)"),
        (" decimal( 38 , 0 ) ", "decimal(38,0)"),
        ("datetime(Europe/Berlin)", "datetime(Europe/Berlin)"),
        ("datetime(UTC)", "datetime(UTC)"),
    ],
)
def test_types_come_back_as_text(text, canonical):
    """A type's text is read, and written in one way."""
    assert str(parse_type(text)) == canonical
    assert parse_type(canonical) == parse_type(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("strng", "did you mean 'string'"),
        ("int", "did you mean 'int64'"),
        ("Int32", "did you mean 'int32'"),
        ("xyzzy", "the types are int8"),
        ("decimal", 'write "decimal'),
        ("decimal(39,2)", "precision must be from 1 to 38, got 39"),
        ("decimal(0,0)", "precision must be from 1"),
        ("decimal(2,3)", "scale must be from 0 to its precision 2, got 3"),
        ("int64(3)", "takes nothing in parentheses"),
        ("datetime(Europe/Berlim)", "did you mean 'Europe/Berlin'"),
        ("datetime(../../etc/passwd)", "is not a time zone"),
        ("datetime(Europe)", "is not a time zone"),
        ("datetime()", "is not a time zone"),
        ("", "is not a type"),
        (3, "3 is not a type"),
    ],
)
def test_wrong_types(text, message):
    """What is no type is refused, with the nearest one."""
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        parse_type(text)


@pytest.mark.parametrize(
    "words",
    [
        {"kind": "int"},
        {"kind": "decimal"},
        {"kind": "decimal", "precision": 3, "scale": 4},
        {"kind": "int8", "precision": 3},
        {"kind": "date", "timezone": "UTC"},
    ],
)
def test_types_in_python(words):
    """A type built in Python is checked, too."""
    with pytest.raises(PipelineError):
        ColumnType(**words)
