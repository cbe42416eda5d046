"""What the joins make of their options: keys of the table and of the file, and the columns taken
from the file, whose names may be those of columns in the table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from stagepipe.builtin.columns import check_distinct, check_names, named
from stagepipe.builtin.reference import check_columns

Names = list[str]


def key_columns(
    table: pl.Schema, on: str | Names, file_on: str | Names | None
) -> Sequence[tuple[str, str]]:
    """The keys, each as (name in the file, name in the table)."""
    keys = [on] if isinstance(on, str) else on
    file_keys = keys if file_on is None else [file_on] if isinstance(file_on, str) else file_on
    check_names(table, keys, "on")
    if len(keys) != len(file_keys):
        raise ValueError(f"'on' names {len(keys)} columns, and 'file_on' {len(file_keys)}")
    return list(zip(file_keys, keys, strict=True))


def taken_columns(
    file: Path,
    there: pl.Schema,
    table: pl.Schema,
    keys: Sequence[tuple[str, str]],
    columns: dict[str, str] | Names | None,
    suffix: str | None,
) -> dict[str, str]:
    """The names in the result of what is taken from the file, by their names there."""
    if columns is None:
        columns = [name for name in there if name not in dict(keys)]
    names = columns if isinstance(columns, dict) else {name: name for name in columns}
    check_columns(file, there, names)
    if suffix:
        names = {old: new + suffix if new in table else new for old, new in names.items()}
    for new in names.values():
        if new in table:
            raise ValueError(
                f"column {new!r} is in the table already: give it a new name with "
                "columns = {old = \"new\"}, or all such with 'suffix'"
            )
    check_distinct(list(names.values()), 'give one a new name with columns = {old = "new"}')
    return names


def file_columns(keys: Sequence[tuple[str, str]], names: Mapping[str, str]) -> Iterator[pl.Expr]:
    """What a table is joined with: the keys under names that no column has, then what is taken."""
    for (name, _), mark in zip(keys, marks(keys), strict=True):
        yield named(name).alias(mark)
    for old, new in names.items():
        yield named(old).alias(new)


def marks(keys: Sequence[tuple[str, str]]) -> Names:
    """The names of the keys in `file_columns`."""
    return [f"__key_{index}" for index in range(len(keys))]


def in_table(keys: Iterable[tuple[str, str]]) -> list[pl.Expr]:
    """The keys in the table."""
    return [named(key) for _, key in keys]


def in_file(keys: Iterable[tuple[str, str]]) -> list[pl.Expr]:
    """The keys in the file."""
    return [named(name) for name, _ in keys]
