"""Where the table's columns stand in a file, by its header or by their order."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest

from stagepipe.builtin.csv.dialect import Dialect
from stagepipe.builtin.csv.encoding import UTF_8
from stagepipe.builtin.csv.explain import Layout
from stagepipe.builtin.csv.margins import Top, top
from stagepipe.contracts import DeadSegment, TableSpec


def layout_of(head: bytes, beginning: Top, spec: TableSpec, dialect: Dialect) -> Layout:
    """Where the spec's columns stand in a file that begins like this. Raises DeadSegment where
    they do not."""
    if dialect.margins.header_records == 0:
        layout = _by_order(beginning.width, spec)
    else:
        layout = _by_name(_names(head, beginning, dialect), spec, dialect)
    return replace(layout, usual=beginning.width)


def read_names(head: bytes, dialect: Dialect) -> list[str]:
    """The names of the columns of a file that begins like this. Raises DeadSegment."""
    return _names(head, top(head, dialect.structure, dialect.margins), dialect)


def _names(head: bytes, beginning: Top, dialect: Dialect) -> list[str]:
    lines = []
    for span in beginning.header:
        fields = dialect.structure.split(head[span.start : span.end])
        try:
            lines.append([dialect.notation.trimmed(field.decode()) for field in fields])
        except UnicodeDecodeError as error:
            name = "UTF-8" if dialect.codec == UTF_8 else dialect.codec
            raise DeadSegment(
                f"the header is not {name}: set 'encoding' in [source.csv] to what the file is"
            ) from error
    return [" ".join(filter(None, parts)) for parts in zip_longest(*lines, fillvalue="")]


def _by_order(width: int, spec: TableSpec) -> Layout:
    """The columns in the schema's order. Where other numbers of columns are allowed, a file has as
    many as its first record."""
    columns = len(spec.columns)
    is_longer = width > columns and spec.extra_columns == "ignore"
    is_shorter = 0 < width < columns and spec.missing_columns == "null"
    width = width if is_longer or is_shorter else columns
    positions = tuple(n if n < width else None for n in range(columns))
    return Layout(spec, positions, width)


def _by_name(header: Sequence[str], spec: TableSpec, dialect: Dialect) -> Layout:
    wanted = {column.header for column in spec.columns}
    refuses_extra = spec.extra_columns == "refuse"
    is_last_void = refuses_extra and len(header) > 1 and not header[-1] and "" not in wanted
    named = header[:-1] if is_last_void else header
    extra = [name for name in named if name not in wanted]
    missing = [column.header for column in spec.columns if column.header not in header]
    twice = sorted({name for name in wanted if header.count(name) > 1})
    if twice:
        raise DeadSegment(f"the header names {_listed(twice)} more than once")
    refused = missing if spec.missing_columns == "refuse" else []
    if refused and len(header) == 1 and len(wanted) > 1:
        raise DeadSegment(
            f"the header {header[0]!r} has no delimiter {dialect.structure.delimiter.decode()!r}: "
            "set 'delimiter' in [source.csv]"
        )
    if refused:
        near = difflib.get_close_matches(refused[0], extra, 1)
        hint = f"; did the supplier rename it to {near[0]!r}?" if near else ""
        raise DeadSegment(f"the header lacks {_listed(refused)}{hint}")
    if extra and refuses_extra:
        raise DeadSegment(
            f"the header has {_listed(extra)}, which [schema.columns] does not name: add it, "
            'or set extra_columns = "ignore"'
        )
    positions = tuple(
        header.index(column.header) if column.header in header else None for column in spec.columns
    )
    void = dialect.notation.is_void if is_last_void else None
    return Layout(spec, positions, len(header), void)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:5])
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"{'columns' if len(names) > 1 else 'column'} {shown}{more}"
