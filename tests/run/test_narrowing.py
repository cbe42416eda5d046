"""Files between stages: numbers in fewer bytes, and back as they were."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from stagepipe.run import between
from stagepipe.run.frames import to_arrow
from stagepipe.run.narrowing import narrowed, widened, widened_plan


@st.composite
def columns(draw: st.DrawFn) -> pa.ChunkedArray:
    """A column of whole numbers or decimals near the bounds of some type, some of them null with
    something beneath, in chunks that may begin within their memory."""
    bits = draw(st.sampled_from([8, 16, 32, 64]))
    if draw(st.booleans()):
        kind = draw(st.sampled_from([pa.int8(), pa.int16(), pa.int32(), pa.int64()]))
        bits = min(bits, kind.bit_width)
        values = st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    else:
        precision = draw(st.integers(1, 38))
        scale = draw(st.integers(0, precision))
        kind = pa.decimal128(precision, scale)
        most = 10 ** draw(st.integers(1, precision)) - 1
        values = st.integers(-most, most).map(lambda n: Decimal(n).scaleb(-scale))
    array = pa.array(draw(st.lists(values, max_size=8)), kind)
    validity = pa.py_buffer(draw(st.binary(min_size=1, max_size=1)))
    masked = pa.Array.from_buffers(kind, len(array), [validity, array.buffers()[1]])
    at = draw(st.integers(0, len(array)))
    return pa.chunked_array([masked[at:], masked[:at]], kind)


@given(st.lists(columns(), min_size=1, max_size=4))
def test_numbers_come_back_as_they_were(drawn: list[pa.ChunkedArray]) -> None:
    """Whatever stands beside them and wherever they begin."""
    rows = min(map(len, drawn))
    table = pa.table([column[:rows] for column in drawn], [str(n) for n in range(len(drawn))])
    narrow = narrowed(table)
    assert narrow.nbytes <= table.nbytes
    back = widened(narrow)
    back.validate(full=True)
    assert back.equals(table, check_metadata=True)


@given(st.integers(0, 18), st.lists(st.integers(1 - 10**18, 10**18 - 1), min_size=1))
def test_polars_makes_the_same_decimals_of_them(scale: int, digits: list[int]) -> None:
    """In a plan, where they are numbers without their points."""
    values = [Decimal(each).scaleb(-scale) for each in digits]
    table = pa.table({"a": pa.array([*values, None], pa.decimal128(20, scale))})
    narrow = narrowed(table)
    plan = pl.LazyFrame(pl.from_arrow(narrow))
    assert widened_plan(plan, narrow.schema).collect()["a"].to_list() == [*values, None]


@pytest.mark.parametrize(
    ("kind", "most", "narrow"),
    [
        (pa.int64(), 127, pa.int8()),
        (pa.int64(), 128, pa.int16()),
        (pa.int64(), 2**31 - 1, pa.int32()),
        (pa.int64(), 2**31, pa.int64()),
        (pa.int32(), -129, pa.int16()),
        (pa.uint64(), 1, pa.uint64()),
        (pa.decimal128(38, 2), Decimal("9999999.99"), pa.int32()),
        (pa.decimal128(9, 0), Decimal(-128), pa.int8()),
        (pa.decimal128(15, 2), Decimal("21474836.48"), pa.int64()),
        (pa.decimal128(38, 2), Decimal("1e17"), pa.decimal128(38, 2)),
        (pa.decimal128(7, 2), Decimal("99999.99"), pa.int32()),
        (pa.decimal128(20, 12), Decimal("1e-12"), pa.int8()),
        (pa.decimal128(30, 19), Decimal("1e-19"), pa.decimal128(30, 19)),
        (pa.float64(), 1.0, pa.float64()),
    ],
)
def test_a_column_takes_the_smallest_type_that_holds_all_of_it(
    kind: pa.DataType, most: object, narrow: pa.DataType
) -> None:
    """One value decides, whatever is null beside it."""
    assert narrowed(pa.table({"a": pa.array([None, most], kind)})).schema.types == [narrow]


def test_names_of_columns_are_no_patterns(tmp_path: Path) -> None:
    """Polars takes some for one; the columns that match keep their types and values."""
    path = tmp_path / "a.arrow"
    frame = pl.DataFrame({"*": [1, 2], "^p.*$": [300, 4], "price": [1.5, 2.75], "flag": ["x", "y"]})
    between.write(to_arrow(frame), path)
    assert_frame_equal(between.scan([path]).collect(), frame)


def test_files_that_were_narrowed_differently_are_one_frame(tmp_path: Path) -> None:
    """In their order, with the types of before; also those that polars keeps beside Arrow's."""
    word = pl.Series(["b", "a", None], dtype=pl.Enum(["b", "a"]))
    frames = [
        pl.DataFrame({"n": [1, None, most], "price": [most] * 3, "word": word}).cast(
            {"price": pl.Decimal(15, 2)}
        )
        for most in (1, 10**6, 2, 3, 10**12)
    ]
    paths = [tmp_path / f"{number}.arrow" for number in range(len(frames))]
    for frame, path in zip(frames, paths, strict=True):
        assert between.write(to_arrow(frame), path) == 3
    assert_frame_equal(between.scan(paths).collect(), pl.concat(frames))
    assert_frame_equal(between.scan(paths[:1]).collect(), frames[0])
    assert_frame_equal(pl.DataFrame(pl.from_arrow(between.read(paths[3]))), frames[3])
