"""The Parquet sink: zstd, one file for each chunk, encodings chosen from the rows themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stagepipe.contracts import Place
from stagepipe.model import Output, Part

SAMPLE_ROWS = 16_384
DICTIONARY_PAYS_BELOW = 0.25
COMPRESSION_LEVEL = 1


class ParquetSink:
    """Writes a folder of Parquet files."""

    suffix = ".parquet"

    def encode(self, table: pa.Table, path: Path, options: Mapping[str, Any]) -> int:
        """Write the table; the rows that the file's footer counts."""
        del options
        pq.write_table(
            table,
            path,
            compression="zstd",
            compression_level=COMPRESSION_LEVEL,
            use_dictionary=_columns_worth_a_dictionary(table),
        )
        return int(pq.read_metadata(path).num_rows)

    def decode(self, path: Path) -> pl.DataFrame:
        """The rows of a part."""
        return pl.DataFrame(pl.from_arrow(pq.read_table(path, use_threads=False)))

    def commit(self, parts: Sequence[Part], place: Place) -> Output:
        """Show the parts as one folder of files."""
        return place.publish(parts)


def _columns_worth_a_dictionary(table: pa.Table) -> list[str]:
    """The columns whose values repeat: a dictionary of nearly distinct values costs time and
    bytes. Decided on the first rows, so that the same rows always give the same bytes."""
    head = table.slice(0, SAMPLE_ROWS)
    return [
        name
        for name, column in zip(head.column_names, head.columns, strict=True)
        if not pa.types.is_nested(column.type)
        and not pa.types.is_boolean(column.type)
        and pc.count_distinct(column).as_py() < DICTIONARY_PAYS_BELOW * len(column)
    ]
