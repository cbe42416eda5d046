"""Random tables by random dialects, guessed and read back: each record, the same values."""

from __future__ import annotations

import csv
import io
import tempfile
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stagepipe.builtin.csv.reader import CsvReader
from stagepipe.contracts import ColumnSpec, SegmentResult, TableSpec
from stagepipe.declare.guessed import dialect_of
from stagepipe.declare.types import parse_type
from stagepipe.errors import InputError
from stagepipe.model import InputFile, Segment
from stagepipe.plan.guessing import TableGuess, guess_table
from stagepipe.plan.resolve import arrow_type

WORDS = st.text("abcdefgh xyzüß", min_size=1, max_size=8).map(str.strip).filter(len)
ROWS = st.tuples(
    st.integers(-9_999_999, 9_999_999),
    st.decimals("-999999999", "999999999", places=2).filter(lambda x: x or not x.is_signed()),
    st.dates(date(1970, 1, 1), date(2060, 12, 31)),
    st.booleans(),
    WORDS.map(lambda word: f"w {word}"),
)
DIALECTS = st.fixed_dictionaries(
    {
        "delimiter": st.sampled_from([";", "\t", "|", ","]),
        "quote": st.sampled_from(['"', "'"]),
        "point": st.sampled_from([".", ","]),
        "group": st.sampled_from(["", ".", ",", "'", " "]),
        "format": st.sampled_from(["%Y-%m-%d", "%d.%m.%Y", "%Y/%m/%d", "%d-%b-%Y"]),
        "truths": st.sampled_from([("true", "false"), ("ja", "nein"), ("Y", "N")]),
        "null": st.sampled_from(["", "NA", "n/a", "-"]),
        "blank": st.sampled_from(["", " "]),
        "end": st.sampled_from(["\n", "\r\n"]),
    }
).filter(lambda how: how["group"] != how["point"])


def number_text(value: int | Decimal, how: dict[str, Any]) -> str:
    text = f"{value:,.2f}" if isinstance(value, Decimal) else f"{value:,}"
    return text.translate({ord(","): how["group"], ord("."): how["point"]})


def written(rows: list[tuple[Any, ...]], holes: set[tuple[int, int]], how: dict[str, Any]) -> str:
    out = io.StringIO(newline="")
    quoting = csv.QUOTE_ALL if how["quote"] == "'" else csv.QUOTE_MINIMAL
    writer = csv.writer(
        out,
        delimiter=how["delimiter"],
        quotechar=how["quote"],
        lineterminator=how["end"],
        quoting=quoting,
    )
    writer.writerow(["count", "amount", "day", "paid", "word"])
    for number, (count, amount, day, paid, word) in enumerate(rows):
        fields = [
            number_text(count, how),
            number_text(amount, how),
            day.strftime(how["format"]),
            how["truths"][0 if paid else 1],
            word,
        ]
        for column in range(4):
            if (number, column) in holes:
                fields[column] = how["null"]
            fields[column] = f"{how['blank']}{fields[column]}"
        writer.writerow(fields)
    return out.getvalue()


def read(path: Path, found: TableGuess) -> SegmentResult:
    declared = dialect_of(found.dialect, found.notation).model_dump()
    names = [each.name.strip(" \t") if declared["trim"] else each.name for each in found.columns]
    spec = TableSpec(
        tuple(
            ColumnSpec(name, name, arrow_type(parse_type(each.type)), format=each.format)
            for name, each in zip(names, found.columns, strict=True)
        )
    )
    data = path.read_bytes()
    segment = Segment(InputFile(str(path), len(data), 0, 0), 0, len(data))
    return CsvReader().read(data, data, segment, spec, declared)


def read_back(path: Path) -> list[tuple[Any, ...]]:
    result = read(path, guess_table([str(path)]))
    assert list(result.rejects) == []
    return list(zip(*(column.to_pylist() for column in result.table.columns), strict=True))


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(st.data(), DIALECTS, st.lists(ROWS, min_size=1, max_size=8))
def test_the_same_values_come_back(
    data: st.DataObject, how: dict[str, Any], rows: list[tuple[Any, ...]]
) -> None:
    """Whatever the delimiter, the quote, the signs, the format, the words: what was written is what
    is read. The first two rows say what cannot be guessed from nothing: the decimal sign, which
    number is the day, and both words for true and false."""
    first = (1_234_567, Decimal("1234567.25"), date(2024, 1, 31), True, "w a")
    second = (2, Decimal("2.50"), date(2024, 12, 30), False, "w b")
    rows = [first, second, *rows]
    places = st.tuples(st.integers(2, max(len(rows) - 1, 2)), st.integers(0, 3))
    holes = data.draw(st.sets(places, max_size=6))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.csv")
        path.write_bytes(written(rows, holes, how).encode())
        back = read_back(path)
    for number, row in enumerate(rows):
        for column, value in enumerate(row):
            wanted = None if (number, column) in holes else value
            assert back[number][column] == wanted, (number, column)


CELLS = st.sampled_from(
    ["Ann", "x", "", "#t", "-- z", "Total", "sum", "5", "007", "1.50", "2024-01-01", "b; c", "NA"]
)
TAKEN_FOR_NO_RECORD = ("lines above", "the header", "comments", "footer", "other tables")


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=150)
@given(
    st.integers(1, 4).flatmap(
        lambda width: st.lists(
            st.lists(CELLS, min_size=width, max_size=width), min_size=2, max_size=12
        )
    ),
    st.sampled_from([",", ";", "|", "||", "::"]),
    st.sampled_from(["", "Report\n", "# made\n"]),
    st.sampled_from(["", "Total\n", "5\n"]),
)
def test_no_record_is_lost_in_silence(
    rows: list[list[str]], delimiter: str, above: str, below: str
) -> None:
    """Each line but the header becomes a row or a reject, or it is said what it is taken for."""
    lines = [delimiter.join(row) or "x" for row in rows]
    text = above + "".join(f"{line}\n" for line in lines) + below
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.csv")
        path.write_text(text)
        try:
            found = guess_table([str(path)])
        except InputError:
            return
        result = read(path, found)
        held = result.table.num_rows + len(list(result.rejects))
    is_told = any(words in doubt for doubt in found.doubts for words in TAKEN_FOR_NO_RECORD)
    assert held == found.records
    assert is_told or held == text.count("\n") - (found.dialect.header_records > 0)
