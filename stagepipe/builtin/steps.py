"""The built-in steps: thin layers over polars. Each docstring is the step's help."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import polars as pl

from stagepipe.builtin.expressions import row_expression
from stagepipe.builtin.reference import SMALL_INTEGERS, read_reference
from stagepipe.contracts import step

Names = list[str]


@step
def strip_text(frame: pl.DataFrame, *, columns: Names | None = None) -> pl.DataFrame:
    """Remove white space at both ends of text.

    Args:
        columns: the text columns to strip; all text columns when left out.
    """
    texts = pl.selectors.string() if columns is None else pl.col(columns)
    return frame.with_columns(texts.str.strip_chars())


@step
def rename(frame: pl.DataFrame, *, columns: dict[str, str]) -> pl.DataFrame:
    """Give columns other names.

    Args:
        columns: new names by old names.
    """
    return frame.rename(columns)


@step
def select(frame: pl.DataFrame, *, columns: Names) -> pl.DataFrame:
    """Keep these columns, in this order.

    Args:
        columns: the names.
    """
    if not columns or len(set(columns)) < len(columns):
        raise ValueError("'columns' must name at least one column, and each once")
    return frame.select(columns)


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
    null_values: Names | None = None,
) -> pl.DataFrame:
    """Look rows up in a reference file (CSV with a header, or Parquet), whose keys must be unique.

    Args:
        file: the reference file.
        on: the key columns in the table.
        file_on: the key columns in the file, where they have other names.
        columns: what to take from the file: names, or new names by the file's names; all other
            columns when left out.
        how: `left` keeps every row, `inner` and `semi` those with a match, `anti` those without.
            What is not kept counts as dropped.
        null_values: words that mean "nothing" in a CSV file, beside the empty cell.
    """
    keys = [on] if isinstance(on, str) else on
    file_keys = keys if file_on is None else [file_on] if isinstance(file_on, str) else file_on
    reference = _reference_for(frame, keys, file, file_keys, null_values or [])
    if how in ("semi", "anti"):
        return frame.join(
            reference, left_on=keys, right_on=file_keys, how=how, maintain_order="left"
        )
    if columns is None:
        columns = [name for name in reference.columns if name not in file_keys]
    names = columns if isinstance(columns, dict) else {name: name for name in columns}
    _check_columns(file, reference, list(names))
    taken = [new for new in names.values() if new in frame.columns]
    if taken:
        raise ValueError(
            f"column {taken[0]!r} is in the table already: "
            'give it a new name with columns = {old = "new"}'
        )
    return frame.join(
        reference.select(
            *(pl.col(key).alias(f"__key_{index}") for index, key in enumerate(file_keys)),
            *(pl.col(old).alias(new) for old, new in names.items()),
        ),
        left_on=keys,
        right_on=[f"__key_{index}" for index in range(len(file_keys))],
        how=how,
        maintain_order="left",
    )


def _reference_for(
    frame: pl.DataFrame, keys: Names, file: Path, file_keys: Names, null_values: Names
) -> pl.DataFrame:
    """The reference file with keys of the table's types, each of which stands there once."""
    if len(keys) != len(file_keys):
        raise ValueError(f"'on' names {len(keys)} columns, and 'file_on' {len(file_keys)}")
    for key in keys:
        if key not in frame.columns:
            raise pl.exceptions.ColumnNotFoundError(f'unable to find column "{key}"')
    stat = file.stat()
    key_types = tuple((name, frame.schema[key]) for name, key in zip(file_keys, keys, strict=True))
    words = ("", *null_values)
    reference = read_reference(str(file), stat.st_mtime_ns, stat.st_size, words, key_types)
    _check_columns(file, reference, file_keys)
    for (name, kind), key in zip(key_types, keys, strict=True):
        found = reference.schema[name]
        if found != kind and not SMALL_INTEGERS.issuperset((found, kind)):
            raise ValueError(
                f"column {key!r} is {kind} in the table, but {name!r} is {found} in {file.name}: "
                "keys must be of one type; text always fits: CAST one with derive"
            )
    present = reference.select(file_keys).drop_nulls()  # a null is equal to nothing
    twice = present.is_duplicated()
    if twice.any():
        raise ValueError(
            f"{file.name} has the key {present.filter(twice).row(0)!r} more than once: "
            "a join needs unique keys"
        )
    return reference


def _check_columns(file: Path, reference: pl.DataFrame, names: Names) -> None:
    missing = [name for name in names if name not in reference.columns]
    if missing:
        raise ValueError(
            f"{file.name} has no column {missing[0]!r}; it has {', '.join(reference.columns)}"
        )


STEPS = {
    function.__name__: function for function in (strip_text, rename, select, filter, derive, join)
}
