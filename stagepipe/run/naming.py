"""How the files of a table's folder are named: generation, chunk and digest, in partitions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from stagepipe.model import Part, PartFile
from stagepipe.record.manifest import DataFile


def data_files(parts: Sequence[Part], generation: int = 1) -> dict[str, DataFile]:
    """The files of a table's folder, by where they lie in the spool. One without rows stands only
    for all, so that the columns can be seen.

    A file has the number of its chunk, or the next that is free where a chunk has several: so names
    sort as rows do, and no two are the same.
    """
    named = {}
    free: dict[str, int] = {}
    for part in parts:
        for file, path in zip(part.files, part.paths, strict=True):
            number = max(part.chunk, free.get(file.folder, 0))
            free[file.folder] = number + 1
            named[path] = _data_file(file, number, generation)
    with_rows = {path: file for path, file in named.items() if file.rows}
    return with_rows or dict(list(named.items())[:1])


def _data_file(file: PartFile, number: int, generation: int) -> DataFile:
    name = f"{generation:04d}-{number:06d}-{file.sha256[:8]}{Path(file.name).suffix}"
    return DataFile(str(PurePosixPath(file.folder, name)), file.rows, file.bytes, file.sha256)


def partitions(files: Iterable[DataFile]) -> set[tuple[str, ...]]:
    """By which columns files are partitioned, as the names of their folders say."""
    folders = (PurePosixPath(file.name).parts[:-1] for file in files)
    return {tuple(folder.partition("=")[0] for folder in parts) for parts in folders}
