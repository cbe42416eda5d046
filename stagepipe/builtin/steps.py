"""The built-in steps: thin layers over polars. Each docstring is the step's help."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Literal

import polars as pl

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
    return frame.select(columns)


@step
def filter(frame: pl.DataFrame, *, expression: str) -> pl.DataFrame:
    """Keep the rows for which an expression is true; the others count as dropped.

    Args:
        expression: a polars SQL expression, like `distance > 500 AND carrier <> 'AA'`.
    """
    return frame.filter(pl.sql_expr(expression))


@step
def derive(frame: pl.DataFrame, *, column: str, expression: str) -> pl.DataFrame:
    """Add a column, or replace one, by an expression over the others.

    Args:
        column: the name of the column.
        expression: a polars SQL expression, like `distance / (air_time / 60)`.
    """
    return frame.with_columns(pl.sql_expr(expression).alias(column))


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
    stat = file.stat()
    reference = _reference(str(file), stat.st_mtime_ns, stat.st_size, tuple(null_values or ()))
    _check_columns(file, reference, file_keys)
    twice = reference.select(file_keys).is_duplicated()
    if twice.any():
        example = reference.filter(twice).select(file_keys).row(0)
        raise ValueError(
            f"{file.name} has the key {example!r} more than once: a join needs unique keys"
        )
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


def _check_columns(file: Path, reference: pl.DataFrame, names: Names) -> None:
    missing = [name for name in names if name not in reference.columns]
    if missing:
        raise ValueError(
            f"{file.name} has no column {missing[0]!r}; it has {', '.join(reference.columns)}"
        )


@functools.lru_cache(maxsize=16)
def _reference(path: str, _mtime_ns: int, _size: int, null_values: tuple[str, ...]) -> pl.DataFrame:
    """The reference file, read once by each worker; time and size make a changed file another."""
    if path.endswith(".parquet"):
        return pl.read_parquet(path)
    return pl.read_csv(path, null_values=["", *null_values], infer_schema_length=None)


STEPS = {
    function.__name__: function for function in (strip_text, rename, select, filter, derive, join)
}
