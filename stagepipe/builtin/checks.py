"""The checks of a schema's columns: each a mask over a whole column, true where a value fails.

A null fails `required` and nothing else. `pattern` has to match the whole value, by RE2's rules.
A float that is not a number fails every `min` and `max`. A check over several columns fails where
its expression is false; where that is null, as SQL has it, it passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from stagepipe.contracts import CheckSpec, TableSpec

Mask: TypeAlias = "pa.ChunkedArray | pa.Array"


def failures(table: pa.Table, spec: TableSpec) -> Iterator[tuple[str, str, Mask]]:
    """(column, reason, mask) of each check that some row of the table fails, in the order in which
    reasons are given: columns from left to right, and for each column as the spec has them."""
    for column in spec.columns:
        values = table.column(column.name)
        if column.required and values.null_count:
            yield column.name, "required", pc.is_null(values)
        if values.null_count == len(values):
            continue
        for reason, bound in column.checks:
            mask = pc.fill_null(_CHECKS[reason](values, bound), False)
            if pc.any(mask, min_count=0).as_py():
                yield column.name, reason, mask


def check_failures(table: pa.Table, spec: TableSpec) -> Iterator[tuple[CheckSpec, Mask]]:
    """(check, mask) of each check over several columns that some row of the table fails."""
    if not spec.checks or not table.num_rows:
        return
    import polars as pl  # late, like all that imports it: most schemas have no such check

    from stagepipe.builtin.expressions import row_expression

    frame = pl.DataFrame(pl.from_arrow(table))
    for check in spec.checks:
        holds = frame.select(row_expression(check.expression)).to_series()
        if len(holds) == 1:
            holds = holds.new_from_index(0, len(frame))  # it names no column
        fails = ~holds.fill_null(True)
        if fails.any():
            yield check, fails.to_arrow()


def check_fault(check: CheckSpec, spec: TableSpec) -> str | None:
    """Why an expression cannot be a check of such a table, or None."""
    import polars as pl

    from stagepipe.builtin.expressions import row_expression
    from stagepipe.builtin.types import type_word

    empty = pa.schema([(c.name, c.arrow_type) for c in spec.columns]).empty_table()
    frame = pl.DataFrame(pl.from_arrow(empty))
    try:
        kinds = frame.select(row_expression(check.expression)).dtypes
    except (ValueError, pl.exceptions.PolarsError) as error:
        return str(error).strip().partition("\n")[0]
    if kinds != [pl.Boolean()]:
        return f"it is {type_word(kinds[0])}, not true or false"
    return None


def pattern_fault(pattern: str) -> str | None:
    """What is wrong with a pattern by RE2's rules, or None."""
    try:
        _pattern(pa.array([""]), pattern)
    except pa.ArrowInvalid as error:
        return str(error)
    return None


def _scalar(values: Any, bound: Any) -> pa.Scalar:
    return pa.scalar(bound, values.type)


def _one_of(values: Any, words: tuple[Any, ...]) -> Any:
    return pc.and_not(pc.is_valid(values), pc.is_in(values, pa.array(words, values.type)))


def _pattern(values: Any, pattern: str) -> Any:
    return pc.invert(pc.match_substring_regex(values, rf"\A(?:{pattern})\z"))


_CHECKS: dict[str, Callable[[Any, Any], Any]] = {
    "min": lambda values, bound: pc.invert(pc.greater_equal(values, _scalar(values, bound))),
    "max": lambda values, bound: pc.invert(pc.less_equal(values, _scalar(values, bound))),
    "one_of": _one_of,
    "pattern": _pattern,
    "min_length": lambda values, bound: pc.less(pc.utf8_length(values), bound),
    "max_length": lambda values, bound: pc.greater(pc.utf8_length(values), bound),
}
