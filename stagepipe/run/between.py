"""Between stages: pieces of parts, written by one task and read by others. In the spool they are
Arrow files, lightly compressed; a sink's own files may do as well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from stagepipe.errors import TaskError
from stagepipe.model import PartFile
from stagepipe.plan.work import Work
from stagepipe.plugins import Plugins
from stagepipe.record.spool import Spool
from stagepipe.stopwatch import timed

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

SUFFIX = ".arrow"


def write(table: pa.Table, path: Path) -> int:
    """Write the rows; how many the written file says it holds."""
    return write_all(iter([table]), path)


def write_all(tables: Iterator[pa.Table], path: Path) -> int:
    """Write the rows of tables, one at least, that have the same columns, as `write` does."""
    import polars as pl
    import pyarrow as pa

    options = pa.ipc.IpcWriteOptions(compression="lz4")
    first = next(tables)
    with (
        pa.OSFile(str(path), "wb") as file,
        pa.ipc.new_file(file, first.schema, options=options) as writer,
    ):
        for table in chain([first], tables):
            writer.write_table(table)
    return int(pl.scan_ipc(path, glob=False).select(pl.len()).collect().item())


def read(path: Path) -> pa.Table:
    """The rows of a file in the spool."""
    import pyarrow as pa

    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_file(file).read_all()


def scan(paths: Sequence[Path]) -> pl.LazyFrame:
    """The rows of files in the spool, in this order, to be read when they are needed."""
    import polars as pl

    return pl.scan_ipc(list(paths), glob=False, hive_partitioning=False)


def read_piece(plugins: Plugins, spool: Spool, work: Work, stage: int, file: PartFile) -> pa.Table:
    """The rows of a piece that the stage before `stage` made. Raises TaskError."""
    path = sound(spool, work, stage, file)
    if path.suffix == SUFFIX:
        return read(path)
    from stagepipe.run.frames import to_arrow

    sink = plugins.sink(work.stages[stage - 1].sink or "")
    return to_arrow(sink.decode(path))


def cut(table: pa.Table, count: int) -> Iterator[pa.Table]:
    """The rows in about so many pieces; one, empty perhaps, at least."""
    rows = max(-(-table.num_rows // count), 1)
    for start in range(0, max(table.num_rows, 1), rows):
        yield table.slice(start, rows)


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """The rows of tables that have the same columns, laid out as if they had never been cut."""
    import pyarrow as pa

    return tables[0] if len(tables) == 1 else pa.concat_tables(tables).combine_chunks()


def scan_pieces(
    plugins: Plugins, spool: Spool, work: Work, stage: int, files: Sequence[PartFile]
) -> pl.LazyFrame:
    """The rows of all pieces that the stage before `stage` made, in order. Raises TaskError."""
    paths = [sound(spool, work, stage, file) for file in files]
    if paths[0].suffix == SUFFIX:
        return scan(paths)
    found: pl.LazyFrame = plugins.sink(work.stages[stage - 1].sink or "").scan(paths)
    return found


def sound(spool: Spool, work: Work, stage: int, file: PartFile) -> Path:
    """Where a file of the stage before `stage` lies. Raises TaskError where it is another one, so
    that it is made again."""
    with timed("hash"):
        is_sound = spool.is_sound(file)
    if not is_sound:
        spool.forget([file.name.partition(".")[0]])
        raise TaskError(
            f"a finished part of stage {work.stages[stage - 1].name!r} was damaged on disk "
            f"({spool.path(file)})",
            "run again: the part is made anew",
        )
    return spool.path(file)
