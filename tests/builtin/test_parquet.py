"""The Parquet sink: what goes in comes out, and the same rows make the same bytes."""

from __future__ import annotations

import hashlib
import random
from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import pairwise

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stagepipe.builtin.parquet import ParquetSink
from stagepipe.declare.types import KINDS, parse_type
from stagepipe.plan.resolve import arrow_type

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


def written(table, path):
    count = ParquetSink().encode(table, path, {})
    return count, hashlib.sha256(path.read_bytes()).hexdigest()


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
