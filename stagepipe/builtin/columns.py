"""Names of columns in a step's options: that they are there, and that a result has each once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl


def named(*names: str) -> pl.Expr:
    """The columns of these names. To `pl.col`, a name like `^a.*$` is a pattern."""
    return pl.selectors.by_name(*names).as_expr()


def check_names(present: Iterable[str], names: Iterable[str], option: str) -> None:
    """That an option names some of the columns that there are, each once."""
    present, names = set(present), list(names)
    if not names or len(set(names)) < len(names):
        raise ValueError(f"{option!r} must name at least one column, and each once")
    for name in names:
        if name not in present:
            raise pl.exceptions.ColumnNotFoundError(f'unable to find column "{name}"')


def check_distinct(names: Sequence[str], hint: str) -> None:
    """That each column of a result has a name, and no two have the same."""
    if "" in names:
        raise ValueError("the name of a column must not be empty")
    for position, name in enumerate(names):
        if name in names[:position]:
            raise ValueError(f"two columns of the result would be named {name!r}: {hint}")
