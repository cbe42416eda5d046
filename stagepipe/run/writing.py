"""What a task writes: the files of its part, for the stage after it and for the stage's sink."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from stagepipe.contracts import Sink
from stagepipe.errors import TaskError
from stagepipe.model import RECORD, PartFile
from stagepipe.plan.work import StageWork
from stagepipe.plugins import Plugins
from stagepipe.record.spool import Spool, file_sha256
from stagepipe.run import between
from stagepipe.run.descriptors import hold_lowest
from stagepipe.stopwatch import timed

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(slots=True)
class Written:
    """The files of a part: `pieces` for the stage after it, `files` for the sink; and under which
    temporary name each of them lies, by its final one."""

    pieces: list[PartFile] = field(default_factory=list)
    files: list[PartFile] = field(default_factory=list)
    paths: dict[str, Path] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """The rows that the written files themselves say they hold."""
        return sum(file.rows for file in self.files or self.pieces)


class PartWriter:
    """Writes one task's part under temporary names. `where` begins messages."""

    def __init__(self, spool: Spool, key: str, attempt: str, where: str) -> None:
        self._where = where
        self._spool = spool
        self._key = key
        self._attempt = attempt
        self._names: dict[Path, str] = {}
        self.written = Written()

    def write(self, table: pa.Table, stage: StageWork, plugins: Plugins) -> None:
        """Write one piece of the task's rows. Raises TaskError when they do not fit the sink."""
        if stage.sink is not None:
            sink: Sink = plugins.sink(stage.sink)
            shown = table.drop_columns([RECORD]) if RECORD in table.column_names else table
            try:
                encoded = sink.encode(shown, stage.sink_options, lambda: self._new(sink.suffix))
            except ValueError as error:
                raise TaskError(f"{self._where}: sink {stage.sink!r}: {error}") from error
            files = [self._file(each.path, each.rows, each.folder, each.head) for each in encoded]
            self.written.files += files
            if not stage.keeps_pieces:
                self.written.pieces += files
        if stage.keeps_pieces:
            self.write_piece(table)

    def write_keys(self, table: pa.Table) -> None:
        """Write the unique columns of a piece beside it."""
        path = self._new(between.SUFFIX)
        with timed("write"):
            rows = between.write(table, path)
        self.written.files.append(self._file(path, rows))

    def write_piece(self, table: pa.Table) -> PartFile:
        """Write a piece that is for later tasks only, whatever the stage does."""
        path = self._new(between.SUFFIX)
        with timed("write"):
            rows = between.write(table, path)
        file = self._file(path, rows)
        self.written.pieces.append(file)
        return file

    def write_values(self, tables: Iterator[pa.Table]) -> None:
        """Write the values that the table to append to will hold, for the runs after this one."""
        path = self._new(between.SUFFIX)
        with timed("write"):
            rows = between.write_all(tables, path)
        self.written.files.append(self._file(path, rows))

    def discard(self) -> None:
        """Remove what was written."""
        for path in self.written.paths.values():
            path.unlink(missing_ok=True)

    def _new(self, suffix: str) -> Path:
        hold_lowest()  # a step may have closed them
        number = len(self.written.paths)
        name = f"{self._key}.{number}{suffix}"
        path = self._spool.temporary(self._key, self._attempt, f".{number}{suffix}")
        self.written.paths[name] = path
        self._names[path] = name
        return path

    def _file(self, path: Path, rows: int, folder: str = "", head: int = 0) -> PartFile:
        size = path.stat().st_size
        with timed("hash"):
            sha256 = file_sha256(path)
        return PartFile(self._names[path], rows, size, sha256, folder, head)


def pieces_of(table: pa.Table, chunk_size: int) -> Iterator[pa.Table]:
    """The rows of a task over all rows in pieces of about `chunk_size` bytes in memory; one, empty
    perhaps, at least."""
    count = max(-(-table.nbytes // chunk_size), 1)
    yield from between.cut(table, count)
