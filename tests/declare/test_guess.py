"""Guessing: a type is taken only where nothing is lost, and the reader agrees with it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagepipe.builtin.csv.values import Notation
from stagepipe.contracts import ColumnSpec
from stagepipe.declare import guess
from stagepipe.declare.guess.files import guess_file
from stagepipe.declare.guess.records import Marks
from stagepipe.declare.guessed import dialect_of
from stagepipe.declare.types import parse_type
from stagepipe.plan.resolve import arrow_type

NUMBERS = st.text("0123456789.-+eE", min_size=1, max_size=22)
TIMES = st.from_regex(
    r"[0-2]\d{3}-[01]\d-[0-3]\d([ T][0-2]\d:[0-6]\d:[0-6]\d(\.\d{3})?)?", fullmatch=True
)
LOCAL = st.from_regex(
    r"[0-3]?\d[./-][01]?\d[./-](20)?\d\d( [0-2]?\d:[0-5]\d)?|\d{1,3}([., ]\d{3})?,\d{1,3}",
    fullmatch=True,
)
WORDS = st.sampled_from(["true", "false", "True", "nan", "inf", "0x1A", "-0", "-0.0", "\u0661"])


def guessed(*values: str) -> str:
    return column_of(values).type


def column_of(values: Iterable[str]) -> guess.ColumnGuess:
    evidence = guess.Evidence("x")
    evidence.add(values)
    _, (column,) = guess.decide([evidence])
    return column


@pytest.mark.parametrize(
    ("values", "word"),
    [
        (("1", "-2", ""), "int64"),
        (("1", "08"), "string"),
        (("9223372036854775807",), "int64"),
        (("9223372036854775808",), "string"),
        (("1", "2.5"), "string"),
        (("12.5", "3"), "string"),
        (("2.5", "1.0"), "float64"),
        (("2.5", "1.0", "3"), "string"),
        (("9007199254740993", "0.5"), "string"),
        (("1.50", "2.25"), "decimal(18,2)"),
        (("12.25", "-0.75"), "decimal(18,2)"),  # money, where no amount happens to end in 0
        (("12.25", "13.5"), "float64"),
        (("12.5", "13.5"), "float64"),
        (("1.50", "12345678901234567890.25"), "decimal(38,2)"),
        (("1.50", "-0.00"), "string"),
        (("1.50", "2.5"), "string"),
        (("true", "false"), "bool"),
        (("true", "1"), "string"),
        (("2024-02-29", "0001-01-01"), "date"),
        (("2023-02-29",), "string"),
        (("2024-01-31 08:00:00",), "datetime"),
        (("2024-01-31 08:00:00", "2024-01-31T08:00:00"), "string"),
        (("2024-01-31T08:00:00.123", "2024-01-31T08:00:00.000"), "datetime"),
        (("2024-01-31T08:00:00Z",), "datetime(UTC)"),
        (("2024-01-31T08:00:00+01:00",), "string"),
        (("2024-01-31T24:00:00",), "string"),
        (("", ""), "string"),
        ((), "string"),
    ],
)
def test_types(values: tuple[str, ...], word: str) -> None:
    """Each column is given a type in which all its values come back, or stays text."""
    assert guessed(*values) == word
    one_by_one = guess.Evidence("x")
    for value in values:
        one_by_one.add([value])
    _, (column,) = guess.decide([one_by_one])
    assert column.type == word


@given(st.lists(NUMBERS | TIMES | WORDS | LOCAL, min_size=1, max_size=3))
def test_the_reader_takes_what_was_guessed(values: list[str]) -> None:
    """No value that was seen is a reject under the guessed type and notation; whole numbers,
    decimals and floats are written again as they were."""
    evidence = guess.Evidence("x")
    evidence.add(values)
    notation, (column,) = guess.decide([evidence])
    declared = dialect_of(guess.FileGuess(";", ("x",), False), notation)
    reader = Notation.of(declared.model_dump())
    kind = arrow_type(parse_type(column.type))
    spec = ColumnSpec("x", "x", kind, format=column.format)
    present = [value for value in values if not reader.is_null(value)]
    assert reader.unfit(present, spec) == set()
    back = reader.typed_texts(present, spec).to_pylist()
    if notation.keys:
        return
    if pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        assert [str(value) for value in back] == present
    elif pa.types.is_floating(kind):
        texts = [str(value) for value in back]
        assert present in (texts, [text.removesuffix(".0") for text in texts])


@given(st.text('ab,;"\n\r', max_size=40))
def test_records_are_those_of_the_csv_module(text: str) -> None:
    """Lines without a byte are no records; where a text is cut off, its last record is left out."""
    expected = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    assert list(guess.records(text, Marks(","), is_whole=True)) == expected
    assert list(guess.records(text, Marks(","), is_whole=False)) == expected[:-1]


def test_what_kept_a_column_from_a_type_is_said() -> None:
    """The value that was the last hope's end is named, or what would be lost."""
    assert column_of(["1.0", "2.5", "x"]).because == "'x' is no float64 like the others"
    assert column_of(["2.5", "3"]).because == "'3' is no float64 like the others"
    assert column_of(["08123"]).because == "'08123' would come back as 8123"


@pytest.mark.parametrize(
    ("text", "delimiter", "header"),
    [
        ("a,b;c\n1,x;y\n2,z;u\n", ",", ("a", "b;c")),
        ("a;b,c;d\n1;x;y\n2;z;u\n", ";", ("a", "b,c", "d")),
        ("a,b\n1,2\n1,2,3\n1,2\n", ",", ("a", "b")),
        ("a\n1,2\n3|4\n5;6\n", "\t", ("a",)),
    ],
)
def test_delimiters(text: str, delimiter: str, header: tuple[str, ...]) -> None:
    """The header and most of the records agree on it; in one column none may stand."""
    found = guess.guess_file(text, is_whole=True)
    assert found is not None
    assert (found.delimiter, found.header) == (delimiter, header)


def test_a_header_that_fits_no_record() -> None:
    """It is refused rather than guessed at."""
    with pytest.raises(ValueError, match="several fields by ','"):
        guess.guess_file("a title, of 2024\nx\n1\n3\n", is_whole=True)
    assert guess.guess_file("\n", is_whole=True) is None


@pytest.mark.parametrize(
    ("text", "title_lines", "header_records", "header"),
    [
        ("Sales 2024,,\n,,\nid,name,amount\n1,x,2.50\n2,y,3.50\n", 2, 1, ("id", "name", "amount")),
        ("Sales,,\n\nid,name,amount\n1,x,2.50\n2,y,3.50\n", 1, 1, ("id", "name", "amount")),
        (',"of\nJune"\nid,name\n1,x\n', 2, 1, ("id", "name")),
        ("Sales,,\nid,name,name\n1,x,y\n2,y,z\n", 0, 1, ("Sales", "", "")),
        (",Sales,,Costs\nid,q1,q2,q1\n1,2,3,4\n", 0, 2, ("id", "Sales q1", "q2", "Costs q1")),
        ("Anna,,\n1,x,y\n2,y,z\n", 0, 1, ("Anna", "", "")),
    ],
)
def test_titles_that_a_spreadsheet_filled_up(
    text: str, title_lines: int, header_records: int, header: tuple[str, ...]
) -> None:
    """They are no part of the header below them; where that needs the line above, they are."""
    found = guess_file(text, is_whole=True)
    assert found is not None
    assert (found.title_lines, found.header_records) == (title_lines, header_records)
    assert found.header == header
