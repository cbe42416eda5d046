"""The Parquet sink: what goes in comes out, and the same rows make the same bytes."""

from __future__ import annotations

import hashlib
import random
from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import pairwise

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal

from stagepipe.builtin.sinks.parquet import ParquetSink
from stagepipe.declare.types import KINDS, parse_type
from stagepipe.plan.resolve import arrow_type
from stagepipe.run import between
from stagepipe.run.frames import to_arrow

NOON = datetime(2013, 1, 18, 12, 0, 0, 123_456)
VALUES = {
    "float32": [0.5, float("inf"), -0.0],
    "float64": [0.1, 1e308, float("-inf")],
    "decimal(38,10)": [Decimal("1.5"), Decimal("-9999999999999999999999999999.9999999999")],
    "decimal(4,2)": [Decimal("99.99"), Decimal(0)],
    "bool": [True, False],
    "string": ["", "é\n\x00", "x" * 3000],
    "date": [date(1, 1, 1), date(9999, 12, 31)],
    "time": [time(0), time(23, 59, 59, 999_999)],
    "datetime": [NOON, datetime(1, 1, 1)],
    "datetime(UTC)": [NOON.replace(tzinfo=UTC)],
    "datetime(Europe/Berlin)": [NOON.replace(tzinfo=UTC)],
}


def encoded(table, path):
    """The rows of the one file that the sink writes."""
    (file,) = ParquetSink().encode(table, {}, lambda: path)
    assert (file.path, file.folder, file.head) == (path, "", 0)
    return file.rows


def written(table, path):
    return encoded(table, path), hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", [*VALUES, *(kind for kind in KINDS if "int" in kind)])
