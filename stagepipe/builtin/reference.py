"""Reference files of joins: CSV by the same rules as sources, Parquet, or Arrow.

A column of a CSV file becomes numbers only if each of its texts would come back as it was, so that
`08123`, `1.10` and digits beyond a float's stay text. Keys take the types of the table's keys.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa

from stagepipe.builtin.csv.dialect import Dialect
from stagepipe.builtin.csv.layout import read_names
from stagepipe.builtin.csv.reader import CsvReader
from stagepipe.builtin.types import type_word
from stagepipe.contracts import ColumnSpec, DeadSegment, TableSpec
from stagepipe.model import InputFile, Segment

SMALL_INTEGERS = frozenset({pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32})
"""Polars compares these with each other exactly; an unsigned one of 64 bits only with its like."""
EXACT_INTEGERS = 2**53
"""Whole numbers up to this are all floats (IEEE 754 binary64)."""


def scan_reference(
    file: Path, null_values: Sequence[str], key_types: tuple[tuple[str, pl.DataType], ...]
) -> pl.LazyFrame:
    """The reference file, read when it is needed. Of a CSV file the types are only known when it
    was read, so that happens now."""
    if file.suffix == ".parquet":
        return pl.scan_parquet(file, glob=False, hive_partitioning=False)
    if file.suffix == ".arrow":
        return pl.scan_ipc(file, glob=False, hive_partitioning=False)
    stat = file.stat()
    words = ("", *null_values)
    return read_reference(str(file), stat.st_mtime_ns, stat.st_size, words, key_types).lazy()


@functools.lru_cache(maxsize=16)
def read_reference(
    path: str,
    _mtime_ns: int,
    _size: int,
    null_values: tuple[str, ...],
    key_types: tuple[tuple[str, pl.DataType], ...],
) -> pl.DataFrame:
    """The reference file, read once by each worker; time and size make a changed file another.

    Raises ValueError, with file and line, when it cannot be read.
    """
    if path.endswith(".parquet"):
        return pl.read_parquet(path, glob=False)
    if path.endswith(".arrow"):
        return pl.scan_ipc(path, glob=False, hive_partitioning=False).collect()
    texts = _texts(Path(path), null_values)
    keys = dict(key_types)
    columns = []
    for column in texts:
        kind = keys.get(column.name)
        if kind is not None and (kind == pl.String or kind.is_integer() or kind == pl.Date):
            columns.append(_key(column, kind, Path(path).name))
        else:
            columns.append(_numbers(column))
    return pl.DataFrame(columns)


def check_columns(file: Path, there: pl.Schema, names: Iterable[str]) -> None:
    """That the file has these columns."""
    for name in names:
        if name not in there:
            raise ValueError(f"{file.name} has no column {name!r}; it has {', '.join(there)}")


def check_keys(
    file: Path, there: pl.Schema, table: pl.Schema, keys: Sequence[tuple[str, str]]
) -> None:
    """That the file has the keys, of types that compare; each is (name in the file, in the
    table)."""
    check_columns(file, there, [name for name, _ in keys])
    for name, key in keys:
        found, kind = there[name], table[key]
        if found != kind and not SMALL_INTEGERS.issuperset((found, kind)):
            raise ValueError(
                f"column {key!r} is {type_word(kind)} in the table, but {name!r} is "
                f"{type_word(found)} in {file.name}: keys must be of one type: cast the table's "
                "column first"
            )


def key_words(values: Sequence[object]) -> str:
    """The values of a key, for a message: `'A'`, or `'A', 2013-01-01`."""
    return ", ".join(repr(each) if isinstance(each, str) else str(each) for each in values)


def _texts(path: Path, null_values: tuple[str, ...]) -> pl.DataFrame:
    """All columns of a CSV file, as text."""
    data = path.read_bytes()
    options = {"delimiter": ",", "quote": '"', "null_values": null_values}
    try:
        names = read_names(data, Dialect.of(options))
        spec = TableSpec(tuple(ColumnSpec(name, name, pa.string()) for name in names))
        whole = Segment(InputFile(path.name, len(data), 0, 0), 0, len(data))
        result = CsvReader().read(data, data, whole, spec, options)
    except DeadSegment as error:
        raise ValueError(f"{path.name}: {error}") from error
    if result.rejects:
        first = result.rejects[0]
        where = f" in column {first.column!r}" if first.column else ""
        raise ValueError(f"{path.name}:{first.line}: a bad record: {first.reason}{where}")
    return pl.DataFrame(pl.from_arrow(result.table))


def _key(texts: pl.Series, kind: pl.DataType, file: str) -> pl.Series:
    name, texts = texts.name, texts.alias("key")  # which polars takes for no pattern
    kind = pl.Int64() if kind in SMALL_INTEGERS else kind
    values = texts.str.to_date("%Y-%m-%d", strict=False) if kind == pl.Date else texts
    values = values.cast(kind, strict=False)
    wrong = texts.filter(values.is_null() & texts.is_not_null())
    if len(wrong):
        raise ValueError(
            f"column {name!r} of {file} is a key of type {type_word(kind)}, "
            f"and {wrong[0]!r} is none"
        )
    return values.alias(name)


def _numbers(texts: pl.Series) -> pl.Series:
    """Whole numbers or floats where each text comes back from its number, else the texts."""
    name, texts = texts.name, texts.alias("column")  # which polars takes for no pattern
    return _number_series(texts).alias(name)


def _number_series(texts: pl.Series) -> pl.Series:
    integers = texts.cast(pl.Int64, strict=False)
    if texts.null_count() == len(texts):
        return texts
    if integers.cast(pl.String).eq_missing(texts).all():
        return integers
    different = texts.drop_nulls().unique().to_list()
    floats = [_float(text) for text in different]
    if None in floats or len(set(floats)) < len(different):
        return texts
    return texts.cast(pl.Float64)


def _float(text: str) -> float | None:
    """The float that is written like this, with as few digits as tell it from others or with all
    17, if it comes back: `0.5`, or a whole number."""
    try:
        value = float(text)
    except ValueError:
        return None
    if not math.isfinite(value):
        return None
    is_whole = value.is_integer() and abs(value) <= EXACT_INTEGERS and text == str(int(value))
    return value if is_whole or text in (repr(value), f"{value:.17g}") else None
