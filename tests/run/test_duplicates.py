"""Which rows are duplicates, against a slow reading of one row after the other."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stagepipe.run import duplicates as module
from stagepipe.run.duplicates import duplicates

Row = tuple[Any, ...]
COLUMNS = 3


def slow(rows: Sequence[Row]) -> list[tuple[int, list[bool]]]:
    """The position of each duplicate, and in which columns it is one."""
    seen: list[set[Any]] = [set() for _ in rows[0]] if rows else []
    found = []
    for position, row in enumerate(rows):
        repeats = [
            value is not None and value in known for value, known in zip(row, seen, strict=False)
        ]
        if any(repeats):
            found.append((position, repeats))
            continue
        for value, known in zip(row, seen, strict=False):
            known.add(value)
    return found


def fast(rows: Sequence[Row], cuts: Sequence[int]) -> list[tuple[int, list[bool]]]:
    frame = pl.DataFrame(rows, schema=[str(n) for n in range(COLUMNS)], orient="row").cast(pl.Int64)
    edges = [0, *sorted(cuts), len(rows)]
    parts = [frame[start:end].lazy() for start, end in pairwise(edges)]
    found = duplicates(parts, COLUMNS)
    assert len(found) == len(parts)
    return [
        (start + row, list(failing))
        for start, frame in zip(edges, found, strict=False)
        for row, *failing in frame.iter_rows()
    ]


values = st.one_of(st.none(), st.integers(0, 12))
tables = st.lists(st.tuples(*[values] * COLUMNS), max_size=40)


@settings(max_examples=300)
@given(rows=tables, data=st.data())
def test_what_one_reading_in_order_would_find(rows: list[Row], data: st.DataObject) -> None:
    """For any cut into parts, empty ones too: a row is a duplicate of one before it that stays, and
    a duplicate makes no others."""
    cuts = data.draw(st.lists(st.integers(0, len(rows)), max_size=6))
    assert fast(rows, cuts) == slow(rows)


def test_a_duplicate_makes_no_others() -> None:
    """The second row is one for its first column: what it holds in its second may come again, and
    then makes duplicates itself."""
    rows = [(1, 1, 1), (1, 2, 2), (2, 2, 3), (3, 2, 1), (None, None, None), (None, None, None)]
    assert fast(rows, [3]) == [(1, [True, False, False]), (3, [False, True, True])]


def test_other_values_with_one_hash_are_no_duplicates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where hashes agree, the values decide."""
    rows = [(n % 7, n, n % 2) for n in range(20)]
    monkeypatch.setattr(pl.Expr, "hash", lambda self, *_: self.cast(pl.UInt64) % 2)
    assert fast(rows, [4, 9]) == slow(rows)


def test_many_rows_are_looked_at_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order goes on from one batch to the next."""
    monkeypatch.setattr(module, "BATCH_ROWS", 3)
    rows = [(n % 7, n % 5, n) for n in range(50)]
    assert fast(rows, [10]) == slow(rows)


@pytest.mark.parametrize(
    ("kind", "first", "other"),
    [
        (pl.Int8, -1, 1),
        (pl.UInt64, 2**64 - 1, 0),
        (pl.Float32, 0.1, 0.2),
        (pl.Float64, math.inf, -math.inf),
        (pl.Decimal(38, 2), Decimal("1.50"), Decimal("15.0")),
        (pl.Boolean, True, False),
        (pl.String, "", " "),
        (pl.String, "ä" * 50, "a\u0308" * 50),
        (pl.Date, dt.date(1, 1, 1), dt.date(2000, 1, 1)),
        (pl.Time, dt.time(12), dt.time(12, 0, 0, 1)),
        (pl.Datetime("us"), dt.datetime(2000, 1, 1), dt.datetime(2000, 1, 2)),
        (
            pl.Datetime("us", "Europe/Berlin"),
            dt.datetime(2000, 7, 1, tzinfo=dt.UTC),
            dt.datetime(2000, 7, 1, 1, tzinfo=dt.UTC),
        ),
    ],
)
def test_every_type(kind: Any, first: Any, other: Any) -> None:
    """Equal values repeat, others and nulls do not; in one part and in several."""
    column = pl.Series("0", [first, None, other, first, None, other]).cast(kind)
    for cuts in ([0, 6], [0, 1, 2, 3, 4, 5, 6]):
        parts = [column[a:b].to_frame().lazy() for a, b in pairwise(cuts)]
        found = [
            a + row
            for a, part in zip(cuts, duplicates(parts, 1), strict=False)
            for row in part["row"]
        ]
        assert found == [3, 5]


def test_equal_numbers_are_one_value() -> None:
    """Zero has one value with both signs, and what is no number is one value too."""
    column = pl.Series("0", [0.0, math.nan, -0.0, -math.nan, 1.0])
    assert duplicates([column.to_frame().lazy()], 1)[0]["row"].to_list() == [2, 3]


@pytest.mark.parametrize("heights", [[], [0], [0, 0]])
def test_no_rows(heights: list[int]) -> None:
    """Nothing is nothing."""
    parts = [pl.LazyFrame({"0": pl.Series([], dtype=pl.Int64)}) for _ in heights]
    assert [part.height for part in duplicates(parts, 1)] == heights
