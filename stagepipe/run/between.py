"""Parts between stages: Arrow files, lightly compressed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

SUFFIX = ".arrow"


def write(table: pa.Table, path: Path) -> int:
    """Write the rows; how many the written file says it holds."""
    import polars as pl
    import pyarrow as pa

    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with (
        pa.OSFile(str(path), "wb") as file,
        pa.ipc.new_file(file, table.schema, options=options) as writer,
    ):
        writer.write_table(table)
    return int(pl.scan_ipc(path, glob=False).select(pl.len()).collect().item())


def read(path: Path) -> pa.Table:
    """The rows of a part."""
    import pyarrow as pa

    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_file(file).read_all()


def scan(paths: Sequence[Path]) -> pl.LazyFrame:
    """The rows of parts, in this order, to be read when they are needed."""
    import polars as pl

    return pl.scan_ipc(list(paths), glob=False, hive_partitioning=False)
