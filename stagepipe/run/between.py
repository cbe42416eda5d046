"""Between stages: pieces of parts, written by one task and read by others. In the spool they are
Arrow files with narrowed numbers; a sink's own files may do as well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import chain, groupby
from pathlib import Path
from typing import TYPE_CHECKING

from stagepipe.errors import TaskError
from stagepipe.model import PartFile
from stagepipe.plan.work import Work
from stagepipe.plugins import Plugins
from stagepipe.record.spool import Spool
from stagepipe.run.narrowing import narrowed, widened, widened_plan
from stagepipe.stopwatch import timed

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

SUFFIX = ".arrow"


def write(table: pa.Table, path: Path) -> int:
    """Write the rows; how many the written file says it holds."""
    return _write(iter([narrowed(table)]), path, None)


def write_all(tables: Iterator[pa.Table], path: Path) -> int:
    """Write the rows of tables, one at least, that have the same columns, into a file that stays:
    it is packed. How many it says it holds."""
    return _write(tables, path, "lz4")


def _write(tables: Iterator[pa.Table], path: Path, compression: str | None) -> int:
    import polars as pl
    import pyarrow as pa

    options = pa.ipc.IpcWriteOptions(compression=compression)
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
        return widened(pa.ipc.open_file(file).read_all())


def scan(paths: Sequence[Path]) -> pl.LazyFrame:
    """The rows of files in the spool, in this order, to be read when they are needed. The files of
    one part may have narrowed their numbers to other types than those of another."""
    import polars as pl

    frames = []
    for schema, alike in groupby(paths, _schema_of):
        plan = pl.scan_ipc(list(alike), glob=False, hive_partitioning=False)
        frames.append(widened_plan(plan, schema))
    return frames[0] if len(frames) == 1 else pl.concat(frames)


def _schema_of(path: Path) -> pa.Schema:
    import pyarrow as pa

    with pa.memory_map(str(path)) as file:
        return pa.ipc.open_file(file).schema


def read_piece(plugins: Plugins, spool: Spool, work: Work, stage: int, file: PartFile) -> pa.Table:
    """The rows of a piece that the stage before `stage` made. Raises TaskError."""
    if file.name.endswith(SUFFIX):
        return read_sound(spool, work, stage, file)
    from stagepipe.run.frames import to_arrow

    sink = plugins.sink(work.stages[stage - 1].sink or "")
    return to_arrow(sink.decode(sound(spool, work, stage, file)))


def read_sound(spool: Spool, work: Work, stage: int, file: PartFile) -> pa.Table:
    """The rows of a file in the spool that the stage before `stage` made, as they were when its
    checksum was taken, whatever becomes of the file. Raises TaskError."""
    import pyarrow as pa

    try:
        with pa.OSFile(str(spool.path(file))) as opened:
            content = opened.read_buffer()
    except OSError as error:
        raise _damaged(spool, work, stage, file) from error
    with timed("hash"):
        is_sound = sha256(content).hexdigest() == file.sha256
    if not is_sound:
        raise _damaged(spool, work, stage, file)
    return widened(pa.ipc.open_file(pa.BufferReader(content)).read_all())


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
        raise _damaged(spool, work, stage, file)
    return spool.path(file)


def _damaged(spool: Spool, work: Work, stage: int, file: PartFile) -> TaskError:
    spool.forget([file.name.partition(".")[0]])
    return TaskError(
        f"a finished part of stage {work.stages[stage - 1].name!r} was damaged on disk "
        f"({spool.path(file)})",
        "run again: the part is made anew",
    )