def test_each_type_comes_back(name, tmp_path):
    """Values, nulls and types, for other readers and for the stage after."""
    kind = arrow_type(parse_type(name))
    bits = kind.bit_width if pa.types.is_integer(kind) else 0
    extremes = [0, 2**bits - 1] if name.startswith("u") else [-(2**bits) // 2, 2**bits // 2 - 1]
    values = [*VALUES.get(name, extremes), None]
    table = pa.table({"v": pa.array(values, kind)})
    path = tmp_path / "t.parquet"
    assert written(table, path)[0] == len(values)
    assert pq.read_table(path).equals(table)
    decoded = ParquetSink().decode(path)
    assert decoded.equals(pl.DataFrame(pl.from_arrow(table)))
    assert decoded.schema == pl.DataFrame(pl.from_arrow(table)).schema


def test_a_table_without_rows(tmp_path):
    """It still has its columns."""
    schema = pa.schema([("a", pa.int64()), ("b", pa.string())])
    assert written(schema.empty_table(), tmp_path / "t.parquet")[0] == 0
    assert pq.read_table(tmp_path / "t.parquet").schema.equals(schema)
    assert ParquetSink().decode(tmp_path / "t.parquet").height == 0


def test_the_same_rows_make_the_same_bytes(tmp_path):
    """However they lie in memory: in one piece, in many, sliced, or through polars."""
    random.seed(7)
    rows = 60_000
    numbers = [random.choice((None, random.randrange(10**9))) for _ in range(rows)]
    texts = [random.choice(("a", "bb", None, "c" * random.randrange(50))) for _ in range(rows)]
    table = pa.table({"n": numbers, "s": texts, "b": [number is None for number in numbers]})
    _, expected = written(table, tmp_path / "whole.parquet")
    for pieces in (2, 7, 300):
        edges = [0, *sorted(random.sample(range(rows), pieces - 1)), rows]
        parts = [table.slice(a, b - a) for a, b in pairwise(edges)]
        assert written(pa.concat_tables(parts), tmp_path / "pieces.parquet")[1] == expected
    shifted = pa.concat_tables([table.slice(5, 17), table]).slice(17)
    assert written(shifted, tmp_path / "shifted.parquet")[1] == expected
    assert written(table, tmp_path / "again.parquet")[1] == expected


ODD = pl.DataFrame(
    {
        "nothing": pl.Series([None, None, None], dtype=pl.Null),
        "category": pl.Series(["b", "a", None], dtype=pl.Categorical),
        "enum": pl.Series(["lo", "hi", "lo"], dtype=pl.Enum(["hi", "lo"])),
        "list": [[1, None], [], None],
        "struct": [{"x": 1, "y": "a"}, {"x": None, "y": ""}, None],
        "deep": [[{"x": [Decimal("1.50")]}], [], None],
        "small": pl.Series([Decimal("1.5"), None, Decimal("-99.99")], dtype=pl.Decimal(4, 2)),
        "wide": pl.Series([Decimal("9" * 28 + ".5"), None, Decimal(0)], dtype=pl.Decimal(38, 10)),
    }
)


@pytest.mark.parametrize("rows", [0, 1, 3])
@pytest.mark.parametrize("way", ["sink", "spool"])
def test_what_steps_may_make_comes_back(way, rows, tmp_path):
    """Columns of types that no schema has, after a sink as in a part between stages."""
    frame = ODD.head(rows)
    table, path = to_arrow(frame), tmp_path / "part"
    if way == "sink":
        assert encoded(table, path) == rows
        found = ParquetSink().decode(path)
    else:
        assert between.write(table, path) == rows
        assert between.read(path).equals(table)
        found = pl.DataFrame(pl.from_arrow(between.read(path)))
    assert_frame_equal(found, frame)


ROWS = 20_000
PLACES = [n * 7919 % ROWS for n in range(ROWS)]  # each number once, in no order
WIDE = Decimal("1234567890123456789012345678.0123456789")
ENCODED = {
    "tiny": (pa.decimal128(9, 2), [Decimal(n - 9999) / 100 for n in PLACES], "DELTA_BINARY_PACKED"),
    "small": (
        pa.decimal128(18, 4),
        [(Decimal(n) - ROWS // 2) * 999_999_999_999 / 10_000 for n in PLACES],
        "DELTA_BINARY_PACKED",
    ),
    "repeating": (pa.decimal128(12, 2), [Decimal(n % 7 - 3) / 4 for n in PLACES], "RLE_DICTIONARY"),
    "wide": (pa.decimal128(38, 10), [WIDE - n for n in PLACES], "PLAIN"),
    "texts": (
        pa.string(),
        [f"é{n}" * (n % 40) + str(n) for n in PLACES],
        "DELTA_LENGTH_BYTE_ARRAY",
    ),
    "words": (pa.string(), [("a", "", "é\n")[n % 3] for n in PLACES], "RLE_DICTIONARY"),
    "rising": (pa.int64(), [n // 9 - 2**62 for n in range(ROWS)], "DELTA_BINARY_PACKED"),
    "random": (pa.int32(), [(-1) ** n * (2**31 - 1 - n) for n in PLACES], "DELTA_BINARY_PACKED"),
}


@pytest.mark.parametrize("with_nulls", [False, True])
@pytest.mark.parametrize("name", ENCODED)
def test_other_readers_understand_the_encodings(name, with_nulls, tmp_path):
    """Whatever encoding a column gets, DuckDB and polars read the values that were written."""
    kind, values, encoding = ENCODED[name]
    if with_nulls:
        values = [None if n % 11 == 0 else value for n, value in enumerate(values)]
        encoding = "RLE_DICTIONARY" if name == "rising" else encoding  # it does not rise any more
    path = tmp_path / "t.parquet"
    table = pa.table({"v": pa.array(values, kind)})
    encoded(table, path)
    assert encoding in pq.read_metadata(path).row_group(0).column(0).encodings
    assert pq.read_table(path).equals(table)
    assert duckdb.read_parquet(str(path)).fetchall() == [(value,) for value in values]
    assert pl.read_parquet(path)["v"].to_list() == values
