"""The built-in steps: thin layers over polars. Each docstring is the step's help."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Literal, TypeAlias

import polars as pl

from stagepipe.builtin.casts import cast_values
from stagepipe.builtin.columns import check_distinct, check_names, named
from stagepipe.builtin.expressions import row_expression
from stagepipe.builtin.joining import (
    file_columns,
    in_file,
    in_table,
    key_columns,
    marks,
    taken_columns,
)
from stagepipe.builtin.reference import check_keys, key_words, read_reference
from stagepipe.builtin.types import polars_type, type_word
from stagepipe.contracts import step
from stagepipe.model import RECORD

Names = list[str]
Value: TypeAlias = bool | int | float | str | date | datetime | time
"""What a value in a pipeline file may be."""


@step
def strip_text(frame: pl.DataFrame, *, columns: Names | None = None) -> pl.DataFrame:
    """Remove white space at both ends of text.

    Args:
        columns: the text columns to strip; all text columns when left out.
    """
    if columns is None:
        return frame.with_columns(pl.selectors.string().str.strip_chars())
    check_names(frame.columns, columns, "columns")
    return frame.with_columns(named(*columns).str.strip_chars())


@step
def rename(frame: pl.DataFrame, *, columns: dict[str, str]) -> pl.DataFrame:
    """Give columns other names.

    Args:
        columns: new names by old names.
    """
    check_names(frame.columns, columns, "columns")
    names = [columns.get(name, name) for name in frame.columns]
    check_distinct(names, "give one of them another name, or drop one first")
    return frame.rename(columns)


@step
def select(frame: pl.DataFrame, *, columns: Names) -> pl.DataFrame:
    """Keep these columns, in this order.

    Args:
        columns: the names.
    """
    check_names(frame.columns, columns, "columns")
    return frame.select(named(*columns, *_record(frame, columns)))


def _record(frame: pl.DataFrame, columns: Names) -> Names:
    """The column that a step which rejects rows needs, where it is there."""
    return [RECORD] if RECORD in frame.columns and RECORD not in columns else []


@step
def drop(frame: pl.DataFrame, *, columns: Names) -> pl.DataFrame:
    """Leave columns out.

    Args:
        columns: the names.
    """
    check_names(frame.columns, columns, "columns")
    if len(columns) == frame.width - len(_record(frame, columns)):
        raise ValueError("'columns' names all columns: nothing would be left")
    return frame.drop(pl.selectors.by_name(*columns))


@step
def cast(frame: pl.DataFrame, *, columns: dict[str, str]) -> pl.DataFrame:
    """Give columns other types. Text is read as a schema reads it; a value that does not fit, or
    would change, fails the task.

    Args:
        columns: types by column, in a schema's words, like `decimal(12,2)`. Only these give
            something up: a decimal made a float is the nearest float, a float made a decimal is
            rounded, and a datetime made a date or a time is that part of it.
    """
    check_names(frame.columns, columns, "columns")
    kinds = {name: polars_type(word) for name, word in columns.items()}
    return frame.with_columns(cast_values(frame[name], kind) for name, kind in kinds.items())


@step
def fill(frame: pl.DataFrame, *, nulls: dict[str, Value]) -> pl.DataFrame:
    """Put a value where there is none.

    Args:
        nulls: values by column, each of its column's type; a decimal, a date or a time may also be
            written as text, like `"0.00"`.
    """
    check_names(frame.columns, nulls, "nulls")
    return frame.with_columns(
        named(name).fill_null(_constant(name, value, frame.schema[name]))
        for name, value in nulls.items()
    )


def _constant(column: str, value: Value, kind: pl.DataType) -> pl.Expr:
    if kind == pl.String and not isinstance(value, str):
        raise ValueError(f"column {column!r} is {type_word(kind)}: write {value!s} in quotes")
    if isinstance(kind, pl.Decimal) and isinstance(value, float):
        value = str(value)  # which is not rounded
    return pl.lit(cast_values(pl.Series(column, [value]), kind)).first()


@step(reshapes=True)
def unpivot(
    frame: pl.DataFrame,
    *,
    columns: Names,
    index: Names | None = None,
    variable_name: str = "variable",
    value_name: str = "value",
) -> pl.DataFrame:
    """Make columns into rows: one row for each of these columns, with its name and its value.

    Args:
        columns: the columns that become rows, in this order; all of one type.
        index: the columns that are repeated in each of these rows; all others when left out.
        variable_name: the column for the names.
        value_name: the column for the values.
    """
    check_names(frame.columns, columns, "columns")
    if index is None:
        index = [name for name in frame.columns if name not in columns]
    elif index:
        check_names(frame.columns, index, "index")
    index = [*index, *_record(frame, index)]
    check_distinct(
        [*index, variable_name, value_name], "choose another 'variable_name' or 'value_name'"
    )
    for name in columns:
        if frame.schema[name] != frame.schema[columns[0]]:
            raise ValueError(
                f"column {columns[0]!r} is {type_word(frame.schema[columns[0]])}, and {name!r} is "
                f"{type_word(frame.schema[name])}: cast them to one type first"
            )
    # Polars refuses the names of columns that are not to stay.
    long = frame.select(pl.selectors.by_name(*index, *columns)).unpivot(
        pl.selectors.by_name(*columns),
        index=pl.selectors.by_name(*index),
        variable_name=variable_name,
        value_name=value_name,
    )
    # Polars puts column after column, so that the order would depend on where chunks are cut.
    row = pl.int_range(long.height, eager=True)
    return long[row % len(columns) * frame.height + row // len(columns)]


@step
def filter(frame: pl.DataFrame, *, expression: str) -> pl.DataFrame:
    """Keep the rows for which an expression is true; the others count as dropped.

    Args:
        expression: a polars SQL expression, like `distance > 500 AND carrier <> 'AA'`.
    """
    return frame.filter(row_expression(expression))


@step
def derive(frame: pl.DataFrame, *, column: str, expression: str) -> pl.DataFrame:
    """Add a column, or replace one, by an expression over the others.

    Args:
        column: the name of the column.
        expression: a polars SQL expression, like `distance / (air_time / 60)`.
    """
    if not column:
        raise ValueError("'column' must not be empty")
    return frame.with_columns(row_expression(expression).alias(column))


@step
def join(
    frame: pl.DataFrame,
    *,
    file: Path,
    on: str | Names,
    file_on: str | Names | None = None,
    columns: dict[str, str] | Names | None = None,
    how: Literal["left", "inner", "semi", "anti"] = "left",
    suffix: str | None = None,
    null_values: Names | None = None,
) -> pl.DataFrame:
    """Look rows up in a reference file: CSV with a header, Parquet, or Arrow. Its keys must be
    unique.

    Args:
        file: the reference file.
        on: the key columns in the table.
        file_on: the key columns in the file, where they have other names.
        columns: what to take from the file: names, or new names by the file's names; all other
            columns when left out.
        how: `left` keeps every row, `inner` and `semi` those with a match, `anti` those without.
            What is not kept counts as dropped.
        suffix: what to add to the name of a column that is in the table already; without it, such
            a name is an error.
        null_values: words that mean "nothing" in a CSV file, beside the empty cell.
    """
    keys = key_columns(frame.schema, on, file_on)
    reference = _reference_for(frame, keys, file, null_values or [])
    if how in ("semi", "anti"):
        return frame.join(
            reference,
            left_on=in_table(keys),
            right_on=in_file(keys),
            how=how,
            maintain_order="left",
        )
    names = taken_columns(file, reference.schema, frame.schema, keys, columns, suffix)
    return frame.join(
        reference.select(file_columns(keys, names)),
        left_on=in_table(keys),
        right_on=marks(keys),
        how=how,
        maintain_order="left",
    )


def _reference_for(
    frame: pl.DataFrame, keys: Sequence[tuple[str, str]], file: Path, null_values: Names
) -> pl.DataFrame:
    """The reference file with keys of the table's types, each of which stands there once."""
    stat = file.stat()
    kinds = tuple((name, frame.schema[key]) for name, key in keys)
    words = ("", *null_values)
    reference = read_reference(str(file), stat.st_mtime_ns, stat.st_size, words, kinds)
    check_keys(file, reference.schema, frame.schema, keys)
    present = reference.select(in_file(keys)).drop_nulls()  # a null is equal to nothing
    twice = present.is_duplicated()
    if twice.any():
        raise ValueError(
            f"{file.name} has the key {key_words(present.filter(twice).row(0))} more than once: "
            "a join needs unique keys"
        )
    return reference


STEPS = {
    function.__name__: function
    for function in (
        *(strip_text, rename, select, drop, cast, fill),
        *(filter, derive, join, unpivot),
    )
}
