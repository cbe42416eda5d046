"""The checks of a schema's columns: each a mask over a whole column, true where a value fails.

A null fails `required` and nothing else. `pattern` has to match the whole value, by RE2's rules.
A float that is not a number fails every `min` and `max`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from stagepipe.contracts import TableSpec

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
