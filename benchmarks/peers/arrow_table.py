"""What the peers with Arrow's types share: the schema, and the list of files."""

from pathlib import Path

import pyarrow as pa

from benchmarks.lineitem import COLUMNS

ARROW_TYPES = {
    "int64": pa.int64(),
    "int32": pa.int32(),
    "decimal(15,2)": pa.decimal128(15, 2),
    "date": pa.date32(),
    "string": pa.string(),
}
SCHEMA = pa.schema([(name, ARROW_TYPES[kind]) for name, kind in COLUMNS.items()])


def csv_files(pattern: str) -> list[Path]:
    """The files of an absolute pattern, in order."""
    return sorted(Path("/").glob(pattern.lstrip("/")))
