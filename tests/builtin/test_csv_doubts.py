"""Columns of texts of which a few fit no type: what the casts take is what the converter makes."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stagepipe.builtin.csv import doubts
from stagepipe.builtin.csv.dialect import Dialect
from stagepipe.contracts import ColumnSpec

INTEGERS = [
    *(pa.int8(), pa.int16(), pa.int32(), pa.int64()),
    *(pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
]
DECIMALS = [
    pa.decimal128(*of) for of in [(15, 2), (5, 0), (3, 3), (38, 0), (38, 2), (38, 10), (20, 19)]
]
OTHERS = [
    *(pa.float32(), pa.float64(), pa.bool_(), pa.date32()),
    *(pa.time64("us"), pa.timestamp("us"), pa.timestamp("us", "Europe/Berlin")),
]
DAY = "[0-2][0-9]{3}-[01][0-9]-[0-3][0-9]"
CLOCK = r"[0-2][0-9]:[0-6][0-9](:[0-6][0-9](\.[0-9]{1,9})?)?"
NOTATION = Dialect.of({"delimiter": ",", "quote": '"', "null_values": ("",)}).notation

written = st.one_of(
    st.text("0123456789.-+eE x/_,", max_size=12),
    st.from_regex(r"\A-?[0-9]{1,22}(\.[0-9]{0,21})?\Z"),
    st.from_regex(r"\A-?0{20,50}[0-9]{1,9}\.?[0-9]{0,3}\Z"),
    st.from_regex(r"\A[+-]?[0-9]{0,3}\.?[0-9]{1,3}([eE][+-]?[0-9]{1,2})?\Z"),
    st.from_regex(rf"\A{DAY}\Z"),
    st.from_regex(rf"\A{DAY}[ T]{CLOCK}(Z|[+-]0[0-9](:?[03]0)?)?\Z"),
    st.from_regex(rf"\A{CLOCK}\Z"),
    st.sampled_from(["", "n/a", "12x4", "1e40", "inf", "nan", "true", "0"]),
)


@pytest.mark.parametrize("kind", [*INTEGERS, *DECIMALS, *OTHERS], ids=str)
@given(texts=st.lists(st.none() | written, min_size=1, max_size=30), cut=st.integers(0, 30))
def test_what_is_not_doubted_is_what_the_converter_makes_of_it(kind, texts, cut):
    column = ColumnSpec("it", "it", kind)
    given_texts = [None if text == "" else text for text in texts]
    found = pa.chunked_array([given_texts[:cut], given_texts[cut:]], pa.string())

    values, is_odd = doubts.sorted_out(found, column, NOTATION)

    assert values.type == kind
    for text, value, odd in zip(given_texts, values.to_pylist(), is_odd.to_list(), strict=True):
        if odd:
            assert text is not None
            continue
        if text is not None:
            assert not NOTATION.unfit([text], column), text
        expected = NOTATION.typed_texts([text], column).to_pylist()[0]
        assert repr(value) == repr(expected), text


@pytest.mark.parametrize("kind", INTEGERS, ids=str)
@given(data=st.data())
def test_no_whole_number_in_plain_form_is_doubted(kind, data):
    bits = kind.bit_width
    low, high = (
        (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if "u" not in str(kind) else (0, 2**bits - 1)
    )
    numbers = data.draw(st.lists(st.integers(low, high), min_size=1))
    texts = pa.chunked_array([[*map(str, numbers), "n/a", "+5"]])

    values, is_odd = doubts.sorted_out(texts, ColumnSpec("it", "it", kind), NOTATION)

    assert is_odd.to_list() == [False] * len(numbers) + [True, True]
    assert values.to_pylist() == [*numbers, None, None]


@pytest.mark.parametrize("kind", DECIMALS, ids=str)
@given(data=st.data())
def test_no_decimal_in_plain_form_is_doubted(kind, data):
    most = 10**kind.precision - 1
    units = data.draw(st.lists(st.integers(-most, most), min_size=1))
    numbers = [Decimal(f"{number}e-{kind.scale}") for number in units]
    texts = pa.chunked_array([[*(f"{number:f}" for number in numbers), "n/a", "1e-3"]])

    values, is_odd = doubts.sorted_out(texts, ColumnSpec("it", "it", kind), NOTATION)

    assert is_odd.to_list() == [False] * len(numbers) + [True, True]
    assert values.to_pylist() == [*numbers, None, None]
