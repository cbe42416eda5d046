"""Is the output right? Row count, types and codec after each run; the sums once per peer."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.data import Expected
from benchmarks.errors import BenchError
from benchmarks.lineitem import COLUMNS

ARROW_NAMES = {
    "int64": "int64",
    "int32": "int32",
    "decimal128(15, 2)": "decimal(15,2)",
    "date32[day]": "date",
    "string": "string",
    "large_string": "string",
    "string_view": "string",
}


@dataclass(frozen=True)
class Output:
    """What a run has written."""

    files: int
    bytes: int


def verify(output: Path, expected: Expected, contents: bool) -> Output:
    """Check the table at `output`, with its contents if asked for. A fault is a BenchError."""
    paths = sorted(output.rglob("*.parquet")) if output.is_dir() else [output]
    if not paths or not all(path.is_file() for path in paths):
        raise BenchError(f"no Parquet file at {output.name}")
    rows = 0
    for path in paths:
        with pq.ParquetFile(path) as file:
            rows += file.metadata.num_rows
            _check_types(file)
            _check_codec(file)
    if rows != expected.rows:
        raise BenchError(f"{rows:,} rows written, {expected.rows:,} expected")
    if contents:
        _check_sums(paths, expected)
    return Output(len(paths), sum(path.stat().st_size for path in paths))


def _check_types(file: pq.ParquetFile) -> None:
    found = [(column.name, str(column.type)) for column in file.schema_arrow]
    found = [(name, ARROW_NAMES.get(kind, kind)) for name, kind in found]
    if found != list(COLUMNS.items()):
        raise BenchError(f"other columns, types or order than asked for: {found}")


def _check_codec(file: pq.ParquetFile) -> None:
    for group in range(file.metadata.num_row_groups):
        columns = file.metadata.row_group(group)
        codecs = {columns.column(number).compression for number in range(columns.num_columns)}
        if codecs != {"ZSTD"}:
            raise BenchError(f"other codecs than zstd: {sorted(codecs)}")


def _check_sums(paths: list[Path], expected: Expected) -> None:
    orderkeys = hundredths = comments = 0
    for path in paths:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(columns=["l_orderkey", "l_quantity", "l_comment"]):
                if not batch.num_rows:
                    continue
                orderkeys += pc.sum(batch["l_orderkey"]).as_py()
                hundredths += int(pc.sum(batch["l_quantity"]).as_py() * 100)
                comments += pc.sum(pc.binary_length(batch["l_comment"])).as_py()
    found = Expected(expected.rows, orderkeys, hundredths, comments)
    if found != expected:
        raise BenchError(f"other contents than expected: {found}, expected {expected}")
