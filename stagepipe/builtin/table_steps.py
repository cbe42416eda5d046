"""The built-in steps that need all rows at once. Each docstring is the step's help.

Each takes a plan over the whole table and returns one. What can be wrong with the options is
raised at once, from the schema alone; what only the rows show, when the plan is carried out. Every
order is given: by the rows, never by threads or hashes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

import polars as pl

from stagepipe.builtin.columns import check_distinct, check_names, named
from stagepipe.builtin.groups import Result, grouped
from stagepipe.builtin.joining import (
    file_columns,
    in_file,
    in_table,
    key_columns,
    marks,
    taken_columns,
)
from stagepipe.builtin.reference import check_keys, key_words, scan_reference
from stagepipe.builtin.types import type_word
from stagepipe.contracts import step

Names = list[str]


@step(scope="all")
def deduplicate(
    frame: pl.LazyFrame, *, by: Names | None = None, keep: Literal["first", "last"] = "first"
) -> pl.LazyFrame:
    """Keep one of the rows that are alike, where it stands; the others count as dropped.

    Args:
        by: the columns that have to be equal, a null being equal to a null; all when left out.
        keep: which of the rows.
    """
    names = frame.collect_schema().names()
    if by is not None:
        check_names(names, by, "by")
    return frame.unique(named(*(by or names)), keep=keep, maintain_order=True)


@step(scope="all")
def sort(
    frame: pl.LazyFrame,
    *,
    by: Names,
    descending: bool | list[bool] = False,
    nulls_last: bool = True,
) -> pl.LazyFrame:
    """Sort the rows; those that are equal in `by` stay in their order. Text sorts by code points,
    and what is not a number (NaN) as the largest number.

    Args:
        by: the columns, the most important first.
        descending: whether the largest comes first; or that for each column.
        nulls_last: whether rows without a value come last, also when descending, or else first.
    """
    check_names(frame.collect_schema().names(), by, "by")
    each = [descending] * len(by) if isinstance(descending, bool) else descending
    if len(each) != len(by):
        raise ValueError(f"'by' names {len(by)} columns, and 'descending' has {len(each)} values")
    return frame.sort(
        [named(name) for name in by], descending=each, nulls_last=nulls_last, maintain_order=True
    )


@step(scope="all", reshapes=True)
def aggregate(
    frame: pl.LazyFrame,
    *,
    by: Names | None = None,
    count: str | Names | dict[str, str] | None = None,
    n_unique: Names | dict[str, str] | None = None,
    sum: Names | dict[str, str] | None = None,
    mean: Names | dict[str, str] | None = None,
    median: Names | dict[str, str] | None = None,
    min: Names | dict[str, str] | None = None,
    max: Names | dict[str, str] | None = None,
    first: Names | dict[str, str] | None = None,
    last: Names | dict[str, str] | None = None,
) -> pl.LazyFrame:
    """Make one row of each group, in the order in which the groups first appear.

    A function takes a list of columns, and its results are named like `sum_amount`; or a table with
    names of your own, like `{ amount = "total" }`. They stand behind `by`, in the order below.

    Args:
        by: the columns that make a group, a null being equal to a null; the whole table is one
            group when left out.
        count: how many values there are, without nulls; as plain text, like `"orders"`, the
            column that takes the number of rows.
        n_unique: how many different values there are, without nulls.
        sum: of whole numbers an `int64`, of decimals a `decimal(38,s)`, else a `float64`; what is
            too large is an error. The sum of nothing is 0.
        mean: as `float64`.
        median: as `float64`.
        min: the smallest value.
        max: the largest value.
        first: the value in the first row, a null as well.
        last: the value in the last row, a null as well.
    """
    schema = frame.collect_schema()
    if by is not None:
        check_names(schema, by, "by")
    wanted = {
        "count": None if isinstance(count, str) else count,
        **{"n_unique": n_unique, "sum": sum, "mean": mean, "median": median},
        **{"min": min, "max": max, "first": first, "last": last},
    }
    results = [Result(count, "rows", "", pl.Int64())] if isinstance(count, str) else []
    for function, columns in wanted.items():
        results += _results(schema, function, columns)
    if not results:
        raise ValueError(f"name what to compute: {', '.join(wanted)}")
    check_distinct(
        [*(by or []), *(result.name for result in results)],
        'name one yourself, like sum = { amount = "total" }',
    )
    return grouped(frame, by or [], results)


def _results(
    schema: pl.Schema, function: str, columns: Names | Mapping[str, str] | None
) -> list[Result]:
    if columns is None:
        return []
    check_names(schema, columns, function)
    if not isinstance(columns, Mapping):
        columns = {column: f"{function}_{column}" for column in columns}
    return [Result(new, function, column, schema[column]) for column, new in columns.items()]


@step(scope="all", reshapes=True)
def pivot(
    frame: pl.LazyFrame,
    *,
    on: str,
    columns: Names | list[int],
    index: Names,
    values: str,
    aggregate: Literal["count", "n_unique", "sum", "mean", "median", "min", "max", "first", "last"]
    | None = None,
    others: Literal["error", "ignore"] = "error",
) -> pl.LazyFrame:
    """Make rows into columns: one row for each `index`, one column for each value of another.

    Args:
        on: the column whose values become columns, text or whole numbers.
        columns: these values; they must be named, so that the table is known before the data.
        index: the columns that make a row, in the order in which their values first appear.
        values: the column whose values stand in the new columns; where there is none, a null, or 0
            with `sum`, `count` and `n_unique`.
        aggregate: what becomes of several values in one place, as in `aggregate`; when left out,
            a second one is an error.
        others: whether another value of `on`, or none, is an error, or leaves the row out.
    """
    schema = frame.collect_schema()
    check_names(schema, [on], "on")
    check_names(schema, index, "index")
    check_names(schema, [values], "values")
    if not columns or len(set(columns)) < len(columns):
        raise ValueError("'columns' must have at least one value, and each once")
    for value in columns:
        if not (schema[on] == pl.String if isinstance(value, str) else schema[on].is_integer()):
            raise ValueError(
                f"'columns' has {value!r}, and column {on!r} is {type_word(schema[on])}: "
                "write text for text and whole numbers for such; cast others to string first"
            )
    check_distinct([*index, *map(str, columns)], "rename the column in 'index'")
    cells = {str(value): named(on).eq(pl.lit(value)).fill_null(False) for value in columns}
    results = [
        Result(name, aggregate or "only", values, schema[values], where)
        for name, where in cells.items()
    ]
    is_known = pl.any_horizontal(*cells.values())
    pivoted = grouped(frame.filter(is_known), index, results)
    if others == "ignore":
        return pivoted
    return _unless_any(
        frame.filter(~is_known).select(named(on)),
        pivoted,
        lambda row: _not_in_columns(on, row[0]),
    )


def _not_in_columns(on: str, value: object) -> str:
    if value is None:
        found = f"column {on!r} has nulls: put a value there with fill, and name it in 'columns'"
    else:
        found = f"column {on!r} has {value!r}, not in 'columns': name it there"
    return f'{found}, or leave such rows out with others = "ignore"'


@step(scope="all", reshapes=True)
def join_table(
    frame: pl.LazyFrame,
    *,
    file: Path,
    on: str | Names,
    file_on: str | Names | None = None,
    columns: dict[str, str] | Names | None = None,
    how: Literal["left", "inner"] = "left",
    many: bool = False,
    suffix: str | None = None,
    null_values: Names | None = None,
) -> pl.LazyFrame:
    """Join with a file that is too big to be held by every worker, or that has a key many times.

    Args:
        file: a Parquet or an Arrow file, read as far as is needed, or a CSV file with a header,
            read whole.
        on: the key columns in the table.
        file_on: the key columns in the file, where they have other names.
        columns: what to take from the file: names, or new names by the file's names; all other
            columns when left out.
        how: `left` keeps every row, `inner` those with a match.
        many: whether the file may have a key more than once; the row is then repeated, in the
            file's order. When not, such a key is an error.
        suffix: what to add to the name of a column that is in the table already; without it, such
            a name is an error.
        null_values: words that mean "nothing" in a CSV file, beside the empty cell.
    """
    schema = frame.collect_schema()
    keys = key_columns(schema, on, file_on)
    kinds = tuple((name, schema[key]) for name, key in keys)
    right = scan_reference(file, null_values or [], kinds)
    there = right.collect_schema()
    check_keys(file, there, schema, keys)
    names = taken_columns(file, there, schema, keys, columns, suffix)
    joined = frame.join(
        right.select(file_columns(keys, names)),
        left_on=in_table(keys),
        right_on=marks(keys),
        how=how,
        maintain_order="left_right",
    )
    if many:
        return joined
    found = right.select(in_file(keys)).drop_nulls()  # a null is equal to nothing
    twice = found.filter(~pl.struct(pl.all()).is_first_distinct())
    return _unless_any(
        twice,
        joined,
        lambda row: (
            f"{file.name} has the key {key_words(row)} more than once: allow it with many = true"
        ),
    )


def _unless_any(
    wrong: pl.LazyFrame, frame: pl.LazyFrame, complaint: Callable[[tuple[object, ...]], str]
) -> pl.LazyFrame:
    """The frame; carried out, it raises ValueError with a complaint about the first row of
    `wrong`, if that has any."""
    schema = frame.collect_schema()

    def nothing(rows: pl.DataFrame) -> pl.DataFrame:
        if rows.height:
            raise ValueError(complaint(rows.row(0)))
        return pl.DataFrame(schema=schema)

    return pl.concat([wrong.head(1).map_batches(nothing, schema=schema), frame])


TABLE_STEPS = {
    function.__name__: function for function in (deduplicate, sort, aggregate, pivot, join_table)
}
"""The built-in steps over all rows, by their names in a pipeline file."""
