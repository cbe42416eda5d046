"""The type words of steps are those of a schema."""

from __future__ import annotations

import polars as pl
import pyarrow as pa
import pytest

from stagepipe.builtin.types import polars_type, type_word
from stagepipe.declare.types import KINDS, parse_type
from stagepipe.plan.resolve import arrow_type

PARAMETERS = ("decimal(12,2)", "decimal( 38 , 0 )", "datetime(UTC)", " datetime(Europe/Berlin) ")


@pytest.mark.parametrize("word", [*(kind for kind in KINDS if kind != "decimal"), *PARAMETERS])
def test_a_word_means_what_it_means_in_a_schema(word):
    """And its word is found again."""
    in_schema = parse_type(word)
    column = pl.from_arrow(pa.array([], arrow_type(in_schema)))
    assert polars_type(word) == column.dtype
    assert type_word(polars_type(word)) == str(in_schema)


@pytest.mark.parametrize(
    "word", ["", "int", "decimal", "decimal(0,0)", "decimal(3,4)", "datetime()", "date(UTC)"]
)
def test_what_is_no_word_in_a_schema_is_none_here(word):
    """Neither takes it."""
    for read in (parse_type, polars_type):
        with pytest.raises(ValueError, match=r"type|precision|scale|time zone"):
            read(word)
