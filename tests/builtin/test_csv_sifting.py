"""The sieve: a bad value among good ones is judged as where every record is taken apart."""

from __future__ import annotations

from unittest import mock

import polars as pl
import pyarrow as pa
import pytest

from stagepipe.builtin.csv import body, sifting
from stagepipe.builtin.csv.reader import CsvReader
from stagepipe.contracts import ColumnSpec, SegmentResult, TableSpec
from stagepipe.model import InputFile, Segment

GOOD = {
    pa.int64(): "7",
    pa.uint8(): "255",
    pa.float32(): "0.1",
    pa.float64(): "1e5",
    pa.decimal128(5, 2): "123.45",
    pa.decimal128(2, 2): "0.12",
    pa.decimal128(4, 0): "-1234",
    pa.decimal128(38, 10): "12345678901234567890.5",
    pa.date32(): "2024-01-31",
    pa.bool_(): "true",
    pa.timestamp("us"): "2024-01-31 12:00:00",
    pa.time64("us"): "12:00:00",
}
ODD = [
    *("x", "", '""', " ", "-", "+", ".", "é", "\xff", "٣", "1,5", "1_0", "0x1A", "0X1a"),
    *("7", "007", "+5", " 5", "5 ", "\t5", "-5", "--5", "-0", "256", "300", "1e3", "1E2", "1e-2"),
    *(".5", "-.5", "5.", "5.12", "1.555", "0.120", "0.999", "+1.5", "00000000000000001.1"),
    *("12345", "1234.5", "12345678901", "99999999999999999999", "1" * 39, "0.00000000001"),
    *("5e-41", "1e400", "nan", "nan(12)", "inf", "-inf", "Infinity", "NULL"),
    *("2024-02-30", "2024-13-01", "2024-1-31", "+2024-1-31", " 2024-1-31", "2024- 1-31"),
    *("0000-01-01", "-001-01-01", "0999-01-01", "+024-01-31", "2024-01-31 ", "20240131"),
    *("2024-01-31T12:00:00Z", "0000-01-01 00:00:00", "2024-01-31 25:00:00", "24:00:00", "12:00"),
]
OPTIONS = {"delimiter": ",", "quote": '"', "null_values": ("", "NA")}


def read(data: bytes, kind: pa.DataType) -> SegmentResult:
    segment = Segment(InputFile("f.csv", len(data), 0, 0), 0, len(data))
    spec = TableSpec((ColumnSpec("n", "n", kind), ColumnSpec("word", "word", pa.string())))
    return CsvReader().read(data, data, segment, spec, OPTIONS, with_places=True)


@pytest.mark.parametrize("kind", GOOD, ids=str)
def test_each_odd_text_among_good_ones(kind: pa.DataType) -> None:
    """The same rows, rejects and places, whether it fits or not."""
    is_sifted = 0
    for text in ODD:
        odd = text if "," not in text else f'"{text}"'
        lines = ["n,word", *[f"{GOOD[kind]},a"] * 20, f"{odd},b", *[f'{GOOD[kind]},"c"'] * 20]
        encoding = "latin-1" if text == "\xff" else "utf-8"
        data = "\n".join([*lines, ""]).encode(encoding)
        with mock.patch.object(body, "sift", wraps=sifting.sift) as sieve:
            # Known to have bad values, the column is looked at as text from the beginning.
            found, again = read(data, kind), read(data, kind)
            is_sifted += sieve.called
        with mock.patch.object(body, "sift", side_effect=sifting.NoSieve):
            wanted = read(data, kind)
        for result in (found, again):
            assert result.table.schema == wanted.table.schema
            assert pl.DataFrame(result.table).equals(pl.DataFrame(wanted.table)), text
            assert list(result.rejects) == list(wanted.rejects), text
            assert result.places == wanted.places, text
    assert is_sifted > 10
