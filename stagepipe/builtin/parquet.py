"""The Parquet sink: zstd, one file for each chunk, encodings chosen from the rows themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stagepipe.contracts import Place
from stagepipe.model import Output, Part

if TYPE_CHECKING:
    import polars as pl

SAMPLE_ROWS = 16_384
DICTIONARY_PAYS_BELOW = 0.25
COMPRESSION_LEVEL = 1
DIGITS_OF_INT64 = 18


class ParquetSink:
    """Writes a folder of Parquet files."""

    suffix = ".parquet"

    def encode(self, table: pa.Table, path: Path, options: Mapping[str, Any]) -> int:
        """Write the table; the rows that the file's footer counts."""
        del options
        dictionaries, encodings = _encodings(table)
        pq.write_table(
            table,
            path,
            compression="zstd",
            compression_level=COMPRESSION_LEVEL,
            use_dictionary=dictionaries,
            column_encoding=encodings or None,
            store_decimal_as_integer=True,
        )
        return int(pq.read_metadata(path).num_rows)

    def decode(self, path: Path) -> pl.DataFrame:
        """The rows of a part."""
        import polars as pl  # for workers only

        return pl.DataFrame(pl.from_arrow(pq.read_table(path, use_threads=False)))

    def commit(self, parts: Sequence[Part], place: Place) -> Output:
        """Show the parts as one folder of files."""
        return place.publish(parts)


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
