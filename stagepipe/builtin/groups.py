"""What becomes of the values of one group: the functions of `aggregate` and `pivot`.

Polars sums whole numbers in their own bits and decimals in 128, and wraps around without a word,
or, for decimals of some groups, fails without the column's name. Here whole numbers are summed in
128 bits, and a sum that its type does not hold is an error. Decimals of up to 28 digits cannot come
so far with the rows that polars can count (2**32); longer ones are summed only where the floats of
their absolute values show that there is room.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import polars as pl

from stagepipe.builtin.columns import named
from stagepipe.builtin.types import type_word

FUNCTIONS: dict[str, Callable[[pl.Expr], pl.Expr]] = {
    "rows": lambda _: pl.len().cast(pl.Int64),
    "count": lambda values: values.count().cast(pl.Int64),
    "n_unique": lambda values: values.drop_nulls().n_unique().cast(pl.Int64),
    "sum": lambda values: values.sum(),
    "mean": lambda values: values.cast(pl.Float64).mean(),
    "median": lambda values: values.cast(pl.Float64).median(),
    "min": lambda values: values.min(),
    "max": lambda values: values.max(),
    "first": lambda values: values.first(),
    "last": lambda values: values.last(),
    "only": lambda values: values.first(),
}
"""By the name in a pipeline file; `rows` is a count of rows, of no column, and `only` what pivot
does when none is named."""
OF_NUMBERS = frozenset({"sum", "mean", "median"})
LARGEST = 2**63 - 1
_SAFE_DIGITS = 28


@dataclass(frozen=True, slots=True)
class Result:
    """One column of the result: `function` over the values of a column of a type. Where `where` is
    given, only over the values of the rows for which it is true."""

    name: str
    function: str
    column: str
    kind: pl.DataType
    where: pl.Expr | None = None

    def check(self) -> None:
        """That the function can be computed of such a column."""
        is_number = self.kind.is_numeric() or self.kind == pl.Boolean
        if self.function in OF_NUMBERS and not is_number:
            raise ValueError(
                f"{self.function} needs numbers, and column {self.column!r} is "
                f"{type_word(self.kind)}"
            )
        if self.function in ("min", "max") and self.kind.is_nested():
            raise ValueError(
                f"{self.function} needs values that can be compared, and column {self.column!r} "
                f"is {type_word(self.kind)}"
            )

    @property
    def is_whole_sum(self) -> bool:
        """Whether it is a sum that is to fit into int64."""
        return self.function == "sum" and (self.kind.is_integer() or self.kind == pl.Boolean)

    @property
    def beside(self) -> str | None:
        """What has to be known beside the value, to see whether that can be trusted."""
        if self.function == "only":
            return "rows"
        if self.function == "sum" and isinstance(self.kind, pl.Decimal):
            return "size" if self.kind.precision > _SAFE_DIGITS else None
        return None

    def expression(self) -> pl.Expr:
        """The value, or a struct of it and of what has to be known beside it."""
        values = named(self.column) if self.column else pl.len()
        if self.is_whole_sum:
            values = values.cast(pl.Int128)
        elif self.function == "sum" and self.kind == pl.Float32:
            values = values.cast(pl.Float64)
        if self.where is not None:
            values = values.filter(self.where)
        value = FUNCTIONS[self.function](values)
        if self.beside == "rows":
            value = pl.struct(value=value, rows=values.len())
        elif self.beside == "size":
            size = values.cast(pl.Float64).abs().sum()
            value = pl.struct(value=values.filter(size < self.limit).sum(), size=size)
        return value.alias(self.name)

    @property
    def limit(self) -> float:
        """What the sum of decimals must not reach."""
        assert isinstance(self.kind, pl.Decimal)
        return float(10.0 ** (38 - self.kind.scale))


def grouped(frame: pl.LazyFrame, by: Sequence[str], results: Sequence[Result]) -> pl.LazyFrame:
    """One row for each group, in the order in which groups first appear; one row for the whole
    table when `by` is empty."""
    for result in results:
        result.check()
    expressions = [result.expression() for result in results]
    if by:
        groups = frame.group_by([named(name) for name in by], maintain_order=True).agg(expressions)
    else:
        groups = frame.select(expressions)
    doubtful = [result for result in results if result.is_whole_sum or result.beside]
    if not doubtful:
        return groups
    checked = groups.map_batches(
        partial(_trusted, by=by, doubtful=doubtful), schema=groups.collect_schema()
    )
    return checked.with_columns(_plain(result) for result in doubtful)


def _trusted(groups: pl.DataFrame, by: Sequence[str], doubtful: Sequence[Result]) -> pl.DataFrame:
    """The groups. Raises ValueError at the first that cannot be trusted."""
    for result in doubtful:
        wrong = groups.filter(_is_wrong(result)).head(1)
        if wrong.height:
            where = ", ".join(f"{name}={wrong[name][0]!r}" for name in by)
            value = wrong[result.name][0]
            raise ValueError(_complaint(result, f" for {where}" if where else "", value))
    return groups


def _plain(result: Result) -> pl.Expr:
    value = named(result.name)
    if result.is_whole_sum:
        return value.cast(pl.Int64)
    return value.struct.field("value").alias(result.name)


def _is_wrong(result: Result) -> pl.Expr:
    value = named(result.name)
    if result.beside == "rows":
        return value.struct.field("rows") > 1
    if result.beside == "size":
        return value.struct.field("size") >= result.limit
    return ~value.is_between(-LARGEST - 1, LARGEST)


def _complaint(result: Result, where: str, value: Any) -> str:
    if result.beside == "rows":
        return (
            f"column {result.name!r}{where} has {value['rows']} values: "
            "say with 'aggregate' how they become one"
        )
    if result.beside == "size":
        return f"the sum of column {result.column!r}{where} is too large for 38 digits"
    return (
        f"the sum of column {result.column!r}{where} is {value}, too large for int64: "
        "cast the column to decimal(38,0) first"
    )
