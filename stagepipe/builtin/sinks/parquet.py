"""The Parquet sink: encodings are chosen from the rows themselves, the same for the same rows."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc

from stagepipe.builtin.sinks.kinds import without_text
from stagepipe.contracts import Encoded, Place
from stagepipe.model import Output, Part

if TYPE_CHECKING:
    import polars as pl

SAMPLE_ROWS = 16_384
DICTIONARY_PAYS_BELOW = 0.25
ZSTD_LEVEL = 1
NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
DIGITS_OF_INT64 = 18
LONGEST_NAME = 255
"""Bytes, on all file systems of today."""
_ODD_NAME = re.compile(r"[._]|.*[/=%?\\\x00-\x1f\x7f]", re.DOTALL)
"""Of a column, in the name of a folder: what readers skip, or do not take as it is written."""


@dataclass(frozen=True, slots=True)
class ParquetOptions:
    """Parquet files, for all who read tables column by column. Encodings are chosen from the rows.

    Args:
        partition_by: columns that go into the names of folders, as in `country=DE`, instead of into
            the files; readers guess their types from the names. For a folder only.
        row_group_rows: at most so many rows in a row group.
        compression: how the columns are compressed.
        compression_level: what the compression takes as its level; 1 for `zstd` when left out.
    """

    partition_by: tuple[str, ...] = ()
    row_group_rows: int = 2**20
    compression: Literal["zstd", "lz4", "snappy", "gzip", "none"] = "zstd"
    compression_level: int | None = None


class ParquetSink:
    """Writes Parquet files."""

    suffix = ".parquet"
    options = ParquetOptions

    def faults(
        self,
        options: Mapping[str, Any],
        *,
        is_file: bool,
        columns: Mapping[str, pa.DataType] | None = None,
    ) -> Iterable[tuple[str, str]]:
        """What the options cannot be together."""
        given = ParquetOptions(**options)
        if given.partition_by and is_file:
            yield "partition_by", "partition_by needs a folder: give a path without an ending"
        if len(set(given.partition_by)) < len(given.partition_by):
            yield "partition_by", "partition_by names a column twice"
        elif wrong := _unfit(given.partition_by, columns):
            yield "partition_by", wrong
        if given.row_group_rows < 1:
            yield "row_group_rows", f"row_group_rows is {given.row_group_rows}: at least 1"
        if given.compression_level is not None:
            try:
                pa.Codec(given.compression, given.compression_level)
            except (ValueError, OSError, pa.ArrowException) as error:
                yield "compression_level", f"compression_level: {error}"

    def keeps_rows(self, options: Mapping[str, Any]) -> bool:
        """Unless they are sorted into partitions."""
        return not ParquetOptions(**options).partition_by

    def encode(
        self, table: pa.Table, options: Mapping[str, Any], new_file: Callable[[], Path]
    ) -> Sequence[Encoded]:
        """Write the table, a file for each partition in it; the rows are those that the file's
        footer counts. Raises ValueError when it cannot be partitioned so."""
        given = ParquetOptions(**options)
        return [
            _write(rows, new_file(), given, folder)
            for folder, rows in partitions(table, given.partition_by)
        ]

    def decode(self, path: Path) -> pl.DataFrame:
        """The rows of a file."""
        import polars as pl  # for workers only
        import pyarrow.parquet as pq

        return pl.DataFrame(pl.from_arrow(pq.read_table(path, use_threads=False)))

    def scan(self, paths: Sequence[Path]) -> pl.LazyFrame:
        """The rows of files, in this order."""
        import polars as pl

        return pl.scan_parquet(list(paths), glob=False, hive_partitioning=False)

    def commit(self, parts: Sequence[Part], place: Place, options: Mapping[str, Any]) -> Output:
        """Show the parts as a folder of files, or as one file that the parts' rows are written to
        anew where there are several."""

        def join(parts: Sequence[Part], target: Path) -> int:
            import pyarrow.parquet as pq

            found = [
                (file.rows, path)
                for part in parts
                for file, path in zip(part.files, part.paths, strict=True)
            ]
            paths = [path for rows, path in found if rows] or [found[0][1]]
            if len(paths) == 1:
                shutil.copyfile(paths[0], target)
            else:
                _rewrite(paths, target, ParquetOptions(**options))
            return int(pq.read_metadata(target).num_rows)

        return place.publish_joined(parts, join) if place.is_file else place.publish(parts)


def _write(table: pa.Table, path: Path, options: ParquetOptions, folder: str) -> Encoded:
    import pyarrow.parquet as pq  # the parent writes none, but for one file of many

    dictionaries, encodings = _encodings(table)
    pq.write_table(
        table,
        path,
        row_group_size=options.row_group_rows,
        use_dictionary=dictionaries,
        column_encoding=encodings or None,
        store_decimal_as_integer=True,
        **_compression(options),
    )
    return Encoded(path, int(pq.read_metadata(path).num_rows), folder)


def _rewrite(paths: Sequence[str], target: Path, options: ParquetOptions) -> None:
    """Write the rows of files to one file, a file after the other."""
    import pyarrow.parquet as pq

    first = pq.read_table(paths[0], use_threads=False)
    dictionaries, encodings = _encodings(first)
    with pq.ParquetWriter(
        target,
        first.schema,
        use_dictionary=dictionaries,
        column_encoding=encodings or None,
        store_decimal_as_integer=True,
        **_compression(options),
    ) as writer:
        writer.write_table(first, options.row_group_rows)
        for path in paths[1:]:
            writer.write_table(pq.read_table(path, use_threads=False), options.row_group_rows)


def _compression(options: ParquetOptions) -> dict[str, Any]:
    level = options.compression_level
    if level is None and options.compression == "zstd":
        level = ZSTD_LEVEL
    return {"compression": options.compression, "compression_level": level}


def partitions(table: pa.Table, by: Sequence[str]) -> Iterator[tuple[str, pa.Table]]:
    """The rows by the values of some columns, in order of first appearance: the folder of each
    partition, as Hive and its readers name it, and its rows without these columns."""
    if not by:
        yield "", table
        return
    import polars as pl

    if wrong := _unfit(by, dict(zip(table.column_names, table.schema.types, strict=True))):
        raise ValueError(wrong)
    keys = pl.DataFrame(pl.from_arrow(table.select(list(by))))
    keys.columns = [f"key {index}" for index in range(keys.width)]  # whatever they are called
    groups = keys.with_row_index("row").group_by(keys.columns, maintain_order=True).agg("row")
    for *values, rows in groups.iter_rows():
        folder = "/".join(map(_folder, by, values))
        yield folder, table.take(pa.array(rows)).drop_columns(list(by))
    if not table.num_rows:
        yield "/".join(_folder(name, None) for name in by), table.drop_columns(list(by))


def _unfit(by: Sequence[str], columns: Mapping[str, pa.DataType] | None) -> str | None:
    """Why a table cannot be partitioned so, if it cannot; `columns` are its own, with their types,
    where they are known."""
    for name in filter(_ODD_NAME.match, by):
        return (
            f"partition_by names {name!r}: many readers skip folders that begin with '_' or '.', "
            r"and do not agree about '/', '=', '%', '?' and '\' in their names: rename the column"
        )
    if columns is None:
        return None
    for name in by:
        if name not in columns:
            return f"partition_by names {name!r}; the columns are: {', '.join(columns)}"
        if word := without_text(columns[name]):
            return (
                f"partition_by names {name!r}, which is of type {word}, and no reader would know "
                "it by the name of a folder: name another column, or make text of it in a step"
            )
    if by and len(set(by)) == len(set(columns)):
        return "partition_by names every column: no rows would be left in the files"
    return None


def _folder(name: str, value: Any) -> str:
    if value is None:
        text = NULL_PARTITION
    elif isinstance(value, bool):
        text = str(value).lower()
    else:
        value = format(value, "f") if isinstance(value, Decimal) else value  # not 1.200E-7
        # All that could lead elsewhere, or be taken for something else, becomes %NN.
        text = quote(str(value), safe=" :+,")
        text = text.replace("__", "%5F_") if text == NULL_PARTITION else text
    folder = f"{name}={text}"
    if len(folder.encode()) > LONGEST_NAME:
        start = folder[:50]
        raise ValueError(f"a value of {name!r} is too long for the name of a folder: {start}…")
    return folder


def _encodings(table: pa.Table) -> tuple[list[str], dict[str, str]]:
    """The columns that are worth a dictionary, and the encodings of others that have a better one
    than plain values. Decided on the first rows: the same rows always give the same bytes.

    A dictionary pays where values repeat. Whole numbers, decimals, dates and times that do not
    repeat, or that rise from row to row, are stored as differences; texts that do not repeat with
    their lengths apart from their letters.
    """
    dictionaries, encodings = [], {}
    head = table.slice(0, SAMPLE_ROWS)
    for name, column in zip(head.column_names, head.columns, strict=True):
        kind = column.type
        if not (pa.types.is_primitive(kind) or _is_text(kind) or _is_small_decimal(kind)):
            continue  # nested, null and already a dictionary: as the library has it
        if pa.types.is_boolean(kind):
            continue
        is_whole = not (_is_text(kind) or pa.types.is_floating(kind))
        is_repeating = pc.count_distinct(column).as_py() < DICTIONARY_PAYS_BELOW * len(column)
        if is_whole and (not is_repeating or _is_rising(column)):
            encodings[name] = "DELTA_BINARY_PACKED"
        elif is_repeating:
            dictionaries.append(name)
        elif _is_text(kind):
            encodings[name] = "DELTA_LENGTH_BYTE_ARRAY"
    return dictionaries, encodings


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_binary(kind))


def _is_small_decimal(kind: pa.DataType) -> bool:
    """Whether its values are stored as whole numbers."""
    return bool(pa.types.is_decimal(kind) and kind.precision <= DIGITS_OF_INT64)


def _is_rising(column: pa.ChunkedArray) -> bool:
    """Whether no value is below the one before it, and not all are the same."""
    if column.null_count or len(column) < 2 or column[0] == column[-1]:
        return False
    values = column.combine_chunks()
    return bool(pc.all(pc.less_equal(values[:-1], values[1:])).as_py())
